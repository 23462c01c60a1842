"""A checkpoint of a run that is under way: whole or not there, whenever the process is killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def write(path: Path, content: dict[str, Any]) -> None:
    """Tensors and plain values, for `torch.load(path, weights_only=True)`."""
    path.parent.mkdir(parents=True, exist_ok=True)  # gone where another process has just published this run
    draft = path.with_suffix(f".{os.getpid()}.draft")
    torch.save(content, draft)
    os.replace(draft, path)
