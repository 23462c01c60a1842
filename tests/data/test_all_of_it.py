"""Own images: all of them for training, copies in one split, and what is said of the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from prune_lab.cli import compose
from prune_lab.experiments.contracts import Data
from prune_lab.experiments.data import copies, images, text
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases.plan import job_of

from ..command_line import call
from ..image_files import random_pixels


def write(folder: Path, *, copied: int = 0, number: int = 20) -> Path:
    """Two classes of 8x8 images; the first of each class `copied` times more."""
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for row, pixels in enumerate(random_pixels(number, seed=ord(label), size=8)):
            for copy in range(1 + copied if row == 0 else 1):
                Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / label / f"{row:02}_{copy}.png")
    return folder


def sizes(data: Data) -> tuple[int, int, int]:
    return tuple(len(data.splits[name].ids) for name in ("train", "dev", "test"))  # type: ignore[return-value]


def test_all_images_are_trained_on_and_scored_where_no_split_is_set_apart(tmp_path: Path) -> None:
    folder = str(write(tmp_path / "set"))
    assert sizes(images.load("images", folder, dev=0.1, test=0)) == (36, 4, 0)
    whole = images.load("images", folder, dev=0, test=0)
    assert sizes(whole) == (40, 4, 0)
    assert set(whole.splits["dev"].ids) < set(whole.splits["train"].ids)
    assert any("also trained on (task.dev=0)" in note for note in whole.notes)
    assert not copies.between(whole.splits, "images")
    (run,) = compose.runs("evaluate", ["task=images", f"task.path={folder}", "task.test=0"])
    with pytest.raises(ConfigError, match=r"task\.test=0 leaves no test split.*\n?.*task\.test=0\.2"):
        job_of("evaluate", run)
    with pytest.raises(ConfigError, match=r"task\.dev=0\.1"):
        compose.runs("score", ["task=images", f"task.path={folder}", "task.dev=0", "scorer=class_error"])
    (run,) = compose.runs("search", ["task=images", f"task.path={folder}", "task.dev=0", "recipe=flow"])
    with pytest.raises(ConfigError, match=r"which task\.dev=0 trains on"):
        job_of("search", run)


def test_all_documents_are_trained_on_where_no_test_split_is_set_apart(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text(f"the document of number {number} is about {number * 7919}" * 3)
    data = text.load("text", str(tmp_path), dev=0.1, test=0, vocabulary=260, context=16)
    documents = {str(name).partition("#")[0] for split in ("train", "dev") for name in data.splits[split].ids}
    assert len(documents) == 20
    assert len(data.splits["test"].ids) == 0
    whole = text.load("text", str(tmp_path), dev=0, test=0, vocabulary=260, context=16)
    trained, watched = ({name.partition("#")[0] for name in whole.splits[one].ids} for one in ("train", "dev"))
    assert len(trained) == 20
    assert 0 < len(watched) < 20
    assert set(whole.splits["dev"].ids) < set(whole.splits["train"].ids)
    assert any("also trained on (task.dev=0)" in note for note in whole.notes)
    assert not copies.between(whole.splits, "text")


def test_copies_stay_in_one_split_where_they_are_grouped(tmp_path: Path) -> None:
    folder = str(write(tmp_path / "set", copied=9))
    apart = images.load("images", folder, dev=0.2, test=0.2)
    assert copies.between(apart.splits, "images")
    grouped = images.load("images", folder, dev=0.2, test=0.2, grouped=True)
    assert not copies.between(grouped.splits, "images")
    assert sum(sizes(grouped)) == 58
    found = copies.originals(grouped.splits, "images")
    assert len(found) == 18
    assert {(name[0], original[:4]) for name, original in found.items()} == {("a", "a/00"), ("b", "b/00")}


def test_without_copies_grouping_changes_no_split(tmp_path: Path) -> None:
    folder = str(write(tmp_path / "set"))
    one, other = (images.load("images", folder, dev=0.2, test=0.2, grouped=grouped) for grouped in (False, True))
    assert all(np.array_equal(one.splits[name].ids, other.splits[name].ids) for name in one.splits)


def test_near_copies_stay_in_one_split(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(12):
            picture = draw.integers(0, 256, (8, 8, 3))
            for copy in range(3):  # a step brighter, and with a little noise: no two are equal
                altered = picture * 0.9 + 4 * copy + draw.normal(0, 3, picture.shape)
                Image.fromarray(altered.clip(0, 255).astype(np.uint8)).save(tmp_path / name / f"{number:02}_{copy}.png")
    data = images.load("images", str(tmp_path), dev=0.2, test=0.2, grouped=True, near=True)
    pictures = {split: {str(one).rpartition("_")[0][-4:] for one in part.ids} for split, part in data.splits.items()}
    assert sum(map(len, pictures.values())) == 24 == len(set.union(*pictures.values()))
    assert "48 images are copies or near copies of another, and no split shares them (task.copies=near)" in data.notes
    by_bytes = images.load("images", str(tmp_path), dev=0.2, test=0.2, grouped=True)
    assert not any("copies of another" in note for note in by_bytes.notes)


def test_test_images_that_are_in_train_are_left_out_of_a_given_test_part(tmp_path: Path) -> None:
    write(tmp_path / "train")
    write(tmp_path / "test", number=21)
    data = images.load("images", str(tmp_path), dev=0.2, grouped=True)
    assert sizes(data) == (32, 8, 2)
    assert "40 of 42 test images are byte for byte in train, and are left out (task.copies=group)" in data.notes


def test_classes_hidden_folders_and_converted_modes_are_said(tmp_path: Path) -> None:
    write(tmp_path, number=4)
    Image.new("RGBA", (8, 8)).save(tmp_path / "a" / "glass.png")
    for folder in ("__MACOSX", ".thumbnails", "single"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / folder / "one.png")
    notes = images.load("images", str(tmp_path), dev=0.2, test=0.2).notes
    said = "\n".join(notes)
    assert "3 classes, 10 images: a 5, b 4, single 1" in said
    assert "warning: one image only of single" in said
    assert "left out as hidden: .thumbnails, __MACOSX" in said
    assert "images of mode RGBA are converted" in said


def test_a_table_of_what_is_kept_says_what_is_a_copy_of_what(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, path = write(tmp_path / "set", copied=2), tmp_path / "kept.csv"
    words = [
        "prune",
        "task=images",
        f"task.path={folder}",
        "task.test=0",
        "task.dev=0",
        "keep=0.5",
        "rule=random",
        "seed=3",
    ]
    assert call(capsys, *words, f"export={path}", f"results={tmp_path / 'results'}").code == 0
    table = pd.read_csv(path)
    assert (len(table), set(table["split"]), set(table["reason"])) == (44, {"train"}, {"kept", "dropped"})
    kept = dict(zip(table["id"], table["kept"], strict=True))
    expected = {}
    for label in "ab":
        alike = [f"{label}/00_{copy}.png" for copy in range(3)]
        original = next((one for one in alike if kept[one]), alike[0])  # the first that is kept
        expected |= {one: original for one in alike if one != original}
    assert any(one > other for other, one in expected.items())  # not always the first of all
    copied = table.dropna(subset="copy_of")
    assert dict(zip(copied["id"], copied["copy_of"], strict=True)) == expected
