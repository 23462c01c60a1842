"""The files that training examples were read from, record by record: what an index counts, and what export writes out.

A record is an image file, a text file, a row of parquet, a line of jsonl or a piece of one text file.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contracts import Data, Indices, TaskChoice
from ..errors import ConfigError, DataUnavailable
from . import digits, documents, images, metadata, sources, tables, text, texts
from .parts import names_of

ALONE = ""  # the ending of a source whose files are one record each
NOT_OF_FOLDERS = (".gif",)  # images that torchvision.datasets.ImageFolder leaves out


@dataclass(frozen=True, slots=True)
class Records:
    """The records of the train part (or of all, where there are no parts), in the order in which they are counted."""

    files: tuple[Path, ...]
    ids: Callable[[], list[list[str]]]  # of the records of each file; examples have the same ids
    reader: str  # who counts them in this order
    root: Path | None = None  # None: there are no files to write out
    ending: str = ALONE  # of files that hold several records each
    between: str = ""  # what separates the pieces of a text file
    tables: tuple[Path, ...] = ()  # metadata files, whose rows name images


def of(task: TaskChoice) -> Records:
    """The records of a task's source; ConfigError where there is none."""
    if isinstance(task, images.ImageTask):
        return _of_images(task)
    if isinstance(task, texts.TextTask):
        return _of_text(task)
    if isinstance(task, digits.Digits):
        return Records((Path("digits"),), lambda: [digits.names()], "sklearn.datasets.load_digits")
    whole = f"the training split of task={task.name} before task.examples and task.classes cut it"
    return Records((Path(task.name),), lambda: [task.load().splits["train"].ids.tolist()], whole)


def are_parquet(task: TaskChoice) -> bool:
    """Whether a task's records are rows of parquet."""
    if isinstance(task, images.ImageTask):
        return images.find(task.name, task.path).layout == "parquet"
    if not isinstance(task, texts.TextTask) or task.mixed is not None or task.embedded:
        return False
    return next(iter(text.find(task.name, task.path)[1].values()))[0].suffix.lower() == ".parquet"


def _of_images(task: images.ImageTask) -> Records:
    source = images.find(task.name, task.path)
    part, files = next(iter(source.parts.items()))
    if source.layout == "parquet":
        return Records(files, lambda: _split(tables.ids(files, part), _rows(files)), _load_dataset(files), source.root,
                       ".parquet")  # fmt: skip
    if source.layout != "folders":
        return Records(files[:1], lambda: [_of_train(task.load())], "torchvision.datasets.CIFAR10(train=True)")
    root = source.root
    places = [names_of(file, root) for file in files]
    below = [source.below[place[:-1]] for place in places]  # from the class's folder on
    above = {place[:-1][: -len(rest)] if rest and place[:-1][-len(rest) :] == rest else None
             for place, rest in zip(places, below, strict=True)}  # fmt: skip
    first = next(iter(above))
    if len(above) > 1 or first is None or any(file.suffix.lower() in NOT_OF_FOLDERS for file in files):
        order, reader = sorted(range(len(files)), key=lambda row: places[row]), f"the images of {root}, sorted by path"
    else:
        order = sorted(range(len(files)), key=lambda row: (below[row][0], "/".join(places[row][:-1]), places[row][-1]))
        reader = f"torchvision.datasets.ImageFolder({str(root.joinpath(*first))!r})"
    ids = [["/".join(places[row])] for row in order]
    return Records(tuple(files[row] for row in order), lambda: ids, reader, root, tables=source.tables)


def _of_train(data: Data) -> list[str]:
    """The ids of a train part of which dev was carved out, in the order of their numbers."""
    return sorted(one for split in ("train", "dev") for one in data.splits[split].ids.tolist())


def _of_text(task: texts.TextTask) -> Records:
    if task.mixed is not None or task.embedded:
        why = "is embedded" if task.embedded else "with task.mixed joins two sources"
        raise ConfigError(f"task={task.name} {why}: no file has its records", "export=kept.csv, a table of ids")
    root, parts, _ = text.find(task.name, task.path)
    part, files = next(iter(parts.items()))
    ending, stories = documents.kind(files[0]), task.name == "tinystories"
    if documents.apart(files, stories=stories):
        ids = [file.relative_to(root).as_posix() for file in files]
        return Records(files, lambda: [[one] for one in ids], f"the .txt files of {root}, sorted by path", root)
    reader = _load_dataset(files) if ending != ".txt" else f"the pieces of {files[0].name}"
    between = f"\n{documents.STORY_END}\n" if stories else "\n\n"

    def names() -> list[list[str]]:
        numbers = _rows(files) if ending == ".parquet" else [
            sum(1 for _ in _pieces(file, ending, between)) for file in files
        ]  # fmt: skip
        return _split([f"{part}/{number:05}" for number in range(sum(numbers))], numbers)

    return Records(files, names, reader, root, ending, between if ending == ".txt" else "")


def _load_dataset(files: Sequence[Path]) -> str:
    """How the library `datasets` reads them in this order."""
    kind = {".parquet": "parquet", ".csv": "csv"}.get(sources.ending(files[0]), "json")
    some = ", ".join(file.name for file in files[:2]) + (", …" if len(files) > 2 else "")
    return f"datasets.load_dataset({kind!r}, data_files=[{some}], split='train')"


