"""Documents, read: text files, jsonl, parquet, and the interpreter's own documentation.

Their order, and which are drawn where not all are read, follow from their texts and never from the order of files.
"""

from __future__ import annotations

import ast
import csv
import inspect
import json
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from heapq import nsmallest
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ..contracts import Split
from ..errors import ConfigError, DataUnavailable
from ..seeds import derive
from . import sources

LETTERS = "abcdefghijklmnopq"  # of the pixels 0..16 of digits
KINDS = {
    ".parquet": ".parquet",
    ".jsonl": ".jsonl",
    ".ndjson": ".jsonl",
    ".txt": ".txt",
    ".json": ".json",
    ".csv": ".csv",
}
ENDINGS = (".parquet", *(kind + packed for kind in KINDS if kind != ".parquet" for packed in ("", *sources.PACKED)))
BESIDE = (".json", ".csv")  # kinds that are read where there is no other; .json has an object a line
CAN = "of strings"  # what a column of text is
ONE_A_LINE = "write each object in a line of its own: jq -c '.[]' a.json > a.jsonl"
LONGEST_FIELD = 2**31 - 1  # characters of a text in a csv
STORY_END = "<|endoftext|>"  # what separates the stories of TinyStories
TOPICS = "pydoc_data.topics"  # the texts of `help("if")` and the like; each is split for itself
NAMED = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
LIBRARY = 1  # version of what is read of the standard library: part of the cache's key
SHORTEST = 40  # characters: shorter docstrings say next to nothing
UNREAD = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "turtledemo", "ensurepip"}


@dataclass(frozen=True, slots=True)
class Documents:
    """Some documents: what a person calls them, their text, and the unit in which they are split."""

    ids: list[str]
    texts: list[str]
    groups: list[int]  # a hash of the module for docstrings, else of the text: copies are one unit
    notes: list[str]


def read(files: tuple[Path, ...], root: Path, part: str, *, column: str, limit: int | None, stories: bool) -> Documents:
    """A part's documents, at most `limit`; empty ones are skipped and counted. All files have the same ending."""
    notes: list[str] = []
    ending = kind(files[0])
    if ending == ".txt" and column != "text":
        raise ConfigError(f"task.column={column} names a field, and .txt files have none", "task.column=text")
    if apart(files, stories=stories):
        rows = ((file.relative_to(root).as_posix(), _decode(file)) for file in files)
    else:
        if ending == ".txt":
            where = f"at {STORY_END}" if stories else "at blank lines"
            notes.append(f"{', '.join(file.name for file in files)}: one file, split into documents {where}")
            texts = (text for file in files for text in pieces(file, STORY_END if stories else None))
        elif ending in (".jsonl", ".json", ".csv"):
            texts = (text for file in files for text in _records(file, column, files[0]))
        else:
            texts = (text for file in files for text in _parquet(file, column, files[0]))
        rows = ((f"{part}/{number:05}", text) for number, text in enumerate(texts))
    empty = 0

    def filled() -> Iterator[tuple[str, str, None]]:
        nonlocal empty
        for name, text in rows:
            if text.strip():
                yield name, text, None
            else:
                empty += 1

    documents = drawn(filled(), limit, f"documents of {part}")
    documents.notes[:0] = notes
    if empty:
        lacking = f" (records without {column} among them)" if ending not in (".parquet", ".txt") else ""
        documents.notes.append(f"{empty} empty documents of {part} skipped{lacking}")
    if not documents.ids:
        listed = ", ".join(map(str, files[:3])) + (", …" if len(files) > 3 else "")
        raise DataUnavailable(f"there is no text in {listed}", "task.path=FOLDER_OR_FILE, or task.column=COLUMN")
    return documents


def apart(files: Sequence[Path], *, stories: bool) -> bool:
    """Whether each file is one document."""
    return kind(files[0]) == ".txt" and len(files) > 1 and not stories


def kind(file: Path) -> str:
    """Which of the kinds a file is, packed or not."""
    ending = sources.ending(file)
    return ".jsonl" if ending == ".ndjson" else ending


def drawn(rows: Iterable[tuple[str, str, str | None]], limit: int | None, what: str) -> Documents:
    """Of (name, text, module or None) a random sample of `limit`, or all, in the order of a hash of the text.

    The same texts give the same sample and the same order, however their files are sorted.
    """
    number = 0

    def hashed() -> Iterator[tuple[int, str, str, str | None]]:
        nonlocal number
        for number, (name, text, module) in enumerate(rows, start=1):  # noqa: B007
            yield derive(0, f"documents {text}"), name, text, module

    found = sorted(hashed()) if limit is None else nsmallest(limit, hashed())
    notes = [f"{limit} of {number} {what} drawn at random (task.documents)"] if limit and limit < number else []
    groups = [key if module is None else derive(0, f"module {module}") for key, _, _, module in found]
    return Documents([name for _, name, _, _ in found], [text for _, _, text, _ in found], groups, notes)


