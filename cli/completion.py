"""What the tab key completes of a setting: keys, then the values of a key, also behind a comma."""

from __future__ import annotations

from collections.abc import Iterator

from . import words
from .compose import GROUPS, choices


def complete(incomplete: str) -> Iterator[str]:
    """Completions of a setting that is typed in part, as `key=value`."""
    key, equals, value = incomplete.partition("=")
    if not equals:
        begun = [f"{name}=" for name in words.every_key() if name.startswith(key)]
        yield from begun if len(begun) != 1 else list(complete(begun[0])) or begun
        return
    known = choices(key) if key in GROUPS else words.literals(key)
    before, comma, last = value.rpartition(",")
    given = before.split(",")
    yield from (f"{key}={before}{comma}{name}" for name in known if name.startswith(last) and name not in given)


def experiments(incomplete: str) -> list[str]:
    """The experiments that a word begins to name."""
    return [name for name in choices("experiment") if name.startswith(incomplete)]
