"""Documents, read: text files, jsonl, parquet, and the interpreter's own documentation.

Their order, and which are drawn where not all are read, follow from their texts and never from the order of files.
"""

from __future__ import annotations

import ast
import inspect
import json
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from heapq import nsmallest
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataUnavailable
from ..seeds import derive
from . import sources

LETTERS = "abcdefghijklmnopq"  # of the pixels 0..16 of digits
ENDINGS = (".parquet", ".jsonl", ".txt")  # the first kind found is the one read
STORY_END = "<|endoftext|>"  # what separates the stories of TinyStories
TOPICS = "pydoc_data.topics"  # the texts of `help("if")` and the like; each is split for itself
NAMED = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
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
    ending = files[0].suffix.lower()
    if ending == ".txt" and column != "text":
        raise ConfigError(f"task.column={column} names a field, and .txt files have none", "task.column=text")
    if ending == ".txt" and len(files) > 1 and not stories:
        rows = ((file.relative_to(root).as_posix(), _decode(file)) for file in files)
    else:
        if ending == ".txt":
            where = f"at {STORY_END}" if stories else "at blank lines"
            notes.append(f"{', '.join(file.name for file in files)}: one file, split into documents {where}")
            texts = (text for file in files for text in _pieces(file, STORY_END if stories else None))
        elif ending == ".jsonl":
            texts = (text for file in files for text in _jsonl(file, column))
        else:
            texts = (text for file in files for text in _parquet(file, column))
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
        documents.notes.append(f"{empty} empty documents of {part} skipped")
    return documents


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
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _undecodable(file, error) from error
    except OSError as error:
        raise DataUnavailable(f"{file} cannot be read ({error.strerror})") from error


def _undecodable(file: Path, error: UnicodeError) -> DataUnavailable:
    return DataUnavailable(f"{file} is not UTF-8 ({error})", "iconv -t UTF-8 writes it anew")


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="\n") as stream:
            yield from stream
    except UnicodeDecodeError as error:
        raise _undecodable(file, error) from error
    except OSError as error:
        raise DataUnavailable(f"{file} cannot be read ({error.strerror})") from error


def _pieces(file: Path, separator: str | None) -> Iterator[str]:
    """A text file cut at a separator, or at blank lines."""
    gathered: list[str] = []
    for line in _lines(file):
        ended, *more = line.split(separator) if separator else ([line] if line.strip() else ["", ""])
        gathered.append(ended)
        for begun in more:
            if text := "".join(gathered).strip("\r\n"):
                yield text
            gathered = [begun]
    if text := "".join(gathered).strip("\r\n"):
        yield text


def _jsonl(file: Path, column: str) -> Iterator[str]:
    for number, line in enumerate(_lines(file), start=1):
        if not line.strip():
            continue
        where = f"line {number} of {file}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataUnavailable(f"{where} is not JSON ({error})", "mend the line or take it out") from error
        if not isinstance(record, dict):
            raise DataUnavailable(f"{where} is not an object with fields", "mend the line or take it out")
        text = record[sources.choose(column, (), list(record), where, "task.column")]
        yield _text(text, where)


def _parquet(file: Path, column: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
        kinds = {field.name: field.type for field in table.schema_arrow}
        texts = [name for name, kind in kinds.items() if pa.types.is_string(kind) or pa.types.is_large_string(kind)]
        sources.choose(column, (), list(kinds), file.name, "task.column", texts)
        if column not in texts:
            mend = sources.offer("task.column", texts)
            raise ConfigError(f"column {column} of {file.name} holds {kinds[column]}, not text", mend)
        first = 0
        for batch in table.iter_batches(batch_size=1024, columns=[column]):
            for row, text in enumerate(batch.column(0).to_pylist(), start=first):
                yield _text(text, f"row {row} of {file}")
            first += len(batch)
    except UnicodeDecodeError as error:
        raise _undecodable(file, error) from error
    except (pa.ArrowException, OSError) as error:
        raise DataUnavailable(f"{file} cannot be read: {error}", "copy the file again") from error


def _text(value: Any, where: str) -> str:
    """A text that UTF-8 can hold; null counts as empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataUnavailable(f"the text of {where} is {type(value).__name__}, not text", "task.column=COLUMN")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataUnavailable(f"the text of {where} has half a character ({error.reason})", "mend it") from error
    return value


def joined(sources: Mapping[str, Documents]) -> Documents:
    """All of them; an id begins with its source's name, as in `imdb/train-00017`."""
    found = Documents([], [], [], [])
    for name, part in sources.items():
        found.ids.extend(f"{name}/{one.replace('/', '-')}" for one in part.ids)
        found.texts.extend(part.texts)
        found.groups.extend(part.groups)  # a text that both have is one unit
    return found


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
    documents = drawn(_library(root), limit, "docstrings and help topics")
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
