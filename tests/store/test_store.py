"""Publishing: whole or not at all, the first wins, and nothing published is damaged."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from prune_lab.experiments.errors import DataUnavailable, RunFailed
from prune_lab.experiments.store.folders import Store, key_of

KEY = "0123456789abcdef"


def publish(store: Store, text: str, key: str = KEY) -> None:
    record: dict[str, Any] = {"phase": "train", "key": key, "inputs": {}, "metrics": {}}
    with store.draft("train", key, record) as folder:
        (folder / "file.txt").write_text(text)
        record["seconds"] = 1.0


def hidden(store: Store) -> list[str]:
    return [path.name for path in (store.root / "train").glob(".*")]


def test_a_folder_is_published_with_its_record_and_leaves_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.resume_folder("train", KEY) / "checkpoint").write_text("")
    publish(store, "whole")
    folder = store.get("train", KEY)
    assert (folder.path / "file.txt").read_text() == "whole"
    assert folder.record["seconds"] == 1.0
    assert hidden(store) == []


def test_a_phase_that_breaks_publishes_nothing_and_keeps_its_checkpoints(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (store.resume_folder("train", KEY) / "checkpoint").write_text("")

    def broken_phase() -> None:
        with store.draft("train", KEY, {}) as folder:
            (folder / "file.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_phase()
    assert store.find("train", KEY) is None
    assert hidden(store) == [f".{KEY}.resume"]


def test_the_first_to_publish_wins(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.draft("train", KEY, {"phase": "train", "key": KEY}) as folder:
        (folder / "file.txt").write_text("second")
        publish(store, "first")
    assert (store.get("train", KEY).path / "file.txt").read_text() == "first"
    assert hidden(store) == []


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "no space left"), (errno.EROFS, "Read-only"), (errno.EACCES, "results=FOLDER")]
)
def test_a_disk_that_refuses_is_said_in_words(tmp_path: Path, number: int, words: str) -> None:
    store = Store(tmp_path)
    with pytest.raises(DataUnavailable, match=words), store.draft("train", KEY, {}):
        raise OSError(number, "Read-only file system")
    assert store.find("train", KEY) is None
    assert hidden(store) == []


def test_results_that_cannot_be_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataUnavailable, match="results=FOLDER"):
        publish(Store(tmp_path / "file"), "text")


@pytest.mark.parametrize("content", [None, "{", '{"half": ', "[]", '{"key": "of another"}'])
def test_a_folder_damaged_by_hand_is_named(tmp_path: Path, content: str | None) -> None:
    store = Store(tmp_path)
    publish(store, "whole")
    record = store.path("train", KEY) / "record.json"
    record.unlink() if content is None else record.write_text(content)
    with pytest.raises(RunFailed, match="runs --clean"):
        store.find("train", KEY)
    (store.root / "train" / "notes of mine").mkdir()
    publish(store, "another", "f" * 16)
    assert [folder.key for folder in store.folders()] == ["f" * 16]
    assert store.leftovers() == list(store.damaged()) == [store.path("train", KEY)]


def test_what_was_removed_from_outside_is_said_to_be(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def swept() -> None:
        with store.draft("train", KEY, {}):
            shutil.rmtree(tmp_path)

    with pytest.raises(RunFailed, match="was removed while"):
        swept()
    with pytest.raises(RunFailed, match=r"gone\.txt was removed while"), store.draft("train", KEY, {}) as folder:
        (folder / "gone.txt").read_text()
    with pytest.raises(DataUnavailable, match="make data/images readable"), store.draft("train", KEY, {}):
        raise PermissionError(errno.EACCES, "Permission denied", "data/images")


def test_removing_and_listing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "one")
    publish(store, "two", "f" * 16)
    assert [folder.key for folder in store.folders()] == [KEY, "f" * 16]
    store.remove(store.get("train", KEY))
    assert [folder.key for folder in store.folders("train")] == ["f" * 16]
    store.resume_folder("train", KEY)
    (tmp_path / "train" / f".{KEY}.draft.999999999.abc").mkdir()
    assert len(store.leftovers()) == 2
    with store.draft("train", KEY, {"phase": "train", "key": KEY}):
        assert store.leftovers() == []  # somebody is at work on it


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for text in ("old", "new"):
        with store.page("all") as folder:
            (folder / "index.html").write_text(text)
    with pytest.raises(ValueError, match="broken"), store.page("all") as folder:
        raise ValueError("broken")
    assert (store.path("report", "all") / "index.html").read_text() == "new"
    assert len(list((tmp_path / "report").iterdir())) == 1


def test_a_key_hashes_the_value_and_not_its_spelling() -> None:
    assert key_of({"a": 1, "b": [0.5]}) == key_of({"b": [0.5], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert len(key_of({})) == 16


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder in which nothing can be made, whoever asks")
def test_a_store_that_cannot_be_made_is_to_lie_elsewhere() -> None:
    with (
        pytest.raises(DataUnavailable, match="to mend it: results=FOLDER"),
        Store("/proc/none").draft("train", "k", {}),
    ):
        pass
