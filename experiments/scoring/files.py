"""Score files, aligned by the examples' ids and never by their order: .npy, .csv, .parquet. Higher is harder."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..contracts import Floats, Indices
from ..data import sources
from ..errors import ConfigError, DataUnavailable, LabError

Ids = NDArray[np.str_]
SUFFIXES = ".npy, .csv or .parquet"
FORM = "the form that `prune-lab score export=scores.csv` writes for the same task"


def read(path: str | Path, ids: Ids, labels: Indices | None = None) -> tuple[Floats, str]:
    """(N,) scores in the order of `ids`, and a note that says how they were aligned.

    .csv and .parquet have a column `id` (or `image`) and a column `score` of numbers. An id is looked up as it is, or
    else by its file name where that is unique on both sides and no folder contradicts: `1.png` is `train/cat/1.png`,
    `test/1.png` is not. More ids than the N are allowed: a larger pool's file serves.
    .npy has no ids, so it has exactly N scores, in the order of the training split.
    Where a column `label` has other numbers than `labels` (N,), the note warns: it may be of other data.
    """
    path = Path(path)
    if not path.is_file():
        raise DataUnavailable(f"there is no score file {path}", "scorer.path=FILE")
    suffix = sources.ending(path)
    if suffix == ".npy":
        scores = _array(path, ids)
        given = pd.Series(scores)
        note = f"{path.name}: {len(ids)} scores in the order of the training split: {_some(ids)}"
    elif suffix in (".csv", ".parquet"):
        found, values = _table(path)
        rows, note = _align(path, found, ids)
        given = values.iloc[rows, 0]
        note += "" if labels is None or values.shape[1] == 1 else _differing(values.iloc[rows, 1], labels)
        scores = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        raise ConfigError(f"{path.name} is not a score file: expected {SUFFIXES}", FORM)
    wrong = ~np.isfinite(scores)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        what = f"{path.name}: {wrong.sum()} of {len(ids)} scores are not finite numbers, e.g. {_some(ids[wrong])}"
        mend = "give every training example a finite score, with a decimal point"
        raise ConfigError(f"{what}; the first is {str(given.iloc[first])[:50]!r}", mend)
    if len(scores) > 1 and scores.min() == scores.max():
        raise ConfigError(
            f"{path.name}: all {len(scores)} scores are {scores[0]:g}, and rank nothing", "rule=random needs no scores"
        )
    return scores, note


def write(path: str | Path, ids: Ids, scores: Floats, labels: Indices | None) -> None:
    """Write scores that `read` takes back: columns id, score and, where there are classes, label; .npy scores alone."""
    path = Path(path)
    assert scores.shape == (len(ids),), f"scores of shape {scores.shape} for {len(ids)} ids"
    if path.suffix == ".npy":
        np.save(path, scores.astype(np.float64))
        return
    table = pd.DataFrame({"id": ids.astype(str), "score": scores.astype(np.float64)})
    if labels is not None:
        table["label"] = labels
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        raise ConfigError(f"cannot write scores to {path.name}: expected {SUFFIXES}")


def _differing(given: pd.Series[Any], labels: Indices) -> str:
    """A warning where labels, as far as they are numbers, are not those of the same examples."""
    theirs = pd.to_numeric(given, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    number = int((np.isfinite(theirs) & (theirs != labels)).sum())
    return f"; warning: {number} of {len(labels)} labels are not the task's: is it of other data?" if number else ""


def _array(path: Path, ids: Ids) -> Floats:
    try:
        scores = np.load(path, mmap_mode="r", allow_pickle=False)  # a header may promise more than there is
    except (ValueError, OSError, EOFError) as error:
        raise DataUnavailable(
            f"{path.name} is no plain array of numbers ({error}); pickles are refused, since reading one runs code",
            "numpy.save(path, scores.astype('float64'))",
        ) from error
    if not isinstance(scores, np.ndarray) or scores.dtype.kind not in "fiu":
        raise ConfigError(f"{path.name} does not hold one array of numbers", FORM)
    if scores.shape != ids.shape:
        raise ConfigError(
            f"{path.name} has shape {scores.shape} and the training split {len(ids)} examples; "
            "without ids there is no telling which score is whose",
            f"a .csv with the columns id and score; the ids are {_some(ids)}",
        )
    return np.array(scores, dtype=np.float64)


def _table(path: Path) -> tuple[Ids, pd.DataFrame]:
    """Ids (R,), and what is given for scores and labels (R, 1 or 2), in the file's order."""
    try:
        table = _csv(path) if sources.ending(path) == ".csv" else _parquet(path)
    except LabError:
        raise
    except Exception as error:  # the csv module, pandas and pyarrow raise a dozen types for a damaged file
        raise DataUnavailable(f"{path.name} cannot be read as {path.suffix[1:]}: {error}", FORM) from error
    return table.iloc[:, 0].astype(str).to_numpy(dtype=np.str_), table.iloc[:, 1:]


def _columns(path: Path, names: Sequence[str], rows: int) -> list[int]:
    """Where the ids, the scores and, if they are there, the labels are."""
    for name in ("id", "image", "score", "label"):
        if names.count(name) > 1:
            raise ConfigError(f"{path.name} has {names.count(name)} columns called {name}", f"one column {name}")
    column = next((name for name in ("id", "image") if name in names), None)
    if column is None or "score" not in names or not rows:
        there = f"{rows} rows of the columns {', '.join(names)}"
        raise ConfigError(f"{path.name} has {there}; it needs id (or image) and score", FORM)
    return [names.index(name) for name in (column, "score", "label") if name in names]


