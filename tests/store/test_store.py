"""Publishing: whole or not at all, the first wins, and nothing published is damaged."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from prune_lab.experiments.errors import DataUnavailable, RunFailed
from prune_lab.experiments.store import disk, folders
from prune_lab.experiments.store.folders import Store, key_of

KEY = "0123456789abcdef"
OTHER = "f" * 16


def record_of(key: str) -> dict[str, Any]:
    return {"phase": "train", "key": key, "recipe": {}, "inputs": {}, "code": {}, "metrics": {"loss": 0.1}}


def publish(store: Store, text: str, key: str = KEY) -> Path:
    record = record_of(key)
    with store.draft("train", key, record) as folder:
        (folder / "file.txt").write_text(text)
        record["seconds"] = 1.0
    return store.path("train", key)


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
    with store.draft("train", KEY, record_of(KEY)) as folder:
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


def damage(path: Path, how: str) -> None:
    """Do to a file of a folder, or to its record, what a person or a disk might."""
    record, file = path / "record.json", path / "file.txt"
    whole: dict[str, Any] = json.loads(record.read_text())
    match how:
        case "no record":
            record.unlink()
        case "a folder for a record":
            record.unlink()
            record.mkdir()
        case "a file for the folder":
            shutil.rmtree(path)
            path.write_text("")
        case "no metrics":
            record.write_text(json.dumps({name: value for name, value in whole.items() if name != "metrics"}))
        case "another loss":
            record.write_text(record.read_text().replace("0.1", "0.2"))
        case "no file":
            file.unlink()
        case "a folder for a file":
            file.unlink()
            file.mkdir()
        case "half a file":
            file.write_text(file.read_text()[:2])
        case "another file":
            file.write_text("other")
        case _:
            record.write_text(how)


SEEN = (
    "{", '{"half": ', "[]", '{"key": "of another"}', "[" * 3000, "no record", "a folder for a record", "no metrics",
    "a file for the folder", "another loss", "no file", "a folder for a file", "half a file",
)  # fmt: skip


@pytest.mark.parametrize("how", [*SEEN, "another file"])
def test_a_damaged_folder_is_named_and_its_mend_mends(tmp_path: Path, how: str) -> None:
    store = Store(tmp_path)
    damage(publish(store, "whole"), how)
    publish(store, "another", OTHER)
    if how in SEEN:  # without reading the file
        with pytest.raises(RunFailed, match="runs --clean"):
            store.find("train", KEY)
        assert [folder.key for folder in store.folders()] == [OTHER]
    else:
        with pytest.raises(RunFailed, match="runs --clean"):
            store.get("train", KEY).check()
    assert [path for path, found in store.looked_at(hashes=True) if isinstance(found, RunFailed)] == store.leftovers()
    assert list(store.clean()) == [f"removed {store.path('train', KEY)}"]
    publish(store, "whole")
    store.get("train", KEY).check()


def test_a_record_of_before_hashes_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = publish(store, "whole")
    record = json.loads((path / "record.json").read_text())
    (path / "record.json").write_text(json.dumps({name: record[name] for name in {*record} - {"files", "digest"}}))
    folder = store.get("train", KEY)
    folder.check()
    assert not folder.is_hashed
    assert store.leftovers() == []


def test_what_a_person_keeps_in_the_store_is_never_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "whole")
    own = (".my.notes", ".abc.resume", "my notes of 2026", ".git", f".{KEY}.draft.mine", "notes")
    for name in own:
        (tmp_path / "train" / name).mkdir()
    (tmp_path / "train" / f".{KEY}.resume").write_text("a file of mine")
    assert store.leftovers() == []
    assert list(store.clean()) == []


def test_the_traceback_of_a_run_is_removed_with_what_else_it_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, "whole")
    told, own = (tmp_path / "train" / f"{name}.traceback.txt" for name in (KEY, "mine"))
    for file in (told, own):
        file.write_text("Traceback")
    assert list(store.clean()) == [f"removed {told}"]
    assert own.exists()


def test_files_are_on_the_disk_before_their_folder_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, flushed = Store(tmp_path), []
    resume, final = store.resume_folder("train", KEY), store.path("train", KEY)

    def flush(path: Path) -> None:
        assert resume.exists()
        flushed.append((path.name.split(".draft")[0], final.exists()))

    monkeypatch.setattr(disk, "flush", flush)
    publish(store, "whole")
    assert sorted(flushed[:-1]) == [(f".{KEY}", False), ("file.txt", False), ("record.json", False)]
    assert flushed[-1] == ("train", True)
    assert not resume.exists()


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
    publish(store, "two", OTHER)
    assert [folder.key for folder in store.folders()] == [KEY, OTHER]
    (tmp_path / "train" / f".{KEY}.removed" / "of a removal that was killed").mkdir(parents=True)
    store.remove(store.get("train", KEY))
    assert [folder.key for folder in store.folders("train")] == [OTHER]
    store.resume_folder("train", KEY)
    for host in ("", f"{folders.HOST}."):  # without: of an older version
        (tmp_path / "train" / f".{KEY}.draft.{host}999999999.abcdefgh").mkdir()
    assert len(store.leftovers()) == 3
    with store.draft("train", KEY, record_of(KEY)):
        assert store.leftovers() == []  # somebody is at work on it


def test_drafts_and_checkpoints_of_other_hosts_are_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.resume_folder("train", KEY)
    draft = tmp_path / "train" / f".{KEY}.draft.node-7.999999999.abcdefgh"
    draft.mkdir()
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / ".demo.draft.node-7.999999999.abcdefgh").mkdir()
    assert store.leftovers() == []
    said = list(store.clean())
    assert len(said) == 2
    assert said[0].startswith(f"left alone {draft}: a run on node-7")
    assert draft.exists()


def test_another_users_process_is_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(process: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    (tmp_path / "train" / f".{KEY}.draft.{folders.HOST}.1.abcdefgh").mkdir(parents=True)
    assert Store(tmp_path).leftovers() == []


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for text in ("old", "new"):
        with store.page("all") as folder:
            (folder / "index.html").write_text(text)
    with pytest.raises(ValueError, match="broken"), store.page("all") as folder:
        raise ValueError("broken")
    assert (store.path("report", "all") / "index.html").read_text() == "new"
    assert len(list((tmp_path / "report").iterdir())) == 1


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_report_that_breaks_at_any_rename_leaves_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    store, rename, renamed = Store(tmp_path), Path.rename, []

    def page(text: str) -> str:
        with store.page("all") as folder:
            (folder / "index.html").write_text(text)
        return (store.path("report", "all") / "index.html").read_text()

    def second_breaks(path: Path, target: Path) -> Path:
        renamed.append(path)
        if len(renamed) == 2:
            raise KeyboardInterrupt
        return rename(path, target)

    page("old")
    monkeypatch.setattr(Path, "rename", second_breaks)
    if exchanges:  # one step of the system: killed before or after it, there is a page
        assert (page("new"), renamed) == ("new", [])
    else:
        monkeypatch.setattr(disk, "exchange", lambda *_: os.stat(tmp_path / "none"))
        with pytest.raises(KeyboardInterrupt):
            page("new")
        assert (store.path("report", "all") / "index.html").read_text() == "old"
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["all"]


def test_a_page_that_a_killed_report_took_away_is_put_back(tmp_path: Path) -> None:
    old = tmp_path / "report" / f".all.draft.{folders.HOST}.999999999.abcdefgh.replaced"
    old.mkdir(parents=True)
    assert list(Store(tmp_path).clean()) == [f"put back {tmp_path / 'report' / 'all'}"]
    old.mkdir()
    assert list(Store(tmp_path).clean()) == [f"removed {old}"]


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
