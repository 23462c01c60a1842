"""Which code made a result: version, commit, and whether the tree had changes."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any


@lru_cache(maxsize=1)
def code_version() -> dict[str, Any]:
    """{version, commit, dirty}; commit is None where the code lies outside a git checkout."""
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
