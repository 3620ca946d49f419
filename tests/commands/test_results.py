import pandas as pd
from exmcr.commands.report import markdown


def row(method, seed, r1):
    return {
        "task": "audio->image",
        "split": "all",
        "method": method,
        "seed": seed,
        "n_queries": 10,
        "n_gallery": 20,
        "chance_r1": 0.05,
        "r1": r1,
        "r5": 0.5,
        "r10": 0.6,
        "map": 0.3,
        "chance_map": 0.1,
        "r1_low": 0.1,
        "r1_high": 0.9,
    }


def test_one_line_a_task_mean_and_spread_over_seeds():
    lines = markdown(
        pd.DataFrame([row("hop", 0, 0.2), row("exmcr", 0, 0.3), row("exmcr", 1, 0.5)])
    ).splitlines()
    assert lines[0] == "| task | queries x gallery | chance | hop | exmcr |"
    assert (
        lines[2] == "| audio->image | 10 x 20 | 5.0 / 10.0 | 20.0 / 30.0 | 40.0±14.1 / 30.0±0.0 |"
    )
