"""A checkpoint of a run that is under way: whole or not there, whenever the process is killed or the power lost.

The file is what `torch.save` writes, followed by its SHA-256: torch itself does not see a changed byte.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..errors import LabError, RunFailed
from . import disk

HASH_BYTES = 32


def write(path: Path, content: dict[str, Any]) -> None:
    """Tensors and plain values, on the disk when this returns."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getbuffer()
    path.parent.mkdir(parents=True, exist_ok=True)  # gone where another process has just published this run
    draft = path.with_suffix(f".{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.write(hashlib.sha256(data).digest())
        disk.flush(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    disk.flush(path.parent)


def read(path: Path, notify: Callable[[str, float], None], device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """What was written; None where nothing was. An unreadable checkpoint is said and removed: the run starts over.

    Nothing in the file is executed.
    """
    if not os.path.lexists(path):
        return None
    try:
        data = path.read_bytes()
        if hashlib.sha256(data[:-HASH_BYTES]).digest() != data[-HASH_BYTES:]:
            raise ValueError("it is not as it was written")
        content: dict[str, Any] = torch.load(io.BytesIO(data[:-HASH_BYTES]), map_location=device, weights_only=True)
    except Exception as error:  # whatever torch raises
        disk.erase(path)
        notify(f"warning: the checkpoint {path} is unreadable ({error}): this run starts over", 0.0)
        return None
    return content


@contextmanager
def taken(path: Path) -> Iterator[None]:
    """Within, a checkpoint's content is taken. One of other code, which does not fit, is removed, not met for good."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        disk.erase(path)
        raise RunFailed(
            f"the checkpoint {path} does not fit this run ({error!r}), and was removed", "the same command, from step 0"
        ) from error
