"""Which code made a result: version, commit, whether the tree had changes; and what libraries warned of meanwhile."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

MOST_WARNINGS = 100  # of a run
FOR_AUTHORS = (DeprecationWarning, PendingDeprecationWarning, ResourceWarning)  # which Python leaves out as well


def quiet() -> None:
    """Keep what libraries warn of off the terminal of this process, unless -W or PYTHONWARNINGS asks for it."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())  # without one, Python writes warnings to the terminal


@contextmanager
def library_warnings() -> Iterator[list[str]]:
    """Collect what libraries warn of within, each once: the list is filled at the end."""
    told: list[str] = []
    handler = BufferingHandler(10 * MOST_WARNINGS)
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            if not sys.warnoptions:
                warnings.simplefilter("default")
                for category in FOR_AUTHORS:
                    warnings.simplefilter("ignore", category)
            yield told
    finally:
        logging.getLogger().removeHandler(handler)
    said = [f"{Path(one.filename).name}: {one.category.__name__}: {one.message}" for one in caught]
    said += [f"{entry.name}: {entry.getMessage()}" for entry in handler.buffer]
    told += list(dict.fromkeys(said))[:MOST_WARNINGS]


@lru_cache(maxsize=1)
def code_version() -> dict[str, Any]:
    """{version, commit, dirty}; commit is None where the code is outside a git checkout."""
    commit = _git("rev-parse", "HEAD")
    dirty = None if commit is None else bool(_git("status", "--porcelain", "--untracked-files=no", "--", "."))
    return {"version": version("prune-lab"), "commit": commit, "dirty": dirty}


def _git(*words: str) -> str | None:
    folder = Path(__file__).resolve().parents[1]  # all of the code, not this room
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
