"""The groups that task.group names: a column of the records that the training examples were read from, or folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import TaskChoice
from ..errors import ConfigError, DataUnavailable
from . import documents, metadata, records, sources
from .groups import Names, document_ids, folders
from .labels import meant

FOLDER = "folder"  # of each document, in place of a column
MOST = 1_000  # groups: more are no groups but names of examples
CAN = "of names or whole numbers"  # what a column of groups is
NONE = "none"  # of a record without a value
OTHER = "task.group=COLUMN with the name of another column, or leave task.group out"


def named(task: TaskChoice, column: str, ids: Names) -> Names:
    """(N,) the group of each training example, called `column=value`. ConfigError where that makes no groups."""
    setting = f"task.group={column}"
    if task.reads == "text" and column == FOLDER:
        values = folders(ids)
    else:
        group_by_record = _column(task, column)
        record_ids = document_ids(ids) if task.reads == "text" else ids.tolist()
        values = [group_by_record.get(name, NONE) for name in record_ids]  # metadata may lack an image
    number = len(set(values))
    if number == 1:
        raise ConfigError(f"{setting} makes one group of all {len(ids):,} training examples ({values[0]})", OTHER)
    if number > MOST:
        what = f"{setting} makes {number:,} groups of {len(ids):,} training examples, and {MOST:,} are the most"
        raise ConfigError(what, OTHER)
    return np.array([f"{column}={value}" for value in values])


def _column(task: TaskChoice, column: str) -> dict[str, str]:
    """The value of a column by the id of its record."""
    found = records.of(task)
    if found.root is None or not (found.tables or found.ending in (".parquet", ".jsonl", ".csv")):
        what = f"task.group={column} names a column, and {found.reader} has none"
        raise ConfigError(what, f"task.group={FOLDER}" if task.reads == "text" else "task.group=null: classes")
    if found.tables:
        rows = list(metadata.values(found.tables, found.root, column, (), "task.group"))
    else:
        ids = (one for of_file in found.ids() for one in of_file)
        read = (row for file in found.files for row in _values(file, column))
        rows = [(where, name, value) for name, (where, value) in zip(ids, read, strict=True)]
    return {name: _group(value, where, column) for where, name, value in rows}


def _group(value: Any, where: str, column: str) -> str:
    if value is None or value == "" or value != value:  # NaN differs from NaN
        return NONE
    if (group := meant(value)) is None:
        what = f"{where} holds {value!s:.40} in {column}, of type {type(value).__name__}"
        raise DataUnavailable(what, f"task.group=COLUMN, one {CAN}")
    return str(group)


def _values(file: Path, column: str) -> Iterator[tuple[str, Any]]:
    """Where each record of a file is, and what it holds in the column; None where it lacks the column."""
    if sources.ending(file) == ".parquet":
        yield from _of_parquet(file, column)
        return
    fields: Sequence[str] = ()
    there = False
    for where, record in documents.records(file):
        there = there or column in record
        fields = fields or [*record]
        yield where, record.get(column)
    if not there:
        sources.choose(column, (), fields, file.name, "task.group", can=CAN)


def _of_parquet(file: Path, column: str) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        sources.choose(column, (), table.schema_arrow.names, file.name, "task.group", can=CAN)
        values = table.read(columns=[column]).column(column).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataUnavailable(f"{file} cannot be read: {error}", "copy the file again") from error
    yield from ((f"row {row} of {file}", value) for row, value in enumerate(values))
