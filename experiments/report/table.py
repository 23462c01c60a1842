"""Records as tables: settings as today's code would write them, as columns and as words; files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from .. import choices
from ..contribution.settings import Search
from ..training.recipes import Recipe

Word = Callable[[Any], str]
SECTIONS = {"recipe": Recipe, "search": Search}


def completed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with every setting that its choices and sections have today.

    Keys leave out defaults (phases/plan.py): the older run and a run of today are one.
    """
    found = dict(recipe)
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            section = SECTIONS.get(name)
            found[name] = choices.with_defaults(section, value) if section else choices.completed(name, value)
    return found


def seedless(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe is but for the seed; one that runs of all seeds share is a setting."""
    rule = choices.completed("rule", {"name": recipe["rule"]}) if "rule" in recipe else {}  # whose settings lie beside
    return without(rule | completed(recipe), *(() if recipe.get("shared") else ("seed",)))


def fact(kind: str, name: str | None, fact: str) -> Any:
    """What a choice says of itself; None where the registry has none, as of a plug-in that is not loaded."""
    return getattr(choices.get(kind, name), fact, None) if name in choices.names(kind) else None


def differing(kind: str, name: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a choice's recorded settings that are not at their defaults."""
    fields = choices.get(kind, name).model_fields if name in choices.names(kind) else {}
    return {one: value for one, value in recorded.items() if one not in fields or fields[one].default != value}


def dotted(settings: Mapping[str, Any], word: Word = str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every setting; several values are one, joined by commas."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from dotted(value, word, f"{prefix}{name}.")
        else:
            yield prefix + name, ",".join(map(word, value)) if isinstance(value, list | tuple) else value


def without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def number(value: Any) -> str:
    """2 rather than 2.0."""
    return f"{value:g}" if isinstance(value, float | int) else str(value)


def cell(value: Any, form: str = "{:.6g}") -> str:
    """A value of a table as words; nothing where it is missing."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else form.format(value)
    return str(value)


def name_of_task(task: Mapping[str, Any]) -> str:
    """As in `imdb and pydoc`, where one text is mixed into another."""
    mixed = task.get("mixed")
    return str(task["name"]) + (f" and {mixed['name']}" if mixed else "")


def write(rows: pd.DataFrame, path: Path | TextIO) -> None:
    """A table as .csv, to a file or a stream.

    Whole numbers are written as integers, beside missing values too (pandas makes those floats).
    """
    floats = rows.select_dtypes("float")
    whole = {str(name): floats[name].astype("Int64") for name in floats if (floats[name].dropna() % 1 == 0).all()}
    rows.assign(**whole).to_csv(path, index=False)
