"""A few examples to look at: the hardest, exact copies, and some of what was kept and dropped; thumbnails or text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from ..contracts import Data, Floats, Indices, Split
from ..seeds import numpy_stream

SHOWN = 16  # of each kind
CHARACTERS = 280


def gallery(data: Data, kept: Indices, scores: Floats | None) -> pd.DataFrame:
    """Training examples: index, id, label, name, score, png, text, kept, drawn, of (of a copy: the id of the first).

    `drawn`: hardest (the highest scores), copies (byte for byte equal, group by group), kept and dropped (at random).
    """
    train = data.splits["train"]
    is_kept = np.zeros(len(train.ids), dtype=bool)
    is_kept[kept] = True
    draw = numpy_stream(0, "gallery")
    sides = [("kept", True), ("dropped", False)]
    drawn = {name: list(draw.permutation(np.flatnonzero(is_kept == side))[:SHOWN]) for name, side in sides}
    hardest: list[int] = [] if scores is None else np.argsort(-scores, kind="stable")[:SHOWN].tolist()
    firsts = dict(_copies(train.inputs))
    rows = [("hardest", row) for row in hardest] + [("copies", row) for row in list(firsts)[:SHOWN]]
    rows += [(name, int(row)) for name, own in drawn.items() for row in own]
    return pd.DataFrame(
        shown(data, row, scores)
        | {"kept": bool(is_kept[row]), "drawn": name, "of": str(train.ids[firsts[row]]) if name == "copies" else None}
        for name, row in rows
    )


def _copies(inputs: Any) -> Iterator[tuple[int, int]]:
    """(row, the first row with its bytes) of every example that is there more than once, the first ones too."""
    same: dict[bytes, list[int]] = {}
    for row, one in enumerate(np.asarray(inputs)):
        same.setdefault(hashlib.blake2b(one.tobytes(), digest_size=8).digest(), []).append(row)
    for rows in same.values():
        if len(rows) > 1:
            yield from ((row, rows[0]) for row in rows)


def shown(data: Data, row: int, scores: Floats | None, *, split: Split = "train") -> dict[str, Any]:
    """One example of a split: index, id, label, name, score, png (of images) and text (where tokens are text)."""
    examples = data.splits[split]
    classed = data.kind != "text"
    label = int(examples.targets[row]) if classed else None
    text = None
    if data.decode is not None:
        text = data.decode([int(token) for token in examples.inputs[row] if token])[:CHARACTERS]
    return {
        "index": row,
        "id": str(examples.ids[row]),
        "label": label,
        "name": data.classes[label] if label is not None else None,
        "score": None if scores is None else float(scores[row]),
        "png": _png(examples.inputs[row]) if data.kind == "images" else None,
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
