"""The optional packages of pyproject.toml: which of them are here, and the command that installs one."""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from importlib import metadata

from .errors import DataUnavailable

DEVELOPMENT = ("dev", "docs")  # extras that are for work on prune-lab itself


@lru_cache(maxsize=1)
def extras() -> dict[str, tuple[str, ...]]:
    """What each extra installs, as in {"cluster": ("submitit>=1.5",)}."""
    found: dict[str, tuple[str, ...]] = {}
    for line in metadata.requires("prune-lab") or ():
        requirement, _, marker = line.partition(";")
        if (extra := re.search(r"extra *== *[\"']([\w-]+)", marker)) and extra[1] not in DEVELOPMENT:
            found[extra[1]] = (*found.get(extra[1], ()), requirement.strip())
    return found


def lacking(extra: str) -> list[str]:
    """The packages of an extra that are not installed."""
    absent = []
    for requirement in extras().get(extra, (extra,)):
        try:
            metadata.version(re.split(r"[^\w.-]", requirement)[0])
        except metadata.PackageNotFoundError:
            absent.append(requirement)
    return absent


def install(extra: str) -> str:
    """The command that installs an extra, into a checkout's environment as into any other."""
    python = os.path.relpath(sys.executable)
    here = python if not python.startswith("..") else sys.executable
    return f"{here} -m pip install {' '.join(map(repr, extras().get(extra, (extra,))))}"


def check(extra: str | None, who: str) -> None:
    """DataUnavailable where `who` needs an extra that is not installed."""
    if extra is not None and (absent := lacking(extra)):
        raise DataUnavailable(f"{who} needs {' and '.join(absent)}, which is not installed", install(extra))
