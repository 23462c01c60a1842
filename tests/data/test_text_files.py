"""Files of text as people have them: what has a meaning is read, and what has none is named with what mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prune_lab.experiments.data import documents, sources, text
from prune_lab.experiments.errors import ConfigError, DataUnavailable

TEXTS = [f"document {number} has words of its own, {7 * number} and {13 * number}" for number in range(30)]


def read(path: Path, column: str = "text") -> documents.Documents:
    """The documents of a source without parts."""
    return text.parts_of(text.Source("text", str(path), column))[0]["all"]


def table(file: Path, column: Any, name: str = "text") -> Path:
    pq.write_table(pa.table({"label": [0] * len(column), name: column}), file)
    return file


def lines(file: Path, *records: Any) -> Path:
    file.write_text("\n".join(map(json.dumps, records)))
    return file


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS).dictionary_encode(),
        pa.array(TEXTS, pa.string_view()),
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.large_string()).dictionary_encode(),
    ],
    ids=lambda column: str(column.type)[:20],
)
def test_strings_are_text_however_they_are_laid_out(tmp_path: Path, column: Any) -> None:
    assert sorted(read(table(tmp_path / "a.parquet", column)).texts) == sorted(TEXTS)


def test_fields_inside_others(tmp_path: Path) -> None:
    nested = [{"inner": {"body": content}} for content in TEXTS]
    records = lines(tmp_path / "a.jsonl", *({"text": row} for row in nested))
    for file in (table(tmp_path / "a.parquet", nested), records):
        assert sorted(read(file, "text.inner.body").texts) == sorted(TEXTS)
        with pytest.raises((ConfigError, DataUnavailable), match=r"task\.column=text\.inner\.body"):
            read(file)
        with pytest.raises(ConfigError, match=r"did you mean text\.inner\.body.*\n.*task\.column=text\.inner\.body"):
            read(file, "text.inner.bode")


def packed(file: Path, content: str) -> Path:
    with sources.writing(file) as stream:
        stream.write(content)
    return file


OBJECTS = "".join(json.dumps({"text": one}) + "\n" for one in TEXTS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.gz", OBJECTS),
        ("a.jsonl.zst", OBJECTS),
        ("a.jsonl.xz", OBJECTS),
        ("a.ndjson.bz2", OBJECTS),
        ("a.json.gz", OBJECTS),
        ("a.txt.gz", "\n\n".join(TEXTS)),
        ("a.csv", 'id,text\n' + "".join(f'7,"{one}"\n' for one in TEXTS)),
        ("a.csv.gz", 'id,text\r\n' + "".join(f'7,"{one}"\r\n' for one in TEXTS)),
    ],
)  # fmt: skip
def test_packed_files_and_tables_are_read_as_they_are(tmp_path: Path, name: str, content: str) -> None:
    file = packed(tmp_path / name, content)
    assert sorted(read(tmp_path).texts) == sorted(TEXTS)
    assert sorted(read(file).texts) == sorted(TEXTS)
    (tmp_path / "again").mkdir()
    again = packed(tmp_path / "again" / name, content)
    assert again.read_bytes() == file.read_bytes()  # no time and no name is in it
    if file.suffix != ".csv":
        file.write_bytes(file.read_bytes()[:30])
        with pytest.raises(DataUnavailable, match=r"(?s)cannot be read.*copy the file again"):
            read(file)


def test_a_packed_part_is_a_part_and_a_csv_beside_text_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "c4").mkdir()
    for name in ("c4-train.00000-of-00002.json.gz", "c4-train.00001-of-00002.json.gz", "c4-validation.json.gz"):
        packed(tmp_path / "c4" / name, OBJECTS)
    parts, notes = text.parts_of(text.Source("text", str(tmp_path / "c4")))
    assert {part: len(found.texts) for part, found in parts.items()} == {"train": 60, "test": 30}
    packed(tmp_path / "c4" / "about.csv", "text\n" + "x" * 10_000)
    packed(tmp_path / "c4" / "a.txt", "\n\n".join(TEXTS))
    parts, notes = text.parts_of(text.Source("text", str(tmp_path / "c4")))
    assert len(parts["all"].texts) == 30
    assert "1 .csv not read, for the .txt files come first" in notes


@pytest.mark.parametrize("place", [0, 12, 30])
def test_a_record_without_the_field_is_an_empty_document(tmp_path: Path, place: int) -> None:
    records: list[dict[str, Any]] = [{"text": content} for content in TEXTS]
    found = read(lines(tmp_path / "a.jsonl", *records[:place], {"id": 3}, *records[place:]))
    assert sorted(found.texts) == sorted(TEXTS)
    assert "1 empty documents of all skipped (records without text among them)" in found.notes


def test_files_of_different_columns_are_told_apart(tmp_path: Path) -> None:
    for ending in ("parquet", "jsonl"):
        folder = tmp_path / ending
        folder.mkdir()
        for name, column in (("a", "text"), ("b", "body")):
            file = folder / f"{name}.{ending}"
            if ending == "parquet":
                table(file, TEXTS, column)
            else:
                lines(file, *({column: content} for content in TEXTS))
        with pytest.raises(DataUnavailable, match=rf"b\.{ending} has no text in text, and a\.{ending} has"):
            read(folder)


def test_the_kind_of_file_with_the_most_bytes_is_the_text(tmp_path: Path) -> None:
    for number, content in enumerate(TEXTS):
        (tmp_path / f"{number}.txt").write_text(content * 9)
    table(tmp_path / "index.parquet", ["0.txt"])
    lines(tmp_path / "metadata.jsonl", {"file_name": "0.txt"})
    parts, notes = text.parts_of(text.Source("text", str(tmp_path)))
    assert len(parts["all"].texts) == 30
    assert "1 .jsonl not read, for the .txt files have more bytes" in notes
    lines(tmp_path / "metadata.jsonl", *({"text": content * 99} for content in TEXTS))
    assert len(read(tmp_path).texts[0]) > 2000


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b"", r"there is no text in .*a\.jsonl"),
        ("a.txt", b" \n\n", r"there is no text in .*a\.txt"),
        ("a.jsonl", b"[" * 100_000, "line 1 of .*a.jsonl is not JSON"),
        ("a.jsonl", b'[{"text": "x"}]', "(?s)line 1 .* is not an object.*a line of its own"),
        ("a.json", b'[\n{"text": "x"}]', "(?s)line 1 .* is not JSON.*a line of its own"),
        ("a.jsonl", '{"text": "x"}'.encode("utf-16"), "(?s)is not UTF-8.*iconv -f ENCODING"),
        ("a.parquet", b"x", "cannot be read"),
    ],
)
def test_what_holds_no_text_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataUnavailable, match=said):
        read(tmp_path)


def test_a_very_long_word_takes_no_very_long_time(tmp_path: Path) -> None:
    """The merges of a word take its length squared: it is learnt from in pieces, and nothing of it is lost."""
    assert list(text._without_long_words(["a b", "x" * 2500])) == ["a b", "x" * 1000, "x" * 1000, "x" * 500]
    pieces = list(text._without_long_words([f"{TEXTS[0]} {'y' * 3000} {TEXTS[1]}"]))
    assert "".join(pieces) == f"{TEXTS[0]} {'y' * 3000} {TEXTS[1]}"
    assert max(len(word) for piece in pieces for word in piece.split()) == 1000


def test_parts_of_text_are_named_like_those_of_images(tmp_path: Path) -> None:
    for part, number in (("seg_Train", 20), ("seg_VAL", 5)):
        folder = tmp_path / "around" / part / "pos"
        folder.mkdir(parents=True)
        for row in range(number):
            (folder / f"{row}.txt").write_text(part + TEXTS[row])
    parts, notes = text.parts_of(text.Source("text", str(tmp_path)))
    assert {part: len(found.texts) for part, found in parts.items()} == {"train": 20, "test": 5}
    assert "the source's validation part serves as test" in notes
