"""The page of the demo, by Gradio: a query of several parts above, answers below.

Answers are data URIs and plotly figures, so that no file of this machine is served.
"""

import logging
from typing import Any

import gradio
import pandas as pd

from exmcr.demo.engine import Engine, Part, one_line
from exmcr.demo.uploads import NAMES
from exmcr.figures.cards import STYLE, cards
from exmcr.figures.items import turnable
from exmcr.media import videos
from exmcr.media.suffixes import by_suffix

TITLE = "exmcr: search by sound, picture, shape and words"
FONTS = ["system-ui", "sans-serif"]  # of this machine; the default ones come from the network
VIDEO = "video"  # encoded as a picture
WIDEST = 4  # shapes side by side
log = logging.getLogger(__name__)


def build(engine: Engine, k: int = 6) -> gradio.Blocks:
    """The page of an engine. k: answers at the start."""
    model = engine.model.modalities
    with gradio.Blocks(title=TITLE, analytics_enabled=False) as page:
        gradio.Markdown(f"# {TITLE}\nSeveral parts are added up, each with its weight.")
        inputs: list[Any] = []
        with gradio.Row():
            with gradio.Column(min_width=220):
                inputs.append(gradio.Textbox(label="words", max_length=1000, elem_id="words"))
                inputs.append(_weight("weight of the words"))
                inputs.append(gradio.Textbox(label="but not", max_length=1000, elem_id="not"))
                inputs.append(_weight("weight of 'but not'", 0.5))
            for modality, name, component in _media():
                shown = modality in model and (name != VIDEO or videos.available())
                with gradio.Column(visible=shown, min_width=220):
                    upload = component()
                    # As it came: damaged files are reported by the loader.
                    upload.preprocess = lambda payload: payload.path if payload else None
                    inputs += [upload, _weight(f"weight of the {name}")]
        with gradio.Row():
            choices = [(f"{NAMES[name]}s", name) for name in engine.modalities]
            gallery = gradio.Radio(choices, value=_first(engine), label="find", elem_id="find")
            method = gradio.Radio(engine.methods, value=engine.methods[0], label="method")
            number = gradio.Slider(1, 12, value=k, step=1, label="answers")
        button = gradio.Button("Search", variant="primary", elem_id="search")
        outputs = [
            gradio.Markdown(elem_id="status"),
            gradio.HTML(elem_id="answers"),
            gradio.Plot(visible=False, elem_id="shapes"),
        ]
        asked = [*inputs, gallery, method, number]

        def search(*values: Any) -> tuple[Any, ...]:
            return respond(engine, *values)

        gradio.on(
            [button.click, inputs[0].submit, inputs[2].submit, gallery.change, method.change],
            search,
            asked,
            outputs,
            api_name="search",
        )
    return page


def respond(
    engine: Engine,
    words: str,
    words_weight: float,
    without: str,
    without_weight: float,
    sound: str | None,
    sound_weight: float,
    picture: str | None,
    picture_weight: float,
    shape: str | None,
    shape_weight: float,
    video: str | None,
    video_weight: float,
    modality: str,
    method: str,
    k: float,
) -> tuple[str, str, Any]:
    """(status line, answers as HTML, figure of shapes) for the values of the page.

    Whatever goes wrong becomes the status line; the page goes on.
    """
    given = [
        ("text", (words or "").strip(), words_weight),
        ("text", (without or "").strip(), -without_weight),
        ("audio", sound, sound_weight),
        ("image", picture, picture_weight),
        ("points", shape, shape_weight),
        ("image", video, video_weight),
    ]
    nothing = gradio.Plot(value=None, visible=False)
    try:
        parts = [Part(m, item, float(weight)) for m, item, weight in given if item]
        rows = engine.answer(parts, modality, method, int(k))
        status = f"{len(rows)} nearest {modality} items by {method}"
        if modality != "points":
            return status, STYLE + cards(rows, engine.project.load_item), nothing
        return status, "", gradio.Plot(value=shapes(engine, rows), visible=True)
    except Exception as error:
        log.warning("query failed: %s", one_line(error))
        return f"⚠ {one_line(error)}", "", nothing


def shapes(engine: Engine, rows: pd.DataFrame) -> Any:
    """Shapes that can be turned, WIDEST at most."""
    return turnable(rows.head(WIDEST), engine.project.load_item, "")


def _weight(label: str, value: float = 1.0) -> gradio.Slider:
    return gradio.Slider(0, 1, value=value, step=0.05, label=label)


def _first(engine: Engine) -> str:
    return "image" if "image" in engine.modalities else engine.modalities[0]


def _media() -> list[tuple[str, str, Any]]:
    """(modality, name, what makes the input) in the order of the arguments of `respond`."""
    suffixes = [suffix for suffix, name in by_suffix().items() if name == "points"]
    return [
        (
            "audio",
            NAMES["audio"],
            lambda: gradio.Audio(
                sources=["upload", "microphone"], type="filepath", label="a sound", elem_id="sound"
            ),
        ),
        (
            "image",
            NAMES["image"],
            lambda: gradio.Image(
                sources=["upload"],
                type="filepath",
                label="a picture",
                height=170,
                elem_id="picture",
            ),
        ),
        (
            "points",
            NAMES["points"],
            lambda: gradio.File(file_types=suffixes, label="a shape", height=170, elem_id="shape"),
        ),
        (
            "image",
            VIDEO,
            lambda: gradio.Video(sources=["upload"], label="a video", height=170, elem_id="video"),
        ),
    ]


def theme() -> gradio.themes.Base:
    """A theme without fonts from the network."""
    return gradio.themes.Default(font=FONTS, font_mono=["ui-monospace", "monospace"])
