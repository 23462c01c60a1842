"""Labels of image files from metadata.csv or metadata.jsonl, as data set hubs lay image folders out."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..errors import DataUnavailable
from . import sources
from .labels import meant

NAMES = ("metadata.csv", "metadata.jsonl")
FILE, LABELS = "file_name", ("label", "fine_label", "class")  # columns


def labels(tables: Sequence[Path], root: Path, column: str | None) -> dict[str, int | str]:
    """Image (its path below `root`) -> label, from the rows of all tables. File names are below the table's folder."""
    found: dict[str, int | str] = {}
    for table in tables:
        folder = os.path.dirname(os.path.relpath(table, root))
        for number, row in enumerate(_rows(table), start=1):
            where = f"row {number} of {table}"
            if not isinstance(name := row.get(FILE), str):
                what = f"{where} has no file's name in {FILE}: it has {', '.join(map(str, row)) or 'no columns'}"
                raise DataUnavailable(what, f"call the column of the image files' names {FILE}")
            given = row[sources.choose(column, LABELS, list(row), where, "task.label", [n for n in row if n != FILE])]
            if (label := meant(given)) is None:
                what = "has no label" if given in (None, "") else f"has no label but {given!s:.40}"
                raise DataUnavailable(f"{where} {what}", "a whole number or a name, or take the row and the image out")
            image = _image(folder, name)
            if found.setdefault(image, label) != label:
                raise DataUnavailable(
                    f"{where} labels {image} {label}, and one before it {found[image]}", "one row for it"
                )
    return found


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    with _opened(table) as lines:
        if table.suffix.lower() == ".csv":
            yield from csv.DictReader(lines, restkey="")
            return
        yield from (_object(line) for line in lines if line.strip())


def _object(line: str) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"{line.strip():.60} is no object with fields")
    return row


@contextmanager
def _opened(table: Path) -> Iterator[TextIO]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            yield lines
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise DataUnavailable(f"{table} cannot be read ({error})", "write it anew, in UTF-8") from error


def write(table: Path, root: Path, images: Collection[str], place: Path) -> None:
    """The rows that name one of these images (paths below `root`), in a new file; none where no row does."""
    folder = os.path.dirname(os.path.relpath(table, root))

    def wanted(name: Any) -> bool:
        return isinstance(name, str) and _image(folder, name) in images

    stream = io.StringIO(newline="")
    with _opened(table) as given:
        if table.suffix.lower() == ".csv":
            names, *rows = [*csv.reader(given)] or [[]]
            kept = [row for row in rows if wanted(dict(zip(names, row, strict=False)).get(FILE))]
            csv.writer(stream, lineterminator="\n").writerows([names, *kept] if kept else [])
        else:
            stream.writelines(line for line in given if line.strip() and wanted(_object(line).get(FILE)))
    if stream.getvalue():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(stream.getvalue(), encoding="utf-8", newline="")


def _image(folder: str, name: str) -> str:
    """The path below the root of an image that a table in `folder` names."""
    return os.path.normpath(os.path.join(folder, name)).replace(os.sep, "/")
