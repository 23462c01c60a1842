"""A second text beside the task's own: as documents, or in windows of the tokens that the task's tokenizer makes of it.

It is found and read like the task's. What goes wrong then names the settings that the second text came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Literal

import numpy as np

from ..contracts import Examples
from ..errors import LabError
from . import sources, text
from .documents import Documents, read, standard_library

Names = Mapping[str, str]  # what a setting of the task is called here: {"task.path": "shifted.path"}


def fingerprint(name: str, path: str | None, *, names: Names) -> str:
    """Of all of its files, like a task's."""
    with _called(names):
        return text.fingerprint(name, path)


def documents(
    name: str, path: str | None, part: Literal["train", "test"], *, column: str, limit: int | None, names: Names
) -> Documents:
    """The source's part of that name, or all of it where it has no parts; with notes on the choice."""
    with _called(names):
        if name == "pydoc":
            found, notes = standard_library(limit), ["pydoc: all of it"]
        else:
            root, files, notes = text.find(name, path)
            part_read = part if part in files else "all"
            found = read(files[part_read], root, part_read, column=column, limit=limit, stories=name == "tinystories")
            notes = [*notes, f"its {part} part" if part in files else "all of it: it has no parts"]
    notes = [_renamed(note, names) for note in [*notes, *found.notes]]
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


@contextmanager
def _called(names: Names) -> Iterator[None]:
    try:
        yield
    except LabError as error:
        mend = None if error.mend is None else _renamed(error.mend, names)
        raise type(error)(_renamed(error.what, names), mend) from error


def _renamed(sentence: str, names: Names) -> str:
    """The sentence with the task's settings called by their names here."""
    for ours, theirs in names.items():
        sentence = re.sub(rf"(?<![\w./]){re.escape(ours)}\b", theirs, sentence)
    return sentence
