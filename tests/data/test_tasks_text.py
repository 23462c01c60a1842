"""Text: every token is predicted once, bytes are exact, documents stay whole, bad sources are named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prune_lab.experiments.contracts import IGNORED, Data, Split
from prune_lab.experiments.data import digits, documents, text
from prune_lab.experiments.data.texts import AnyText
from prune_lab.experiments.errors import ConfigError, DataUnavailable

SETTINGS: dict[str, Any] = {"dev": 0.2, "test": 0.2, "vocabulary": 300, "context": 16}
WORDS = ["tree", "naïve", "Straße", "日本語", "🌲", "[BOS]", "  two", "\ttab", "e\u0301", "\x00", "end."]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNE_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PRUNE_LAB_DATA", raising=False)


def _texts(number: int, seed: int = 0) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(12, 60))) + f" {row}\n" for row in range(number)]


def _parquet(file: Path, texts: list[str | None], column: str = "text") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"label": [0] * len(texts), column: texts}), file)
    return file


def _documents(data: Data, *splits: str) -> dict[str, str]:
    """id -> text, put together again from the targets of a document's windows."""
    assert data.decode is not None
    tokens: dict[str, list[int]] = {}
    for split in splits:
        examples = data.splits[split]  # type: ignore[index]
        for name, row in zip(examples.ids, examples.targets, strict=True):
            tokens.setdefault(name.rsplit("#", 1)[0], []).extend(row[row != IGNORED].tolist())
    return {name: data.decode(row) for name, row in tokens.items()}


def test_windows_predict_every_token_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "FEWEST", 1)  # keep the training windows that are otherwise left out
    texts = _texts(40)
    data = text.load("text", str(_parquet(tmp_path / "a.parquet", texts)), **SETTINGS)
    read = _documents(data, "train", "dev", "test")
    assert read == {f"all/{row:05}": content for row, content in enumerate(texts)}
    for examples in data.splits.values():
        size: dict[int, int] = {}
        assert examples.groups is not None
        for row, name in enumerate(examples.ids):
            document, window = name.rsplit("#", 1)
            valid = examples.targets[row] != IGNORED
            count = int(valid.sum())
            assert examples.units["tokens"][row] == count
            assert np.all(valid[:count])
            assert np.all(examples.inputs[row, count:] == 0)
            assert examples.targets[row, :count].max() < data.vocabulary
            assert np.array_equal(examples.inputs[row, 1:count], examples.targets[row, : count - 1])
            previous = text.BOS if window == "0" else examples.targets[row - 1, -1]
            assert examples.inputs[row, 0] == previous
            group = int(examples.groups[row])
            size[group] = size.get(group, 0) + int(examples.units["bytes"][row])
            assert window == "0" or examples.ids[row - 1] == f"{document}#{int(window) - 1}"
        names = dict(zip(examples.groups.tolist(), (name.rsplit("#", 1)[0] for name in examples.ids), strict=True))
        assert size == {group: len(read[name].encode()) for group, name in names.items()}
        assert len(set(examples.ids)) == len(examples.ids)


def test_short_training_windows_are_left_out_and_only_those(tmp_path: Path) -> None:
    data = text.load("text", str(_parquet(tmp_path / "a.parquet", list(_texts(60)))), **SETTINGS)
    assert data.splits["train"].units["tokens"].min() >= 8
    assert data.splits["test"].units["tokens"].min() < 8
    assert any("left out" in note for note in data.notes)


def test_the_tokenizer_sees_the_training_documents_alone(tmp_path: Path) -> None:
    def vocabulary(test_text: str) -> set[str]:
        _parquet(tmp_path / "set" / "train.parquet", [f"the cat sat on the mat again {row} " * 3 for row in range(20)])
        _parquet(tmp_path / "set" / "test.parquet", [test_text * 50] * 20)
        data = text.load("text", str(tmp_path / "set"), **SETTINGS)
        assert data.decode is not None
        return {data.decode([token]) for token in range(1, data.vocabulary)}

    assert vocabulary("zyzzyva ") == vocabulary("quokka ")
    assert " mat" in vocabulary("zyzzyva ")


