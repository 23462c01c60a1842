"""stdout is data. While a verb runs, what a plug-in or a library prints is for people, on stderr."""

from __future__ import annotations

import sys
from typing import TextIO

_own: TextIO | None = None


def reserve() -> None:
    """From here on `print` writes to stderr, and data are written to `stdout`."""
    global _own
    if _own is None:
        _own, sys.stdout = sys.stdout, sys.stderr


def release() -> None:
    """As it was before."""
    global _own
    if _own is not None:
        _own, sys.stdout = None, _own


def stdout() -> TextIO:
    """Where data are written to."""
    return _own or sys.stdout