def _rows(files: Sequence[Path]) -> list[int]:
    import pyarrow.parquet as pq

    return [pq.read_metadata(file).num_rows for file in files]


def _split(names: Sequence[str], numbers: Sequence[int]) -> list[list[str]]:
    ends = np.cumsum([0, *numbers])
    return [list(names[start:end]) for start, end in pairwise(ends)]


# ---- index -----------------------------------------------------------------------------------------------------------


def index(records: Records, kept: Collection[str]) -> tuple[Indices, int]:
    """(n,) the places of these examples among all records, sorted; and the number of records."""
    names = np.array([one for ids in records.ids() for one in ids])
    return np.flatnonzero(np.isin(names, list(kept))), len(names)


# ---- writing ---------------------------------------------------------------------------------------------------------


def check(records: Records, task: TaskChoice, export: str, *, folder: bool) -> None:
    """Refuse a form in which these records cannot be written, before anything runs."""
    ending = Path(export).suffix
    if records.root is None:
        what = f"export={export} is a copy of the data, and task={task.name} has no files to copy from"
        raise ConfigError(what, "export=kept.npy, which places they have; or export=kept.csv, a table of ids")
    if not folder and ending != records.ending:
        what = f"export={export} are records of {ending}, and the data are {records.ending or 'files of one record'}"
        one = f", or export=kept{records.ending}, one file" if records.ending in (".jsonl", ".parquet") else ""
        raise ConfigError(what, f"export=kept, a folder of files like those that were read{one}")


def write(records: Records, kept: Collection[str], place: Path, *, folder: bool, linked: str) -> None:
    """The records with these ids: into one file, or into a new folder with the same file names below it."""
    root = records.root
    assert root is not None
    names = set(kept)
    chosen = [np.array([one in names for one in ids], bool) for ids in records.ids()]
    there = [(file, of_file) for file, of_file in zip(records.files, chosen, strict=True) if of_file.any()]
    if not folder:
        _write(records, there, place)
        return
    for file, of_file in there:
        beside = place.joinpath(*names_of(file, root))
        beside.parent.mkdir(parents=True, exist_ok=True)
        if records.ending == ALONE:
            _copy(file, beside, linked)
        else:
            _write(records, [(file, of_file)], beside)
    for table in records.tables:
        metadata.write(table, root, names, place.joinpath(*names_of(table, root)))


def _copy(file: Path, place: Path, linked: str) -> None:
    """A link, or a copy where links are not wanted or the file system has none."""
    real = Path(os.path.realpath(file))
    try:
        if linked == "symbolic":
            place.symlink_to(real)
        elif linked == "hard":
            place.hardlink_to(real)
    except OSError:
        linked = "no"
    if linked == "no":
        shutil.copyfile(real, place)


def _write(records: Records, files: Sequence[tuple[Path, NDArray[np.bool_]]], place: Path) -> None:
    """The chosen records (R,) of each file, one after the other."""
    if records.ending == ".parquet":
        _write_tables(files, place)
        return
    pieces = (
        piece
        for file, chosen in files
        for piece, wanted in zip(_pieces(file, records.ending, records.between), chosen, strict=True)
        if wanted
    )
    with sources.writing(place) as stream:
        if records.ending == ".csv":
            stream.write(_line(next(documents.table(files[0][0]))))
        for number, piece in enumerate(pieces):
            stream.write((records.between if number else "") + piece)


def _pieces(file: Path, ending: str, between: str) -> Iterator[str]:
    """The records of a text file: its pieces, the lines of jsonl that are not blank, or the rows of a csv as lines."""
    if ending == ".txt":
        yield from documents.pieces(file, documents.STORY_END if documents.STORY_END in between else None)
        return
    if ending == ".csv":
        yield from map(_line, islice(documents.table(file), 1, None))
        return
    yield from (line if line.endswith("\n") else f"{line}\n" for line in documents.lines(file) if line.strip())


def _line(row: Sequence[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow(row)
    return stream.getvalue()


def _write_tables(files: Sequence[tuple[Path, NDArray[np.bool_]]], place: Path) -> None:
    """Rows of parquet files with all their columns, the schema's metadata, compression and row groups of the first."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = pq.ParquetFile(files[0][0])
    schema, details = first.schema_arrow, first.metadata
    packed = details.row_group(0).column(0).compression if details.num_columns and details.num_row_groups else "SNAPPY"
    known = packed if packed != "UNCOMPRESSED" else "NONE"
    with pq.ParquetWriter(place, schema, compression=known) as writer:
        for file, chosen in files:
            table, start = pq.ParquetFile(file), 0
            for group in range(table.num_row_groups):
                rows: Any = table.read_row_group(group)
                wanted = chosen[start : start + len(rows)]
                start += len(rows)
                if not wanted.any():
                    continue
                try:
                    writer.write_table(rows.filter(pa.array(wanted)).select(schema.names).cast(schema))
                except (KeyError, pa.ArrowException) as error:
                    what = f"{file} and {files[0][0].name} have other columns, and one file has one schema ({error})"
                    raise DataUnavailable(what, "export=kept, a folder of one file each") from error