def test_train_and_test_files_are_used_and_a_second_load_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = _texts(20), _texts(10, seed=1)
    _parquet(tmp_path / "set" / "train-00000-of-00002.parquet", train[:10])
    _parquet(tmp_path / "set" / "train-00001-of-00002.parquet", train[10:])
    _parquet(tmp_path / "set" / "test-00000-of-00001.parquet", test)
    first = text.load("text", str(tmp_path / "set"), **SETTINGS)
    assert _documents(first, "test") == {f"test/{row:05}": content for row, content in enumerate(test)}
    monkeypatch.setattr(text, "read", lambda *_, **__: pytest.fail("read again"))
    second = text.load("text", str(tmp_path / "set"), **SETTINGS)
    assert _documents(first, "train", "dev") == _documents(second, "train", "dev")
    assert second.notes == first.notes
    wider = text.load("text", str(tmp_path / "set"), **{**SETTINGS, "context": 32})  # needs no reading either
    assert wider.splits["dev"].inputs.shape[1] == 32
    assert _documents(wider, "test") == _documents(first, "test")


def test_number_of_documents_and_of_tokens_are_said(tmp_path: Path) -> None:
    file = _parquet(tmp_path / "a.parquet", [*_texts(30), None, " \n"])
    data = text.load("text", str(file), documents=10, **SETTINGS)
    assert len(_documents(data, "train", "dev", "test")) == 10
    assert "10 of 30 documents of all drawn at random (task.documents)" in data.notes
    data = text.load("text", str(file), **{**SETTINGS, "vocabulary": 5000})
    assert any("2 empty documents" in note for note in data.notes)
    assert data.vocabulary < 5000
    assert any(f"{data.vocabulary} tokens, fewer than task.vocabulary=5000" in note for note in data.notes)