def _decode(file: Path) -> str:
    with sources.reading(file, newline="") as stream:
        return stream.read()


def lines(file: Path) -> Iterator[str]:
    with sources.reading(file) as stream:
        yield from stream


def pieces(file: Path, separator: str | None) -> Iterator[str]:
    """A text file cut at a separator, or at blank lines."""
    gathered: list[str] = []
    for line in lines(file):
        ended, *more = line.split(separator) if separator else ([line] if line.strip() else ["", ""])
        gathered.append(ended)
        for begun in more:
            if text := "".join(gathered).strip("\r\n"):
                yield text
            gathered = [begun]
    if text := "".join(gathered).strip("\r\n"):
        yield text


def _records(file: Path, column: str, first: Path) -> Iterator[str]:
    """The text of each record; a record without the field counts as empty, and one of all must have it."""
    lacking: tuple[str, dict[str, Any]] | None = None
    found = False
    for where, fields in records(file):
        if column in fields:
            found = True
            yield _text(fields[column], where, [name for name, value in fields.items() if isinstance(value, str)])
        else:
            lacking = lacking or (where, fields)
            yield ""
    if lacking is not None and not found:
        _differs(file, column, first)
        where, fields = lacking
        texts = [name for name, value in fields.items() if isinstance(value, str)]
        sources.choose(column, (), list(fields), where, "task.column", texts, CAN)


