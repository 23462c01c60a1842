"""Labels of image files from metadata.csv, .jsonl or .parquet, as data set hubs lay image folders out."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DataUnavailable
from . import sources
from .labels import COLUMNS, meant

NAMES = ("metadata.csv", "metadata.csv.gz", "metadata.jsonl", "metadata.jsonl.gz", "metadata.parquet")
FILE = "file_name"  # the column of the images' names
WHOLE = re.compile(r"(-?\d+)\.0+")  # what a csv makes of whole numbers beside a missing one


def labels(tables: Sequence[Path], root: Path, column: str | None) -> dict[str, int | str]:
    """Image (its path below `root`) -> label, from the rows of all tables. File names are below the table's folder."""
    found: dict[str, int | str] = {}
    for where, image, given in values(tables, root, column, COLUMNS, "task.label"):
        if (label := meant(given)) is None:
            what = "has no label" if given in (None, "") else f"has no label but {given!s:.40}"
            raise DataUnavailable(f"{where} {what}", "a whole number or a name, or take the row and the image out")
        if found.setdefault(image, label) != label:
            raise DataUnavailable(f"{where} labels {image} {label}, and one before it {found[image]}", "one row for it")
    return found


def values(
    tables: Sequence[Path], root: Path, column: str | None, candidates: Sequence[str], setting: str
) -> Iterator[tuple[str, str, Any]]:
    """Of every row: where it is, the image that it names (a path below `root`), and what it holds in a column.

    The column is the one wanted, or the first of the candidates that there is; `setting` says which, in errors.
    """
    for table in tables:
        folder = os.path.dirname(os.path.relpath(table, root))
        for number, row in enumerate(_rows(table), start=1):
            where = f"row {number} of {table}"
            if not isinstance(name := row.get(FILE), str):
                what = f"{where} has no file's name in {FILE}: it has {', '.join(map(str, row)) or 'no columns'}"
                raise DataUnavailable(what, f"call the column of the image files' names {FILE}")
            given = row[sources.choose(column, candidates, list(row), where, setting, [n for n in row if n != FILE])]
            if isinstance(given, str) and (whole := WHOLE.fullmatch(given)) and sources.ending(table) == ".csv":
                given = whole[1]
            yield where, _image(folder, name), given


def write(table: Path, root: Path, images: Collection[str], place: Path) -> None:
    """The rows that name one of these images (paths below `root`), in a new file; none where no row does."""
    folder = os.path.dirname(os.path.relpath(table, root))

    def wanted(row: dict[str, Any]) -> bool:
        return isinstance(name := row.get(FILE), str) and _image(folder, name) in images

    if sources.ending(table) == ".parquet":
        rows = _parquet(table)
        rows = rows.filter([wanted(row) for row in rows.to_pylist()])
        if len(rows):
            from pyarrow.parquet import write_table

            place.parent.mkdir(parents=True, exist_ok=True)
            write_table(rows, place)
        return
    kept = io.StringIO(newline="")
    with _reading(table), sources.reading(table, newline="") as lines:
        if sources.ending(table) == ".csv":
            names, *lists = [*csv.reader(lines)] or [[]]
            chosen = [one for one in lists if wanted(dict(zip(names, one, strict=False)))]
            csv.writer(kept, lineterminator="\n").writerows([names, *chosen] if chosen else [])
        else:
            kept.writelines(line for line in lines if line.strip() and wanted(_object(line)))
    if kept.getvalue():
        place.parent.mkdir(parents=True, exist_ok=True)
        with sources.writing(place) as stream:
            stream.write(kept.getvalue())


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    if sources.ending(table) == ".parquet":
        yield from _parquet(table).to_pylist()
        return
    with _reading(table), sources.reading(table, newline="") as lines:
        if sources.ending(table) == ".csv":
            yield from csv.DictReader(lines, restkey="")
        else:
            yield from (_object(line) for line in lines if line.strip())


def _parquet(table: Path) -> Any:
    from pyarrow.parquet import ParquetFile

    with _reading(table):
        return ParquetFile(table).read()


def _object(line: str) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"{line.strip():.60} is no object with fields")
    return row


@contextmanager
def _reading(table: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, csv.Error, RecursionError) as error:  # of pyarrow: ValueErrors and OSErrors
        raise DataUnavailable(f"{table} cannot be read ({error})", "write it anew, in UTF-8") from error


def _image(folder: str, name: str) -> str:
    """The path below the root of an image that a table in `folder` names."""
    return os.path.normpath(os.path.join(folder, name)).replace(os.sep, "/")