def test_text_files(tmp_path: Path) -> None:
    texts = _texts(20)
    for row, content in enumerate(texts):
        place = tmp_path / "set" / ("train" if row < 15 else "test") / "pos" / f"{row}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode())
    data = text.load("text", str(tmp_path / "set"), **SETTINGS)
    assert _documents(data, "test") == {f"test/pos/{row}.txt": texts[row] for row in range(15, 20)}
    with pytest.raises(ConfigError, match=r"task\.test splits a test part off, and task=text has one"):
        AnyText(path=str(tmp_path / "set"), test=0.2).load()
    (tmp_path / "set" / "train" / "pos" / "3.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataUnavailable, match=r"3\.txt is not UTF-8"):
        text.load("text", str(tmp_path / "set"), **SETTINGS)
    with pytest.raises(ConfigError, match=r"task\.column=body"):
        text.load("text", str(tmp_path / "set"), column="body", **SETTINGS)


def test_one_large_text_file_is_split_at_blank_lines(tmp_path: Path) -> None:
    texts = [f"{content.strip()}\nand a second line" for content in _texts(20)]
    (tmp_path / "book.txt").write_bytes("\n\n  \n".join(texts).encode())
    data = text.load("text", str(tmp_path / "book.txt"), **SETTINGS)
    assert _documents(data, "test").items() <= {f"all/{row:05}": content for row, content in enumerate(texts)}.items()
    assert any("book.txt: one file, split into documents at blank lines" in note for note in data.notes)
    (tmp_path / "book.txt").write_bytes(b"fine\n\ncaf\xe9")
    with pytest.raises(DataUnavailable, match=r"book\.txt is not UTF-8"):
        text.load("text", str(tmp_path / "book.txt"), **SETTINGS)


def test_jsonl(tmp_path: Path) -> None:
    texts = _texts(20)
    file = tmp_path / "a.jsonl"

    def write(*lines: str) -> str:
        file.write_text("\n".join([*(json.dumps({"body": content}) for content in texts), *lines]))
        return str(file)

    data = text.load("text", write(), column="body", **SETTINGS)
    assert _documents(data, "test").items() <= {f"all/{row:05}": content for row, content in enumerate(texts)}.items()
    with pytest.raises(ConfigError, match=r"line 1 .* has no bode: it has body; did you mean body"):
        text.load("text", write(), column="bode", **SETTINGS)
    for line, error, message in (
        ("{", DataUnavailable, "line 21 of .*a.jsonl is not JSON"),
        ("[1]", DataUnavailable, "line 21 .* is not an object"),
        ('{"body": 3}', DataUnavailable, "line 21 .* is int, not text"),
        ('{"body": "\\ud800"}', DataUnavailable, "line 21 .* half a character"),
    ):
        with pytest.raises(error, match=message):
            text.load("text", write(line), column="body", **SETTINGS)


def test_parquet_without_the_column_or_damaged(tmp_path: Path) -> None:
    file = _parquet(tmp_path / "a.parquet", list(_texts(20)), column="content")
    with pytest.raises(ConfigError, match="has no text: it has label, content"):
        text.load("text", str(file), **SETTINGS)
    with pytest.raises(ConfigError, match=r"column label .* holds int64"):
        text.load("text", str(file), column="label", **SETTINGS)
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(DataUnavailable, match=r"a\.parquet cannot be read"):
        text.load("text", str(file), column="content", **SETTINGS)


def test_too_little_text(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match="only 1 document"):
        text.load("text", str(_parquet(tmp_path / "a.parquet", ["one text"])), **SETTINGS)
    with pytest.raises(DataUnavailable, match="no window of 16 tokens is left for train"):
        text.load("text", str(_parquet(tmp_path / "b.parquet", ["a", "b", "c", "d"])), **SETTINGS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataUnavailable, match="empty has no"):
        text.load("text", str(tmp_path / "empty"), **SETTINGS)


def test_tinystories_has_its_own_separator_and_validation_as_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(DataUnavailable, match=r"needs huggingface-hub, which is not installed"):
            text.load("tinystories", None, **SETTINGS)
    with pytest.raises(DataUnavailable, match="imdb was not found"):
        text.load("imdb", None, **SETTINGS)
    stories = [f"Once upon a time {content.strip()}\n\nThe end of it." for content in _texts(20)]

    def offline(address: str) -> None:
        raise OSError("[Errno -2] Name or service not known")

    client = SimpleNamespace(get_hf_file_metadata=offline, hf_hub_url=lambda *_, **__: "", hf_hub_download=None)
    with monkeypatch.context() as network:
        network.setitem(sys.modules, "huggingface_hub", client)
        with pytest.raises(DataUnavailable, match=r"(?s)Name or service not known.*with a network"):
            text.load("tinystories", None, **SETTINGS)
    folder = tmp_path / "shared" / "tinystories"
    folder.mkdir(parents=True)
    (folder / text.STORIES[0]).write_bytes("\n<|endoftext|>\n".join(stories[:15]).encode())
    (folder / text.STORIES[1]).write_bytes("<|endoftext|>".join([*stories[15:], "\n"]).encode())
    monkeypatch.setenv("PRUNE_LAB_DATA", str(tmp_path / "shared"))
    data = text.load("tinystories", None, **SETTINGS)
    assert sorted(_documents(data, "test").values()) == sorted(stories[15:])
    assert any("validation part serves as test" in note for note in data.notes)


def test_pydoc_is_read_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "library"
    (library / "package" / "test").mkdir(parents=True)
    long = "This docstring is long enough to be read by somebody"
    (library / "package" / "__init__.py").write_text(
        f'"""{long} (package)."""\nraise SystemExit\nif 1:\n  class A:\n    async def f(self):\n'
        f'      """{long} (f)."""\n  def g():\n    "short"\n'
    )
    (library / "package" / "test" / "x.py").write_text(f'"""{long} (test)."""')
    (library / "broken.py").write_text("def (")
    (library / "pydoc_data").mkdir()
    (library / "pydoc_data" / "topics.py").write_text(f"topics = {{'if': '{long} (if).'}}")
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(library))
    found = documents.standard_library(None)
    assert dict(zip(found.ids, found.texts, strict=True)) == {
        "package": f"{long} (package).", "package.A.f": f"{long} (f).", "topics.if": f"{long} (if)."
    }  # fmt: skip
    group = dict(zip(found.ids, found.groups, strict=True))
    assert group["package"] == group["package.A.f"] != group["topics.if"]
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "nothing"))
    with pytest.raises(DataUnavailable, match="no sources"):
        documents.standard_library(None)


