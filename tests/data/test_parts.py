"""Which part a file belongs to: images, parquet and text read names by one table."""

from __future__ import annotations

from pathlib import Path

import pytest

from prune_lab.experiments.data.parts import divide, named_parts

ROOT = Path("/data")


def _parts(names: str, *, by_file: bool = True) -> dict[str, list[str]]:
    found = divide([ROOT / name for name in names.split()], ROOT, by_file=by_file)
    return {part: [file.relative_to(ROOT).as_posix() for file in files] for part, files in found.parts.items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"), ("Train", "TEST"), ("training", "Testing"), ("seg_train", "seg_test"), ("train", "val"),
        ("Training", "validation"), ("train", "dev"), ("train", "valid"), ("train_images", "val_images"),
        ("train-00000-of-00002-a09b74b3ef9c3b56", "test-00000-of-00001-379cce079f30b2ff"), ("train_0", "test_17"),
        ("stories-train", "stories-valid"), ("wiki.train", "wiki.test"),
    ],
)  # fmt: skip
def test_all_readers_agree_on_names(train: str, test: str) -> None:
    """The same names as folders of images, of tables and of texts, and as the tables' own."""
    for around in ("", "unpacked/", "a/b/"):
        named = {"train": [f"{around}{train}.parquet"], "test": [f"{around}{test}.parquet"]}
        assert _parts(f"{around}{train}.parquet {around}{test}.parquet") == named
        inside = [[f"{around}{part}/cat/1.x", f"{around}{part}/dog/2.x"] for part in (train, test)]
        for by_file in (True, False):
            assert _parts(" ".join(inside[0] + inside[1]), by_file=by_file) == {"train": inside[0], "test": inside[1]}


def test_a_name_with_more_in_it_needs_its_counterpart() -> None:
    assert named_parts(["bullet_train", "car", "crash_test"]) == {}
    assert named_parts(["Train", "tester", "latest", "contest", "devil"]) == {"Train": "train"}
    assert set(named_parts(["seg_pred", "seg_test", "seg_train"])) == {"seg_test", "seg_train"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("cat/1.png dog/2.png", {"cat": ("cat",), "dog": ("dog",)}),
        ("set/cat/1.png set/dog/2.png", {"set/cat": ("cat",), "set/dog": ("dog",)}),
        ("seg_train/seg_train/cat/1.png seg_test/seg_test/cat/2.png",
         {"seg_train/seg_train/cat": ("cat",), "seg_test/seg_test/cat": ("cat",)}),
        ("set/train/cat/1.png set/test/cat/2.png set/cover.png",
         {"set/train/cat": ("cat",), "set/test/cat": ("cat",), "set": ("set",)}),
        ("cat/train/1.png dog/train/2.png cat/test/3.png",
         {"cat/train": ("cat",), "dog/train": ("dog",), "cat/test": ("cat",)}),
        ("cat/train/1.png cat/train/a/2.png dog/train/3.png cat/test/b/4.png",  # a was a class beside cat
         {"cat/train": ("cat",), "cat/train/a": ("cat", "a"), "dog/train": ("dog",), "cat/test/b": ("cat", "b")}),
        ("x/train/cat/1.png x/test/dog/2.png y/train/dog/3.png",
         {"x/train/cat": ("cat",), "x/test/dog": ("dog",), "y/train/dog": ("dog",)}),
        ("train/1.png test/2.png", {"train": (), "test": ()}),
    ],
)  # fmt: skip
def test_a_folder_called_like_a_part_is_never_a_class(names: str, expected: dict[str, tuple[str, ...]]) -> None:
    found = divide([ROOT / name for name in names.split()], ROOT, by_file=False)
    assert {"/".join(place): below for place, below in found.below.items()} == expected


def test_folders_around_train_that_are_no_classes_are_told() -> None:
    files = [ROOT / name for name in ("cat/train/a/1.png", "dog/train/b/2.png", "dog/test/a/3.png")]
    told = "classes are the folders below train and test, not those around them: cat, dog"
    assert divide(files, ROOT, by_file=False).notes == [told]
    assert divide(files, ROOT, by_file=True).notes == []


def test_what_is_left_out_and_what_is_told() -> None:
    assert _parts("train/a.txt train/b.txt") == {"all": ["train/a.txt", "train/b.txt"]}
    assert _parts("a.txt test.txt b.txt") == {"all": ["a.txt", "test.txt", "b.txt"]}  # documents, one called test
    assert _parts("cat/1.png dog/2.png test/cat/3.png", by_file=False) == {
        "train": ["cat/1.png", "dog/2.png"], "test": ["test/cat/3.png"]
    }  # fmt: skip
    assert _parts("train.parquet test.parquet extra.parquet") == {"train": ["train.parquet"], "test": ["test.parquet"]}
    assert _parts("a/train/0.parquet b/train/0.parquet b/test/0.parquet") == {
        "train": ["a/train/0.parquet", "b/train/0.parquet"], "test": ["b/test/0.parquet"]
    }  # fmt: skip
    notes = divide([ROOT / name for name in ("train/a", "val/a", "test/a", "pred/a")], ROOT, by_file=True).notes
    assert notes == ["2 files that belong to neither train nor test not read: pred, val"]
    assert "validation part serves as test" in divide([ROOT / "train/a", ROOT / "dev/a"], ROOT, by_file=True).notes[0]
