"""A second text beside the task's own: as documents, or in windows of the tokens that the task's tokenizer makes of it.

It is found and read like the task's. What goes wrong then names the settings that the second text came from.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal

import numpy as np

from ..contracts import Examples
from ..errors import Names, calling, renamed
from . import sources, text
from .documents import Documents


def fingerprint(name: str, path: str | None, *, names: Names) -> str:
    """Of all of its files, like a task's."""
    with calling(names):
        return text.fingerprint(name, path)


def documents(
    name: str, path: str | None, part: Literal["train", "test"], *, column: str, limit: int | None, names: Names
) -> Documents:
    """The source's part of that name, or all of it where it has no parts; with notes on the choice."""
    with calling(names):
        parts, notes = text.parts_of(text.Source(name, path, column, limit), (part, "all"))
        found = parts[part] if part in parts else parts["all"]
        notes = [*notes, f"its {part} part" if part in parts else "all of it: it has no parts"]
    notes = [renamed(note, names) for note in [*notes, *found.notes]]
    return Documents(found.ids, found.texts, found.groups, notes)


def windows(
    name: str,
    path: str | None,
    *,
    tokenizer: bytes,
    context: int,
    column: str,
    limit: int | None,
    names: Names,
) -> tuple[Examples, tuple[str, ...]]:
    """The test part (or all, where there are no parts) in windows of `context`, and notes. Nothing of it is trained on.

    A byte-level BPE has tokens for every text, and `units` counts the bytes that they stand for: bits per byte compare
    with those of the task's own text, however many tokens a word needs.
    """

    def cut() -> sources.Arrays:
        from tokenizers import Tokenizer

        found = documents(name, path, "test", column=column, limit=limit, names=names)
        arrays = text.encode(Tokenizer.from_str(tokenizer.decode()), found, "test")
        made = text.windows(arrays, context)
        return {**made, "notes": np.array([*found.notes, f"{len(found.ids)} documents"], np.str_)}

    content = (fingerprint(name, path, names=names), column, limit, context, tokenizer.decode(), version("tokenizers"))
    arrays = sources.cached_arrays(f"{sources.key_of(name, *content)}-second", cut)
    return text.examples_of(arrays, "test", name, context), tuple(map(str, arrays["notes"]))