def test_pydoc_has_enough_text(shared_cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNE_LAB_CACHE", shared_cache)  # the library is read once for all tests
    data = text.load("pydoc", None, **{**SETTINGS, "documents": 1500})
    assert sum(int(examples.units["bytes"].sum()) for examples in data.splits.values()) > 200_000
    modules = [{name.split(".")[0] for name in _documents(data, split)} for split in ("train", "test")]
    assert "argparse" in modules[0] ^ modules[1]


def test_a_sample_for_the_tokenizer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "SAMPLE", 500)
    texts = _texts(40)
    data = text.load("text", str(_parquet(tmp_path / "a.parquet", list(texts))), **SETTINGS)
    assert any("BPE is trained on 1 in" in note for note in data.notes)
    assert _documents(data, "test").items() <= {f"all/{row:05}": content for row, content in enumerate(texts)}.items()


def test_digits_as_text_are_the_digits() -> None:
    """A letter a pixel, row by row; two windows of 32 a digit, and no other token is learnt."""
    data = text.load("digits_as_text", None, dev=0.1, vocabulary=257, context=32)
    assert data.decode is not None
    written = _documents(data, "train", "dev", "test")
    assert len(written) == 1797
    whole = digits.load(dev=0.1)
    for examples in whole.splits.values():
        for name, image in zip(examples.ids[:20], examples.inputs[:20], strict=True):
            ink = ["abcdefghijklmnopq".index(letter) for letter in written[name.removeprefix("digits/")]]
            np.testing.assert_allclose(np.array(ink).reshape(1, 8, 8) * (255 / 16), image, atol=0.5)


def test_ids_that_a_source_has_once_are_two_where_it_is_mixed() -> None:
    """`a/b` and `a-b` were one id; and one of the two was in train, the other in test."""

    def part(*ids: str) -> documents.Documents:
        return documents.Documents(list(ids), ["x"] * len(ids), [0] * len(ids), [])

    one: dict[Split, documents.Documents] = {"train": part("a/b", "c/d", "50%"), "test": part("a-b")}
    found = documents.joined({"text": one, "pydoc": {"train": part("e/f", "5%"), "test": part()}})
    assert found["train"].ids == ["text/a%2Fb", "text/c-d", "text/50%25", "pydoc/e-f", "pydoc/5%"]
    assert found["test"].ids == ["text/a-b"]


@pytest.mark.parametrize("keeps_test", [False, True])
def test_a_text_of_both_sources_is_in_one_split(keeps_test: bool) -> None:
    """It was dealt twice, and may have been learnt from and tested on. A test part that is given stays."""

    def part(*texts: str) -> documents.Documents:
        return documents.Documents(list(texts), list(texts), [ord(text) for text in texts], [])

    first: dict[Split, documents.Documents] = {"train": part("a", "b"), "dev": part("c"), "test": part("d")}
    second: dict[Split, documents.Documents] = {"train": part("c", "e"), "dev": part("d", "f"), "test": part("a", "g")}
    dealt, shared = documents.together(first, second, keeps_test=keeps_test)
    assert shared == 3
    found = {split: "".join(part.texts) for split, part in dealt.items()}
    assert found == (
        {"train": "e", "dev": "cf", "test": "dag"} if keeps_test else {"train": "ea", "dev": "cf", "test": "dg"}
    )
    assert [len(part.ids) for part in dealt.values()] == [len(part.groups) for part in dealt.values()]


