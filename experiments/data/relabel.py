"""Labels from a file of the user's, by id: human relabels, or corrections. Those that differ count as label noise."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..contracts import Data, Examples, Indices, TaskChoice
from ..errors import ConfigError, DataUnavailable
from . import sources
from .labels import allowed, meant

IDS, LABELS = ("id", "image", "file_name"), ("class", "label")  # columns
FORM = "a .csv with the columns id and label, as `prune-lab prune keep=1 rule=random export=labels.csv` writes one"


def fingerprint(own: str, path: str | None) -> str:
    """The data's own fingerprint, and the hash of the file of labels where there is one."""
    if path is None:
        return own
    try:
        content = Path(path).expanduser().read_bytes()  # its name does not count
    except OSError as error:
        what = f"the file task.labels={path} cannot be read ({error.strerror})"
        raise DataUnavailable(what, "task.labels=FILE, .csv or .npy") from error
    return sources.key_of("labels", own, hashlib.sha256(content).hexdigest())


def relabelled(data: Data, task: TaskChoice, path: str) -> Data:
    """The data with the file's labels; `noisy` marks those that are not the data's own.

    The file has every training example. It has all of dev and of test too, or none of them: they keep their own then.
    """
    file = Path(path).expanduser()
    given = _array(file, task) if file.suffix.lower() == ".npy" else _table(file, data.classes)
    ids = {split: examples.ids.tolist() for split, examples in data.splits.items()}
    known = {one for names in ids.values() for one in names}
    if unknown := [one for one in given if one not in known]:
        what = f"{file.name} has {len(unknown)} of {len(given)} ids that no example has; the first is {unknown[0]!r}"
        raise ConfigError(f"{what}, and the first of train {ids['train'][0]!r}", f"take them out, or write {FORM}")
    numbers = _numbers(given, data.classes, file)
    splits, notes = dict(data.splits), []
    for split, names in ids.items():
        missing = [one for one in names if one not in numbers]
        if missing and (split == "train" or len(missing) < len(names)):
            what = f"{file.name} has no label for {len(missing)} of {len(names)} {split} examples"
            raise ConfigError(f"{what}; the first is {missing[0]!r}", f"a row for each, in {FORM}")
        if names and not missing:
            splits[split] = found = _replaced(data.splits[split], [numbers[one] for one in names])
            assert found.noisy is not None
            notes.append(f"{int(found.noisy.sum())} of {len(names)} {split} labels differ from the data's own")
    note = f"labels are read from {file.name}: {', '.join(notes)}; they count as label noise"
    return replace(data, splits=splits, notes=(*data.notes, note))


def _replaced(examples: Examples, labels: list[int]) -> Examples:
    targets: Indices = np.array(labels, np.int64)
    return replace(examples, targets=targets, noisy=targets != examples.targets)


def _numbers(given: Mapping[str, Any], classes: tuple[str, ...], file: Path) -> dict[str, int]:
    """id -> class. A label is a class's name, or else its number, counted from 0."""
    places = {name: place for place, name in enumerate(classes)}
    numbers: dict[str, int] = {}
    for one, value in given.items():
        label = _meant(value)
        place = places.get(str(label), label if isinstance(label, int) else -1)
        if not 0 <= place < len(classes):
            what = f"{file.name}: the label of {one} is {value!s:.40}; {allowed(0, classes)}"
            raise ConfigError(what, "give it the label of one of these")
        numbers[one] = place
    return numbers


def _meant(value: Any) -> int | str | None:
    """A label as it is meant: `"3"` and `3.0` are 3."""
    try:
        return meant(float(value)) if not isinstance(value, bool) else meant(value)
    except (TypeError, ValueError, OverflowError):
        return meant(value)


def _array(file: Path, task: TaskChoice) -> dict[str, Any]:
    """id -> label, of an array in the order in which the source's own records are counted."""
    from . import records

    try:
        values = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        what = f"{file.name} is no plain array ({error}); pickles are refused, since reading one runs code"
        raise DataUnavailable(what, "numpy.save(path, labels) of an array of whole numbers or names") from error
    source = records.of(task)
    ids = [one for names in source.ids() for one in names]
    if not isinstance(values, np.ndarray) or values.shape != (len(ids),):
        shape = getattr(values, "shape", "of no array")
        what = f"{file.name} has shape {shape}, and there are {len(ids)} of {source.reader}"
        raise ConfigError(what, f"one label for each of them, in this order; or {FORM}")
    return dict(zip(ids, values.tolist(), strict=True))


def _table(file: Path, classes: tuple[str, ...]) -> dict[str, Any]:
    """id -> label, of a table with one row an id."""
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (ValueError, OSError) as error:  # of pandas: a ParserError, an EmptyDataError, a UnicodeDecodeError
        raise DataUnavailable(f"{file.name} cannot be read as csv: {error}", FORM) from error
    columns = list(map(str, table.columns))
    name = next((one for one in IDS if one in columns), None)
    named = [one for one in LABELS if one in columns]
    if name is None or not named or not len(table):
        raise ConfigError(f"{file.name} has {len(table)} rows of the columns {', '.join(columns)}", FORM)
    if not table[name].is_unique:
        again = table[name][table[name].duplicated()].iloc[0]
        raise ConfigError(f"{file.name} has two rows of {again}", "leave one row for each id")
    if len(named) == 2:
        _agree(file, table, name, classes)
    return dict(zip(table[name], table[named[0]], strict=True))


def _agree(file: Path, table: pd.DataFrame, name: str, classes: tuple[str, ...]) -> None:
    """Refuse rows whose class and label are of two classes: one of them was changed, and the other was not."""
    for one, said, label in zip(table[name], table["class"], table["label"], strict=True):
        place = classes.index(said) if said in classes else None
        if label != said and _meant(label) != place:
            what = f"{file.name}: {one} has class {said} and label {label}, which are two classes"
            raise ConfigError(what, "take the column out that you did not change")