def _parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet as parquet
    from pyarrow import types

    file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    places = _columns(path, schema.names, file.metadata.num_rows)
    kind = schema.types[places[1]]
    kind = kind.value_type if types.is_dictionary(kind) else kind
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if not (text or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
        raise ConfigError(f"{path.name}: the column score is of {kind}, and a score is a number", "scores as float64")
    names = [schema.names[place] for place in places]
    table: pd.DataFrame = file.read(columns=names).select(names).to_pandas(ignore_metadata=True)  # no column as index
    return table


def _csv(path: Path) -> pd.DataFrame:
    """As text: an id 007 stays 007, and NA is an id like any other. A row with more values than columns is refused."""
    with sources.reading(path, newline="") as file:
        lines = csv.reader(file, skipinitialspace=True)
        names = [name.strip() for name in next(lines, [])]
        if separator := next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0]), None):
            raise ConfigError(
                f"{path.name} is separated by {separator!r} (its first line is {names[0]!r}), not by commas",
                f"pandas.read_csv(path, sep={separator!r}).to_csv(path, index=False)",
            )
        rows = []
        for row in lines:
            if any(row[len(names) :]):
                what = f"{len(row)} values ({','.join(row)[:50]!r}) for {len(names)} columns"
                mend = "a decimal point in scores, and quotes around an id with a comma"
                raise ConfigError(f"{path.name}, line {lines.line_num}: {what}", mend)
            if row:
                rows.append([*row, *[""] * len(names)][: len(names)])
    places = _columns(path, names, len(rows))
    return pd.DataFrame([[row[place] for place in places] for row in rows], dtype=str)


def _align(path: Path, found: Ids, ids: Ids) -> tuple[Indices, str]:
    """(N,) row of the file for each id."""
    unique, times = np.unique(found, return_counts=True)
    if (times > 1).any():
        raise ConfigError(
            f"{path.name}: {(times > 1).sum()} ids occur more than once, e.g. {_some(unique[times > 1])}",
            "leave one row for each id",
        )
    exact = {name: row for row, name in enumerate(found.tolist())}
    rows = np.array([exact.get(name, -1) for name in ids.tolist()], dtype=np.int64)
    unmatched = np.flatnonzero(rows < 0)
    ambiguous, contradicted = list[int](), list[tuple[str, str]]()
    if unmatched.size:
        by_name, of_ids = _by_file_name(found), _by_file_name(ids)
        for number in unmatched.tolist():
            name = _file_name(str(ids[number]))
            candidates = by_name.get(name, [])
            if len(candidates) > 1 or (candidates and len(of_ids[name]) > 1):
                ambiguous.append(number)
            elif candidates and _contradict(str(found[candidates[0]]), str(ids[number])):
                contradicted.append((str(found[candidates[0]]), str(ids[number])))
            elif candidates:
                rows[number] = candidates[0]
    missing = rows < 0
    if missing.any():
        several = f"; {len(ambiguous)} of them share a file name with another id: {_some(ids[ambiguous])}"
        several = several if ambiguous else ""
        mend = f"score every training example, in {FORM}"
        if contradicted:
            theirs, ours = contradicted[0]
            several += f"; the folders of {len(contradicted)} contradict the file's, as in {theirs!r} and {ours!r}"
            mend = f"scores of these very examples, whose ids are {_some(ids[missing])}"
        what = (
            f"{path.name}: {missing.sum()} of {len(ids)} training examples have no score{several}. The first id in the "
            f"file is {str(found[0])!r}, the first missing {str(ids[missing][0])!r}"
        )
        if start := _beginning(found, ids[missing]):
            what, mend = f"{what}; with {start!r} before them all are there", f"take {start!r} off the file's ids"
        elif start := _beginning(ids, found):
            what, mend = f"{what}; the file's ids lack {start!r}", f"put {start!r} before the file's ids"
        raise ConfigError(what, mend)
    note = f"{path.name}: {len(ids)} scores aligned by id"
    if unmatched.size:
        note += f" ({unmatched.size} by file name alone)"
    if extra := len(found) - len(ids):
        note += f"; {extra} more ids in the file are not training examples here"
    return rows, note


def _contradict(one: str, other: str) -> bool:
    """Whether the folders of two ids differ where both have one: neither is the end of the other."""
    parts = zip(*(reversed(name.replace("\\", "/").split("/")) for name in (one, other)), strict=False)
    return any(mine != theirs for mine, theirs in parts)


def _beginning(longer: Ids, shorter: Ids) -> str | None:
    """What stands before every one of `shorter` in `longer`, where that is one and the same. Said, never acted on."""
    known, first = set(longer.tolist()), str(shorter[0])
    starts = {name[: -len(first)] for name in known if name.endswith(f"/{first}")}
    return next((start for start in sorted(starts) if known.issuperset(start + name for name in shorter)), None)


def _by_file_name(ids: Ids) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for row, name in enumerate(ids.tolist()):
        groups.setdefault(_file_name(name), []).append(row)
    return groups


def _file_name(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _some(ids: Ids) -> str:
    """The first three, for a message."""
    return ", ".join(repr(name) for name in ids[:3].tolist()) + (", …" if len(ids) > 3 else "")
