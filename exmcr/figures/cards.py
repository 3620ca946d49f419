"""Items as HTML that needs no other file: pictures, players, texts, and shapes that can be turned.

Media are data URIs, reduced to what a page needs. The demo and the static page of a run use them.
"""

import base64
import html
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from exmcr.figures.style import mark, short
from exmcr.media.rendering import render
from exmcr.media.sounds import Sound
from exmcr.media.videos import still

SIDE = 224  # pixels of the longer side of a picture
SECONDS = 8.0  # of a sound
RATE = 24_000  # Hz, at most

STYLE = """<style>
.cards { display: flex; flex-wrap: wrap; gap: 14px; margin: 8px 0 18px; }
.card { width: 232px; border: 1px solid #d5d8dc; border-radius: 8px; padding: 8px; }
.card { background: #fff; color: #1b1f24; font: 14px/1.35 system-ui, sans-serif; }
.card img { display: block; width: 100%; height: 150px; object-fit: contain; }
.card audio { display: block; width: 100%; margin-top: 6px; }
.card .score { color: #57606a; font-size: 12px; }
.card blockquote { margin: 4px 0; font-size: 16px; }
</style>"""

Load = Callable[[Any], Any]


def cards(rows: pd.DataFrame, load: Load, right: list[bool | None] | None = None) -> str:
    """Rows of the item table side by side, each with its caption and, if there is one, its score.

    load   row -> loaded item
    right  for each row whether it answers the query (None: unknown), shown as a mark
    """
    marks = [mark(truth) for truth in right] if right else [""] * len(rows)
    boxes = [card(row, load(row), sign) for row, sign in zip(rows.itertuples(), marks, strict=True)]
    return f'<div class="cards">{"".join(boxes)}</div>'


def card(row: Any, raw: Any, sign: str = "") -> str:
    """One item. row: with modality, caption and perhaps score; raw: the loaded item."""
    score = f' <span class="score">{row.score:.2f}</span>' if hasattr(row, "score") else ""
    caption = "" if isinstance(raw, str) else html.escape(short(str(row.caption), 60))
    return f'<div class="card">{show(raw)}<div>{sign} {caption}{score}</div></div>'


def show(raw: Any) -> str:
    """A loaded item as HTML: text, picture, player, or the rendering of a cloud."""
    if isinstance(raw, str):
        return f"<blockquote>{html.escape(short(raw, 200))}</blockquote>"
    if isinstance(raw, Sound):
        return f'<audio controls preload="metadata" src="{wave(raw)}"></audio>'
    return f'<img alt="" src="{picture(still(raw) if raw.dtype == np.uint8 else render(raw)[0])}">'


def picture(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3) -> data URI of a JPEG of at most SIDE pixels a side."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return _uri("image/jpeg", buffer)


def wave(sound: Sound) -> str:
    """The first SECONDS of a sound -> data URI of a 16-bit WAV of at most RATE."""
    import soundfile
    import soxr

    samples, rate = sound.samples[: int(SECONDS * sound.rate)], sound.rate
    if rate > RATE:
        samples, rate = soxr.resample(samples, rate, RATE), RATE
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    return _uri("audio/wav", buffer)


def _uri(kind: str, buffer: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
