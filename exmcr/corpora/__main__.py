"""python -m exmcr.corpora: fetch and list the raw items that params.yaml names."""

from exmcr import config, corpora
from exmcr.errors import ConfigError

root = config.project_root()
stopped = root / "reports/stopped.txt"  # for the end of `make repro`, as in exmcr/run_notebook.py
stopped.unlink(missing_ok=True)
try:
    params = config.load(root / "params.yaml")
    print(corpora.build(params["corpora"], root, params.get("sample")))
except ConfigError as error:
    stopped.parent.mkdir(exist_ok=True)
    stopped.write_text(f"corpora: {error}\n")
    raise SystemExit(f"corpora: {error}") from None
