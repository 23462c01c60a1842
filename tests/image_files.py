"""Images and tables of them, for tests."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from prune_lab.experiments.contracts import Data


def random_pixels(number: int, seed: int = 0, size: int = 32) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (number, 3, size, size), dtype=np.uint8)


def png(pixels: np.ndarray[Any, Any], kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels).save(stream, kind)
    return stream.getvalue()


def table_of(
    file: Path,
    pixels: np.ndarray[Any, Any],
    labels: list[Any],
    *,
    column: str = "label",
    kind: str = "PNG",
    paths: list[str] | None = None,
    names: list[str] | None = None,
) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    encoded = [{"bytes": png(image, kind), "path": paths[row] if paths else None} for row, image in enumerate(pixels)]
    kinds = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"img": pa.array(encoded, kinds), column: labels})
    if names:
        features = {"info": {"features": {column: {"names": names}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, file)
    return file


def label_name(label: Any) -> str:
    return str(label).lower() if isinstance(label, bool) else f"{label:g}" if isinstance(label, float) else str(label)


def joined(data: Data, *splits: str) -> dict[str, tuple[bytes, int]]:
    """id -> (pixels, label) over some splits."""
    return {
        str(name): (image.tobytes(), int(label))
        for split in splits
        for name, image, label in zip(
            *(getattr(data.splits[split], f) for f in ("ids", "inputs", "targets")), strict=True
        )  # type: ignore[index]
    }