def test_a_text_mixed_into_another(tmp_path: Path) -> None:
    ours, theirs = _texts(40), ["the other one " * 8 + str(number) for number in range(30)]
    other = str(_parquet(tmp_path / "b.parquet", theirs))
    first = str(_parquet(tmp_path / "a.parquet", ours))
    mixed = text.Source("imdb", other, documents=20)
    data = text.load("text", first, mixed=mixed, **SETTINGS)
    alone = text.load("text", first, **SETTINGS)
    names = {split: {name.partition("#")[0] for name in data.splits[split].ids} for split in data.splits}
    for split, examples in alone.splits.items():
        expected = {f"text/{name.partition('#')[0].replace('/', '-')}" for name in examples.ids}
        assert {name for name in names[split] if name.startswith("text/")} == expected
    assert [sum(name.startswith("imdb/") for name in names[split]) for split in ("train", "dev", "test")] == [13, 3, 4]
    read = _documents(data, "dev", "test")
    assert any(content in theirs for content in read.values())
    assert any(content in ours for content in read.values())
    assert not any("are also in text" in note for note in data.notes)
    assert "mixed in: 20 of 30 documents of all drawn at random (task.mixed.documents)" in data.notes
    assert text.fingerprint("text", first, mixed) != text.fingerprint("text", first)
    assert any(note.startswith("mixed in: imdb: read from task.mixed.path=") for note in data.notes)
    with pytest.raises(DataUnavailable, match=r"to mend it: task\.path=FOLDER"):
        text.fingerprint("text", str(tmp_path / "missing"), mixed)
    with pytest.raises(ConfigError, match=r"no body.*\n.*task\.mixed\.column=text"):
        text.load("text", first, mixed=text.Source("imdb", other, "body"), **SETTINGS)


def test_what_both_sources_have_is_dealt_once(tmp_path: Path) -> None:
    ours, theirs = _texts(20), ["the other one " * 8 + str(number) for number in range(10)]
    first, other = (
        str(_parquet(tmp_path / name, texts)) for name, texts in (("a.parquet", ours), ("b.parquet", ours + theirs))
    )
    data = text.load("text", first, mixed=text.Source("imdb", other), **SETTINGS)
    read = {split: set(_documents(data, split).values()) for split in data.splits}
    assert not read["train"] & read["dev"]
    assert not (read["train"] | read["dev"]) & read["test"]
    assert "20 documents of imdb are also in text, and in the same split" in data.notes


def test_nothing_depends_on_the_order_of_files(tmp_path: Path) -> None:
    """The same texts under other names, in another order: the same sample, tokens, splits and windows."""
    texts = sorted(_texts(60))  # a source that is sorted
    read = []
    for name, rows in (("a", texts), ("b", texts[::-1])):
        _parquet(tmp_path / name / "0.parquet", list(rows[:20]))
        _parquet(tmp_path / name / "1.parquet", list(rows[20:]))
        read.append(text.load("text", str(tmp_path / name), documents=30, **SETTINGS))
    for split, examples in read[0].splits.items():
        other = read[1].splits[split]
        for one, two in ((examples.inputs, other.inputs), (examples.targets, other.targets)):
            assert np.array_equal(one, two)
        assert examples.groups is not None
        assert np.array_equal(examples.groups, other.groups)
    places = [int(name.partition("/")[2].partition("#")[0]) for split in read[0].splits.values() for name in split.ids]
    assert len(set(places)) == 30
    assert 20 < np.mean(list(set(places))) < 40  # a sample of all, not the first
    digit = documents.written_digits(10)
    assert len(digit.ids) == 10
    assert max(map(int, digit.ids)) > 900


def test_copies_are_dealt_to_one_split_and_said(tmp_path: Path) -> None:
    texts = _texts(20)
    data = text.load("text", str(_parquet(tmp_path / "a.parquet", [*texts, *texts, *texts[:10]])), **SETTINGS)
    parts = [set(_documents(data, split).values()) for split in ("train", "dev", "test")]
    assert sum(map(len, parts)) == 20
    assert not any(one & two for one, two in ((parts[0], parts[1]), (parts[0], parts[2]), (parts[1], parts[2])))
    assert any("documents are copies of another, byte by byte, and in its split" in note for note in data.notes)
    _parquet(tmp_path / "set" / "train.parquet", list(texts))
    _parquet(tmp_path / "set" / "test.parquet", [*texts[:3], *_texts(5, seed=1)])
    notes = text.load("text", str(tmp_path / "set"), **SETTINGS).notes
    found = [note for note in notes if "of 8 test documents are in" in note]
    assert sum(int(note.split()[1]) for note in found) == 3
