"""Tables: nested settings as columns, numbers as words, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Word = Callable[[Any], str]


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


def write(rows: pd.DataFrame, path: Path) -> None:
    """A table as .csv. Whole numbers are written as integers, beside missing values too (pandas makes those floats)."""
    floats = rows.select_dtypes("float")
    whole = {str(name): floats[name].astype("Int64") for name in floats if (floats[name].dropna() % 1 == 0).all()}
    rows.assign(**whole).to_csv(path, index=False)
