"""Labels of images by their meaning, from tables, folders and metadata; links, and copies between splits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prune_lab.experiments.data import copies, images, metadata, sources
from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.data.splits import flip_labels
from prune_lab.experiments.errors import ConfigError, DataUnavailable

from ..image_files import joined, label_name, png, random_pixels, table_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNE_LAB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pa.array(["b", "a"] * 8).dictionary_encode(), ("a", "b")),  # a pandas category
        (pa.array(["b", "a"] * 8, pa.string_view()), ("a", "b")),
        (pa.array([True, False] * 8), ("false", "true")),
        (pa.array([2.0, 10.0] * 8), ("2", "10")),  # what whole numbers become beside a missing one
        (pa.array([2, 10] * 8).cast(pa.decimal128(19, 0)), ("2", "10")),
        (pa.array([2, 10] * 8).dictionary_encode(), ("2", "10")),
        (pa.array([-1, 0, 1, 1] * 4), ("-1", "0", "1")),
        (pa.array([1, 2, 3, 7] * 4), ("1", "2", "3", "7")),  # no class 0, and none between
    ],
)
def test_labels_of_any_type_are_read_by_their_meaning(tmp_path: Path, labels: Any, classes: tuple[str, ...]) -> None:
    pixels = random_pixels(16, size=8)
    pq.write_table(pa.table({"image": [png(image) for image in pixels], "label": labels}), tmp_path / "x.parquet")
    data = images.load("images", str(tmp_path / "x.parquet"), dev=0.25)
    assert data.classes == classes
    expected = [classes.index(label_name(label)) for label in labels.to_pylist()]
    read = joined(data, "train", "dev", "test")
    assert [read[f"all/{row:05}"][1] for row in range(16)] == expected


def test_wrong_labels_are_drawn_among_the_classes_there_are(tmp_path: Path) -> None:
    file = table_of(
        tmp_path / "x.parquet", random_pixels(40, size=8), [1, 3] * 20, names=["none", "ant", "void", "bee"]
    )
    data = images.load("images", str(file), dev=0.25)
    assert data.classes == ("none", "ant", "void", "bee")
    assert "classes without a training image: none, void" in data.notes
    assert set(flip_labels(data.splits["train"], 0.9).targets.tolist()) == {1, 3}


def test_each_file_says_what_its_numbers_mean(tmp_path: Path) -> None:
    """The names stand in another order in the second shard, and in test."""
    pixels = random_pixels(30, size=8)
    shards = (("train-0", ["ant", "bee"], 0), ("train-1", ["bee", "ant"], 1), ("test-0", ["bee", "cow", "ant"], 2))
    for place, (name, names, _) in enumerate(shards):
        rows = pixels[10 * place : 10 * place + 10]
        labels = [names.index(("ant", "bee")[row % 2]) for row in range(10)]
        table_of(tmp_path / "set" / f"{name}.parquet", rows, labels, names=names)
    data = images.load("images", str(tmp_path / "set"), dev=0.25)
    assert data.classes == ("ant", "bee")
    for split in ("train", "dev", "test"):
        for name, (_, label) in joined(data, split).items():
            assert label == int(name[-5:]) % 2, name


def test_tables_of_different_columns_and_images_by_path_alone(tmp_path: Path) -> None:
    table_of(tmp_path / "set" / "train-0.parquet", random_pixels(8, size=8), [0, 1] * 4)
    table_of(tmp_path / "set" / "train-1.parquet", random_pixels(8, size=8), [0, 1] * 4, column="kind")
    with pytest.raises(DataUnavailable, match=r"train-1\.parquet has no column label, which train-0\.parquet has"):
        images.load("images", str(tmp_path / "set"), dev=0.25)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    by_path = pa.array([{"bytes": None, "path": "a.png"}] * 4, kind)
    pq.write_table(pa.table({"image": by_path, "label": [0, 1] * 2}), tmp_path / "x.parquet")
    with pytest.raises(DataUnavailable, match=r"(?s)by its path alone, a\.png.*metadata\.csv"):
        images.load("images", str(tmp_path / "x.parquet"), dev=0.25)
    broken = pa.Array.from_buffers(pa.string(), 4, pa.array([b"\xff\xfe"] * 4).buffers())
    pq.write_table(pa.table({"image": [png(random_pixels(1, size=8)[0])] * 4, "label": broken}), tmp_path / "x.parquet")
    with pytest.raises(DataUnavailable, match=r"x\.parquet cannot be read: 'utf-8'"):
        images.load("images", str(tmp_path / "x.parquet"), dev=0.25)


def test_the_usual_names_of_a_label_are_read_without_a_setting(tmp_path: Path) -> None:
    pixels = [png(image) for image in random_pixels(8, size=8)]

    def classes(**columns: Any) -> tuple[str, ...]:
        pq.write_table(pa.table({"picture": pixels, **columns}), tmp_path / "x.parquet")
        return images.load("images", str(tmp_path / "x.parquet"), dev=0.25).classes

    for name in ("labels", "target", "cls", "Label", "Y"):
        assert classes(**{name: [0, 1] * 4}) == ("0", "1")
    assert classes(labels=[0, 1] * 4, label=["a", "b"] * 4) == ("a", "b")  # the first that is usual
    with pytest.raises(ConfigError, match=r"task\.label=kind"):
        classes(kind=[0.0, 1.0] * 4)  # whole floats could be it
    with pytest.raises(ConfigError, match="add such a column, of whole numbers, strings or booleans: none here"):
        classes(label=[[0], [1]] * 4)


@pytest.mark.parametrize("name", ["metadata.csv.gz", "metadata.jsonl.gz", "metadata.parquet", "metadata.csv"])
def test_metadata_in_every_form_is_read_and_written_out(tmp_path: Path, name: str) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for row, image in enumerate(random_pixels(16, size=8)):
        (root / f"{row}.png").write_bytes(png(image))
    rows = [{"file_name": f"{row}.png", "labels": row % 2} for row in range(16)]
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), root / name)
    else:
        with sources.writing(root / name) as stream:
            if ".csv" in name:
                stream.write("file_name,labels\n" + "".join(f"{row}.png,{row % 2}.0\n" for row in range(16)))
            else:
                stream.write("\n".join(map(json.dumps, rows)))
    data = images.load("images", str(root), dev=0.25)
    assert data.classes == ("0", "1")  # 1.0 in a csv is 1
    assert joined(data, "train", "dev", "test")["3.png"][1] == 1
    metadata.write(root / name, root, {"3.png", "4.png"}, tmp_path / "out" / name)
    assert metadata.labels([tmp_path / "out" / name], tmp_path / "out", None).keys() == {"3.png", "4.png"}
    metadata.write(root / name, root, {"elsewhere.png"}, tmp_path / "none" / name)
    assert not (tmp_path / "none").exists()


def test_a_label_out_of_range_is_told_the_range(tmp_path: Path) -> None:
    file = table_of(tmp_path / "x.parquet", random_pixels(8, size=8), [0, 1, 2, 0] * 2, names=["ant", "bee"])
    with pytest.raises(DataUnavailable, match=r"all/00002 is 2; the classes are ant, bee, or their numbers 0 to 1"):
        images.load("images", str(file), dev=0.25)


@pytest.mark.parametrize("jsonl", [False, True])
def test_labels_from_metadata_beside_flat_parts(tmp_path: Path, jsonl: bool) -> None:
    pixels = random_pixels(24, size=8)
    for row, image in enumerate(pixels):
        part = "Train" if row < 16 else "test"
        (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / part / f"{row}.png").write_bytes(png(image))
        with (tmp_path / "set" / part / f"metadata.{'jsonl' if jsonl else 'csv'}").open("a") as table:
            if jsonl:
                table.write(json.dumps({"file_name": f"{row}.png", "label": ("cat", "dog")[row % 2]}) + "\n")
            else:
                table.write("" if row not in (0, 16) else "file_name,label\n")
                table.write(f"{row}.png,{('cat', 'dog')[row % 2]}\n")
    first = images.fingerprint("images", str(tmp_path / "set"))
    data = images.load("images", str(tmp_path / "set"), dev=0.25)
    assert data.classes == ("cat", "dog")
    assert joined(data, "train", "dev") == {f"Train/{row}.png": (pixels[row].tobytes(), row % 2) for row in range(16)}
    assert len(data.splits["test"].ids) == 8
    if not jsonl:
        table = tmp_path / "set" / "Train" / "metadata.csv"
        rows = table.read_text()
        table.write_text(rows + "0.png,dog\n")
        with pytest.raises(DataUnavailable, match=r"row 17 of .* labels Train/0\.png dog, and one before it cat"):
            images.load("images", str(tmp_path / "set"), dev=0.25)
        table.write_text(rows)
    (tmp_path / "set" / "Train" / "another.png").write_bytes(png(pixels[0]))
    with pytest.raises(DataUnavailable, match=r"Train/another\.png is in no class folder and has no row in metadata"):
        images.load("images", str(tmp_path / "set"), dev=0.25)
    for table in (tmp_path / "set").glob("*/metadata.*"):
        table.unlink()
    with pytest.raises(DataUnavailable, match=r"is in no class folder\n.*metadata"):
        images.load("images", str(tmp_path / "set"), dev=0.25)
    assert images.fingerprint("images", str(tmp_path / "set")) != first


def test_links_are_followed_and_refused_where_they_lead_nowhere(tmp_path: Path) -> None:
    pixels = random_pixels(16, size=8)
    for row, image in enumerate(pixels):
        folder = tmp_path / ("elsewhere" if row % 2 else "set/cat")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.png").write_bytes(png(image))
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert images.load("images", str(tmp_path / "set"), dev=0.25).classes == ("cat", "dog")

    def refused(place: Path) -> str:
        with pytest.raises(DataUnavailable) as caught:
            images.load("images", str(tmp_path / "set"), dev=0.25)
        place.unlink()
        return str(caught.value)

    (loop := tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "set", target_is_directory=True)
    assert "dog/loop is a link to a folder that contains it" in refused(loop)
    for name in ("nothing.png", "nothing"):
        (dangling := tmp_path / "set" / "cat" / name).symlink_to(tmp_path / "nowhere")
        assert f"{name} is a link to nothing" in refused(dangling)
    os.mkfifo(pipe := tmp_path / "set" / "cat" / "pipe.png")
    assert "pipe.png is no file that can be read" in refused(pipe)
    odd = os.fsencode(tmp_path / "set" / "cat") + b"/\xff.png"
    with open(odd, "wb"):
        pass
    assert "is not UTF-8" in refused(Path(os.fsdecode(odd)))


def test_copies_between_splits_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = random_pixels(40, size=8)
    pixels[1] = pixels[0]
    table_of(tmp_path / "set" / "train.parquet", pixels, [0, 1] * 20)
    table_of(tmp_path / "set" / "test.parquet", pixels[[0, 5, 7, 9]], [1, 1, 0, 1])
    task = images.Images(path=str(tmp_path / "set"), dev=0.1)
    load_data.cache_clear()
    notes = [note for note in load_data(task).notes if note.startswith("copies")]
    assert notes[0] == "copies: 4 of 4 test images are byte for byte in train, 1 of them with another label"
    monkeypatch.setattr(copies, "SMALL", 0)
    for _ in range(2):  # the second from the cache
        load_data.cache_clear()
        assert [note for note in load_data(task).notes if note.startswith("copies")] == notes


def test_a_table_without_images_does_not_hide_the_image_files(tmp_path: Path) -> None:
    for row, image in enumerate(random_pixels(16, size=8)):
        file = tmp_path / "set" / ("cat", "dog")[row % 2] / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(image))
    pq.write_table(pa.table({"file": ["cat/0.png"], "label": [0]}), tmp_path / "set" / "index.parquet")
    (tmp_path / "set" / "metadata.csv").write_text("file_name,caption\ncat/0.png,a cat\n")
    data = images.load("images", str(tmp_path / "set"), dev=0.25)
    assert data.classes == ("cat", "dog")
    assert "index.parquet was not read: it holds no images" in data.notes
    assert "metadata.csv was not read: folders name the classes" in data.notes
    table_of(tmp_path / "set" / "index.parquet", random_pixels(8, size=8), ["ant", "bee"] * 4)
    data = images.load("images", str(tmp_path / "set"), dev=0.25)
    assert data.classes == ("ant", "bee")
    assert "16 image files beside the parquet files were not read" in data.notes
