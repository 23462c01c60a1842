"""A few examples of what was kept and what was dropped, as thumbnails or text, for people to look at."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from ..contracts import Data, Floats, Indices
from ..seeds import numpy_stream

SHOWN = 16  # of each kind
CHARACTERS = 280


def gallery(data: Data, kept: Indices, scores: Floats | None) -> pd.DataFrame:
    """A random draw of kept and of dropped training examples: index, id, label, name, score, kept, png, text."""
    train = data.splits["train"]
    is_kept = np.zeros(len(train.ids), dtype=bool)
    is_kept[kept] = True
    draw = numpy_stream(0, "gallery")
    rows = [row for side in (True, False) for row in draw.permutation(np.flatnonzero(is_kept == side))[:SHOWN]]
    return pd.DataFrame([_shown(data, int(row), bool(is_kept[row]), scores) for row in rows])


def _shown(data: Data, row: int, kept: bool, scores: Floats | None) -> dict[str, Any]:
    train = data.splits["train"]
    classed = data.kind != "text"
    label = int(train.targets[row]) if classed else None
    text = None
    if data.decode is not None:
        text = data.decode([int(token) for token in train.inputs[row] if token])[:CHARACTERS]
    return {
        "index": row,
        "id": str(train.ids[row]),
        "label": label,
        "name": data.classes[label] if label is not None else None,
        "score": None if scores is None else float(scores[row]),
        "kept": kept,
        "png": _png(train.inputs[row]) if data.kind == "images" else None,
        "text": text,
    }


def _png(image: Any) -> bytes:
    """A (C, H, W) uint8 image as PNG."""
    from PIL import Image

    pixels = np.asarray(image)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