def records(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each record of a csv or of jsonl is, and its fields."""
    return _rows(file) if kind(file) == ".csv" else _objects(file)


def _objects(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each line of jsonl is, and its fields."""
    for number, line in enumerate(lines(file), start=1):
        if not line.strip():
            continue
        where = f"line {number} of {file}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            mend = "mend the line or take it out" if kind(file) == ".jsonl" else ONE_A_LINE
            raise DataUnavailable(f"{where:.300} is not JSON ({error})", mend) from error
        if not isinstance(record, dict):
            raise DataUnavailable(f"{where} is not an object with fields", ONE_A_LINE)
        yield where, _fields(record)


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row of a csv is, and its fields."""
    rows = table(file)
    names = next(rows, [])
    yield from ((f"row {number} of {file}", dict(zip(names, row, strict=False))) for number, row in enumerate(rows, 1))


def table(file: Path) -> Iterator[list[str]]:
    """The rows of a csv that are not blank, the names of its columns first."""
    csv.field_size_limit(LONGEST_FIELD)
    try:
        with sources.reading(file, newline="") as stream:
            yield from filter(None, csv.reader(stream))
    except csv.Error as error:
        raise DataUnavailable(f"{file} is no csv ({error})", "pandas.DataFrame.to_csv writes one") from error


def _fields(record: Mapping[str, Any], inside: str = "") -> dict[str, Any]:
    """Every field by its name; one inside another is `outer.inner`."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        found[inside + name] = value
        if isinstance(value, dict):
            found |= _fields(value, f"{inside}{name}.")
    return found


def _differs(file: Path, column: str, first: Path) -> None:
    """Refuse a file without the column that the first has."""
    if file != first:
        what = f"{file} has no text in {column}, and {first.name} has"
        raise DataUnavailable(what, "give every file the same columns, or take this one out")


def _parquet(file: Path, column: str, first: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def flat(table: Any) -> Any:
        """A field of a struct is a column `outer.inner`."""
        while any(pa.types.is_struct(field.type) for field in table.schema):
            table = table.flatten()
        return table

    try:
        table = pq.ParquetFile(file)
        kinds = {field.name: field.type for field in flat(table.schema_arrow.empty_table()).schema}
        texts = [name for name, kind in kinds.items() if _holds_text(kind)]
        if column not in texts:
            _differs(file, column, first)
            names = list(dict.fromkeys([*table.schema_arrow.names, *kinds]))
            sources.choose(column, (), names, file.name, "task.column", texts, CAN)
            mend = sources.offer("task.column", texts, CAN)
            held = kinds.get(column) or table.schema_arrow.field(column).type
            raise ConfigError(f"column {column} of {file.name} holds {held}, not text", mend)
        row = 0
        for batch in table.iter_batches(batch_size=1024, columns=[column]):
            for text in flat(pa.Table.from_batches([batch])).column(column).to_pylist():
                yield _text(text, f"row {row} of {file}", texts)
                row += 1
    except UnicodeDecodeError as error:
        raise DataUnavailable(f"{file} is not UTF-8 ({error})", "write it anew, in UTF-8") from error
    except (pa.ArrowException, OSError) as error:
        raise DataUnavailable(f"{file} cannot be read: {error}", "copy the file again") from error


def _holds_text(kind: Any) -> bool:
    """Whether a type of arrow is of strings, however they are laid out."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _text(value: Any, where: str, texts: Sequence[str]) -> str:
    """A text that UTF-8 can hold; null counts as empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        what = f"the text of {where} is {type(value).__name__}, not text"
        raise DataUnavailable(what, sources.offer("task.column", texts, CAN))
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataUnavailable(f"the text of {where} has half a character ({error.reason})", "mend it") from error
    return value


def joined(named: Mapping[str, Mapping[Split, Documents]]) -> dict[Split, Documents]:
    """All sources by split; an id begins with its source's name, as in `imdb/train-00017`.

    Two ids that would be one (`a/b` and `a-b`) are quoted: `a%2Fb`.
    """
    found: dict[Split, Documents] = {}
    for name, splits in named.items():
        plain = Counter(one.replace("/", "-") for part in splits.values() for one in part.ids)
        collide = max(plain.values(), default=1) > 1
        for split, part in splits.items():
            both = found.setdefault(split, Documents([], [], [], []))
            for one in part.ids:
                short = one.replace("/", "-")
                quoted = collide and (plain[short] > 1 or "%" in one)
                both.ids.append(f"{name}/{quote(one, safe='') if quoted else short}")
            both.texts.extend(part.texts)
            both.groups.extend(part.groups)
    return found


def together(
    first: Mapping[Split, Documents], second: Mapping[Split, Documents], *, keeps_test: bool
) -> tuple[dict[Split, Documents], int]:
    """The second's documents, those of a text that the first has too in the first's split; and how many these are.

    `keeps_test`: its test part is given, and stays as it is.
    """
    place: dict[str, Split] = {text: split for split, part in first.items() for text in part.texts}
    held = [split for split in second if keeps_test and split == "test"]
    pairs = [(group, text) for part in second.values() for group, text in zip(part.groups, part.texts, strict=True)]
    moved = {group: place[text] for group, text in pairs if text in place}
    dealt: dict[Split, Documents] = {split: Documents([], [], [], part.notes) for split, part in second.items()}
    for split, part in second.items():
        for name, text, group in zip(part.ids, part.texts, part.groups, strict=True):
            to = dealt[split if split in held else moved.get(group, split)]
            to.ids.append(name)
            to.texts.append(text)
            to.groups.append(group)
    return dealt, sum(text in place for _, text in pairs)


# ---- embedded: digits, pydoc ----------------------------------------------------------------------------------------


def written_digits(limit: int | None) -> Documents:
    """scikit-learn's 1,797 digits as text: 64 letters each, row by row, from a (no ink) to q."""
    from .digits import pixels

    texts = ("".join(LETTERS[pixel] for pixel in row) for row in pixels())
    return drawn(((f"{row:05}", text, None) for row, text in enumerate(texts)), limit, "digits")


def standard_library(limit: int | None) -> Documents:
    """Docstrings of this interpreter's standard library and the topics of `help()`, read as source, never imported.

    Docstrings of one module stay together when they are split, and a text that occurs twice is read once.
    """
    root = Path(sysconfig.get_path("stdlib"))

    def library() -> sources.Arrays:
        return {"rows": np.frombuffer(json.dumps(_library(root)).encode(), np.uint8)}

    found = sources.cached_arrays(sources.key_of("library", LIBRARY, sys.version, str(root)), library)
    documents = drawn(map(tuple, json.loads(found["rows"].tobytes())), limit, "docstrings and help topics")
    if not documents.ids:
        raise DataUnavailable(f"this interpreter has no sources of its standard library in {root}", "task=text")
    return documents


@lru_cache(maxsize=1)
def _library(root: Path) -> list[tuple[str, str, str | None]]:
    """(name, text, module) of every text that is long enough, once; a topic is a unit of its own."""
    seen: set[str] = set()
    names: Counter[str] = Counter()
    found: list[tuple[str, str, str | None]] = []
    for module, name, text in _read_library(root):
        if len(text) < SHORTEST or text in seen:
            continue
        seen.add(text)
        names[name] += 1
        found.append(
            (name if names[name] == 1 else f"{name}~{names[name]}", text, None if module == TOPICS else module)
        )
    return found


def _read_library(root: Path) -> Iterator[tuple[str, str, str]]:
    """(module, name, text) of every docstring, and of every topic."""
    for file in sources.list_files(root, (".py",)):
        names = file.relative_to(root).with_suffix("").parts
        if UNREAD.intersection(names):
            continue
        module = ".".join(names).removesuffix(".__init__")
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue  # a file written for another interpreter
        for name, text in _topics(tree) if module == TOPICS else _docstrings(tree, module):
            yield module, name, text


def _docstrings(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Module | NAMED) and (text := ast.get_docstring(node)):
        yield name, text
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler):  # expressions define nothing
            yield from _docstrings(child, f"{name}.{child.name}" if isinstance(child, NAMED) else name)


def _topics(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """`topics = {name: text}`, read as a literal."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            topics: dict[str, str] = ast.literal_eval(node.value)
            yield from ((f"topics.{name}", inspect.cleandoc(topics[name])) for name in sorted(topics))
