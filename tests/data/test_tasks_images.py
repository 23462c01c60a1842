"""Images: every layout reads the same pixels, and what cannot be used is refused by name."""

from __future__ import annotations

import math
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from prune_lab.experiments.data import cifar, images
from prune_lab.experiments.errors import ConfigError, DataUnavailable, LabError

from ..image_files import joined, png, random_pixels, table_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNE_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PRUNE_LAB_DATA", raising=False)


def _batches(folder: Path, pixels: np.ndarray[Any, Any], labels: list[int], layout: str) -> None:
    """CIFAR-10's files: five of train, then test, of equal size."""
    folder.mkdir(parents=True)
    size = len(pixels) // 6
    for place, name in enumerate(
        ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
    ):
        rows = slice(place * size, (place + 1) * size)
        flat = pixels[rows].reshape(size, -1)
        if layout == "python":
            batch = {b"data": flat, b"labels": labels[rows], b"batch_label": b"a batch"}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
        else:
            records = np.concatenate([np.array(labels[rows], np.uint8)[:, None], flat], 1)
            (folder / f"{name}.bin").write_bytes(records.tobytes())


def test_cifar_is_the_same_in_every_layout(tmp_path: Path) -> None:
    pixels, labels = random_pixels(240), [row % 10 for row in range(240)]
    _batches(tmp_path / "py" / cifar.PYTHON, pixels, labels, "python")
    _batches(tmp_path / "bin" / cifar.BINARY, pixels, labels, "binary")
    table_of(tmp_path / "pq" / "train-00000-of-00002.parquet", pixels[:100], labels[:100])
    table_of(tmp_path / "pq" / "train-00001-of-00002.parquet", pixels[100:200], labels[100:200])
    table_of(tmp_path / "pq" / "test-00000-of-00001.parquet", pixels[200:], labels[200:])
    read = [images.load("cifar10", str(tmp_path / layout), dev=0.1) for layout in ("py", "bin", "pq")]
    expected = {f"train/{row:05}": (pixels[row].tobytes(), labels[row]) for row in range(200)}
    for data in read:
        assert data.classes == cifar.CLASSES
        assert joined(data, "train", "dev") == expected
        assert data.splits["test"].inputs.tobytes() == pixels[200:].tobytes()
        assert np.bincount(data.splits["dev"].targets).tolist() == [2] * 10
        assert not any("JPEG" in note for note in data.notes)
    inside = images.load("cifar10", str(tmp_path / "py" / cifar.PYTHON), dev=0.1)
    assert joined(inside, "train") == joined(read[0], "train")


def test_a_second_load_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = table_of(tmp_path / "all.parquet", random_pixels(40), [row % 2 for row in range(40)])
    first = images.load("images", str(file), dev=0.1)
    monkeypatch.setattr(images, "decode", lambda *_: pytest.fail("decoded again"))
    second = images.load("images", str(file), dev=0.1)
    assert joined(first, "train", "dev", "test") == joined(second, "train", "dev", "test")
    assert first.notes == second.notes


def test_fingerprint_follows_the_bytes(tmp_path: Path) -> None:
    file = table_of(tmp_path / "a.parquet", random_pixels(4), [0, 1, 0, 1])
    first = images.fingerprint("images", str(file))
    table_of(file, random_pixels(4, seed=1), [0, 1, 0, 1])
    os.utime(file, ns=(1, 1))
    assert images.fingerprint("images", str(file)) != first


def test_a_pickle_that_wants_more_than_arrays_is_refused(tmp_path: Path) -> None:
    class Command:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    class Codec:
        def __reduce__(self) -> tuple[Any, ...]:
            import codecs

            return codecs.encode, ("text", "rot13")

    folder = tmp_path / cifar.PYTHON
    _batches(folder, random_pixels(6), [0] * 6, "python")
    for evil, named in ((Command(), "mkdir"), (Codec(), "rot13")):
        (folder / "test_batch").write_bytes(pickle.dumps({b"data": evil, b"labels": [0]}, protocol=2))
        with pytest.raises(DataUnavailable, match=f"test_batch.*{named}"):
            images.load("cifar10", str(tmp_path), dev=0.5)
    assert not (tmp_path / "ran").exists()


def test_incomplete_and_damaged_batches_are_named(tmp_path: Path) -> None:
    folder = tmp_path / cifar.BINARY
    _batches(folder, random_pixels(12), [0, 1] * 6, "binary")
    (folder / "data_batch_2.bin").write_bytes(b"\0" * 100)
    with pytest.raises(DataUnavailable, match="data_batch_2"):
        images.load("cifar10", str(tmp_path), dev=0.5)
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(DataUnavailable, match="has no data_batch_2"):
        images.load("cifar10", str(tmp_path), dev=0.5)
    _batches(tmp_path / "py" / cifar.PYTHON, random_pixels(12), [0, 1] * 6, "python")
    file = tmp_path / "py" / cifar.PYTHON / "data_batch_3"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DataUnavailable, match="data_batch_3"):
        images.load("cifar10", str(tmp_path / "py"), dev=0.5)


def test_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's own code is replaced: it would import torch, and ask a network."""
    archive = SimpleNamespace(url="", filename="archive", tgz_md5="")
    for module in ("torchvision", "torchvision.datasets", "torchvision.datasets.utils"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    monkeypatch.setattr(sys.modules["torchvision.datasets"], "CIFAR10", archive, raising=False)

    def answer(fetch: Any) -> None:
        name = "download_and_extract_archive"
        monkeypatch.setattr(sys.modules["torchvision.datasets.utils"], name, fetch, raising=False)

    def fails(*_: object, **__: object) -> None:
        raise OSError("no route")

    def succeeds(_: str, folder: str, *, filename: str, md5: str) -> None:
        (Path(folder) / filename).touch()
        _batches(Path(folder) / cifar.PYTHON, random_pixels(24), [0, 1] * 12, "python")

    answer(fails)
    with pytest.raises(DataUnavailable, match=r"(?s)no route.*task\.path=.*PRUNE_LAB_DATA"):
        images.load("cifar10", None, dev=0.1)
    answer(succeeds)
    assert "downloaded now" in images.load("cifar10", None, dev=0.1).notes[0]
    answer(fails)
    assert "downloaded earlier" in images.load("cifar10", None, dev=0.1).notes[0]


def test_a_broken_torchvision_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(DataUnavailable, match="by torchvision failed"):
        images.load("cifar10", None, dev=0.1)


def test_class_folders_with_train_and_test(tmp_path: Path) -> None:
    pixels = random_pixels(24, size=16)
    for row, image in enumerate(pixels):
        part, name = ("train", "test")[row >= 16], ("cat", "dog")[row % 2]
        (tmp_path / "set" / part / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / part / name / f"{row}.png").write_bytes(png(image))
    data = images.load("images", str(tmp_path / "set"), dev=0.25)
    assert data.classes == ("cat", "dog")
    assert joined(data, "train", "dev") == {
        f"train/{('cat', 'dog')[row % 2]}/{row}.png": (pixels[row].tobytes(), row % 2) for row in range(16)
    }
    assert sorted(data.splits["test"].ids)[0].startswith("test/cat/")
    with pytest.raises(ConfigError, match=r"task\.test=0\.3 splits a test part off, and .*set has one"):
        images.load("images", str(tmp_path / "set"), dev=0.25, test=0.3)
    (tmp_path / "set" / "test" / "cow").mkdir()
    (tmp_path / "set" / "test" / "cow" / "1.png").write_bytes(png(pixels[0]))
    with pytest.raises(DataUnavailable, match=r"test/cow/1\.png is cow"):
        images.load("images", str(tmp_path / "set"), dev=0.25)


def test_class_folders_alone_are_split_and_gray_stays_gray(tmp_path: Path) -> None:
    pixels = random_pixels(40, size=8)
    for row, image in enumerate(pixels):
        folder = tmp_path / "set" / ("dog" if row % 2 else "cat")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{row}.png").write_bytes(png(image[0]))
    data = images.load("images", str(tmp_path / "set"), dev=0.25, test=0.2)
    assert {name: split.inputs.shape for name, split in data.splits.items()} == {
        "train": (24, 1, 8, 8), "dev": (8, 1, 8, 8), "test": (8, 1, 8, 8)
    }  # fmt: skip
    assert np.bincount(data.splits["test"].targets).tolist() == [4, 4]
    assert any("8 of 40" in note for note in data.notes)
    (tmp_path / "set" / "cat" / "colour.png").write_bytes(png(pixels[0]))
    assert images.load("images", str(tmp_path / "set"), dev=0.25).splits["dev"].inputs.shape[1] == 3
    (tmp_path / "set" / "loose.png").write_bytes(png(pixels[0]))
    with pytest.raises(DataUnavailable, match=r"loose\.png is in no class folder"):
        images.load("images", str(tmp_path / "set"), dev=0.25)


def test_gray_beside_colour_becomes_colour(tmp_path: Path) -> None:
    gray, colour = random_pixels(8, size=8)[:, 0], random_pixels(8, seed=1, size=8)
    table_of(tmp_path / "set" / "train.parquet", colour, [0, 1] * 4)
    table_of(tmp_path / "set" / "test.parquet", gray, [0, 1] * 4)
    data = images.load("images", str(tmp_path / "set"), dev=0.25)
    assert np.array_equal(data.splits["test"].inputs, gray[:, None].repeat(3, 1))


def test_sixteen_bits_keep_their_upper_half(tmp_path: Path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(1, 8, 8).repeat(8, 0) * 1000
    file = table_of(tmp_path / "deep.parquet", deep, [0, 1] * 4)
    data = images.load("images", str(file), dev=0.25, test=0.25)
    assert np.array_equal(data.splits["train"].inputs[0, 0], deep[0] >> 8)


def test_parquet_names_paths_and_label_column(tmp_path: Path) -> None:
    paths = [f"img/{row}.png" for row in range(20)]
    file = table_of(
        tmp_path / "x.parquet",
        random_pixels(20, size=8),
        [0, 1] * 10,
        column="kind",
        paths=paths,
        names=["ant", "bee", "cow"],
    )
    data = images.load("images", str(file), dev=0.2, label="kind")
    assert data.classes == ("ant", "bee", "cow")
    assert set(joined(data, "train", "dev", "test")) == set(paths)
    with pytest.raises(ConfigError, match=r"(?s)img, kind; did you mean kind.*task\.label=kind"):
        images.load("images", str(file), dev=0.2, label="kinds")
    with pytest.raises(ConfigError, match="no label or fine_label or class: it has img, kind"):
        images.load("images", str(file), dev=0.2)
    doubled = table_of(tmp_path / "y.parquet", random_pixels(8, size=8), [0, 1] * 4, paths=["same"] * 8)
    assert images.load("images", str(doubled), dev=0.5, test=0.5).splits["test"].ids[0].startswith("all/0000")


def test_labels_may_be_names(tmp_path: Path) -> None:
    file = table_of(tmp_path / "x.parquet", random_pixels(20, size=8), ["bee", "ant"] * 10)
    data = images.load("images", str(file), dev=0.2)
    assert data.classes == ("ant", "bee")
    assert all(label == (int(name[-5:]) + 1) % 2 for name, (_, label) in joined(data, "train").items())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, None, 1], r"1 of 4 rows have no label in column label of train\.parquet; the first is row 2"),
        ([0, 1, -1, 1], "train/00002 is -1"),
        ([0, 1, 10, 1], "train/00002 is 10; the classes are"),
    ],
)
def test_labels_that_are_no_class(tmp_path: Path, labels: list[int | None], message: str) -> None:
    table_of(tmp_path / "set" / "train.parquet", random_pixels(4), labels)
    table_of(tmp_path / "set" / "test.parquet", random_pixels(4), [0, 1] * 2)
    with pytest.raises(DataUnavailable, match=message):
        images.load("cifar10", str(tmp_path / "set"), dev=0.5)


def test_only_columns_that_could_be_labels_are_offered(tmp_path: Path) -> None:
    def refused(wanted: str | None = None, **columns: list[Any]) -> str:
        pq.write_table(pa.table({"image": [png(random_pixels(1, size=8)[0])] * 4, **columns}), tmp_path / "x.parquet")
        with pytest.raises(LabError) as caught:
            images.load("images", str(tmp_path / "x.parquet"), dev=0.5, label=wanted)
        return str(caught.value)

    floats, kinds, names = [0.5] * 4, [0, 1] * 2, ["a", "b"] * 2
    assert refused(weight=floats, kind=kinds).endswith("task.label=kind")
    assert refused("weight", weight=floats, kind=kinds, name=names).endswith("task.label=COLUMN, one of kind, name")
    assert "none here could be it" in refused(weight=floats)
    missing = "2 of 4 rows have no label in column label of x.parquet; the first is row 1"
    for labels in ([0, None, 1, None], ["a", None, "b", ""], [0.0, math.nan, 1.0, math.nan]):
        assert missing in refused(label=labels)
    assert "column label of x.parquet holds double, such as 0.5" in refused(label=floats)


def test_paths_in_place_of_images_and_tables_of_no_rows(tmp_path: Path) -> None:
    for columns, message in (
        ({"image": ["a.png"], "label": [0]}, r"it has image \(string\), label \(int64\)"),
        ({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())}, r"no images in x\.parquet: 0 rows"),
    ):
        pq.write_table(pa.table(columns), tmp_path / "x.parquet")
        with pytest.raises(LabError, match=f"(?s){message}.*to mend it"):
            images.load("images", str(tmp_path), dev=0.5)


def test_labels_without_names(tmp_path: Path) -> None:
    table_of(tmp_path / "set" / "train.parquet", random_pixels(6, size=8), [0, 1, 2] * 2)
    table_of(tmp_path / "set" / "test.parquet", random_pixels(2, size=8), [0, 3])
    with pytest.raises(DataUnavailable, match="test/00001 is 3; the classes are 0, 1, 2"):
        images.load("images", str(tmp_path / "set"), dev=0.5)
    for labels, error, message in (
        ([900, 2, 901, 4, 5, 6, 7, 8], DataUnavailable, "8 different labels among 8 images"),
        ([0.5, 1.0], ConfigError, "holds double"),
        ([0, 0], DataUnavailable, "one class only"),
    ):
        with pytest.raises(error, match=message):
            images.load(
                "images", str(table_of(tmp_path / "x.parquet", random_pixels(len(labels), size=8), labels)), dev=0.5
            )


def test_unreadable_images_and_files_are_named(tmp_path: Path) -> None:
    def write(contents: list[bytes | None]) -> str:
        pq.write_table(pa.table({"image": contents, "label": [0, 1, 0]}), tmp_path / "x.parquet")
        return str(tmp_path / "x.parquet")

    good = png(random_pixels(1, size=8)[0])
    for bad, message in (
        (b"nothing", "all/00001 cannot be read"),
        (good[: len(good) // 2], "all/00001 cannot be read"),
        (None, "all/00001 is null"),
    ):
        with pytest.raises(DataUnavailable, match=message):
            images.load("images", write([good, bad, good]), dev=0.5)
    file = table_of(tmp_path / "y.parquet", random_pixels(20), [0, 1] * 10)
    content = file.read_bytes()
    file.write_bytes(content[:-200])
    with pytest.raises(DataUnavailable, match=r"y\.parquet cannot be read"):
        images.load("images", str(file), dev=0.5)
    pq.write_table(pa.table({"label": [0, 1]}), file)
    with pytest.raises(ConfigError, match=r"no column of encoded images .*: it has label \(int64\)"):
        images.load("images", str(file), dev=0.5)


def test_sizes(tmp_path: Path) -> None:
    for size, fits in ((7, False), (8, True), (64, True), (65, False)):
        file = table_of(tmp_path / f"{size}.parquet", random_pixels(8, size=size), [0, 1] * 4)
        if fits:
            shape = images.load("images", str(file), dev=0.25, test=0.25).splits["dev"].inputs.shape
            assert shape == (2, 3, size, size)
        else:
            with pytest.raises(ConfigError, match=rf"(?s)all/00000 is {size}x{size}.*task\.size=32"):
                images.load("images", str(file), dev=0.25)
    (tmp_path / "mixed" / "a").mkdir(parents=True)
    (tmp_path / "mixed" / "b").mkdir(parents=True)
    for row in range(8):
        image = Image.new("RGB", (20 + row, 10), (row * 10, 100, 200))
        image.save(tmp_path / "mixed" / "ab"[row % 2] / f"{row}.png")
    with pytest.raises(ConfigError, match=r"(?s)7 of 8 are not 20x10.* first is a/2\.png, 22x10.*task\.size=32"):
        images.load("images", str(tmp_path / "mixed"), dev=0.25)
    data = images.load("images", str(tmp_path / "mixed"), dev=0.25, size=16)
    assert data.splits["train"].inputs.shape[1:] == (3, 16, 16)
    row = int(data.splits["train"].ids[0].split("/")[1][0])
    assert data.splits["train"].inputs[0, :, 3, 3].tolist() == [row * 10, 100, 200]


def test_the_odd_one_out_is_the_one_named(tmp_path: Path) -> None:
    for part, sizes in (("train", [12, 8, 8, 8]), ("test", [9, 9])):
        for row, size in enumerate(sizes):
            file = tmp_path / part / "ab"[row % 2] / f"{row}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(random_pixels(1, size=size)[0]))
    with pytest.raises(ConfigError, match=r"1 of 4 are not 8x8, the commonest size; .*train/a/0\.png, 12x12"):
        images.load("images", str(tmp_path), dev=0.5)
    (tmp_path / "train" / "a" / "0.png").write_bytes(png(random_pixels(1, size=8)[0]))
    with pytest.raises(ConfigError, match=r"2 of 2 are not 8x8, the size of the training images; .*test/a/0\.png, 9x9"):
        images.load("images", str(tmp_path), dev=0.5)


def test_batches_are_resized_too(tmp_path: Path) -> None:
    pixels = np.full((12, 3, 32, 32), 77, np.uint8)
    _batches(tmp_path / cifar.BINARY, pixels, [0, 1] * 6, "binary")
    inputs = images.load("cifar10", str(tmp_path), dev=0.5, size=16).splits["test"].inputs
    assert inputs.shape == (2, 3, 16, 16)
    assert np.all(inputs == 77)


def test_jpeg_is_said(tmp_path: Path) -> None:
    table_of(tmp_path / "set" / "train.parquet", random_pixels(4), [0, 1] * 2, kind="JPEG")
    table_of(tmp_path / "set" / "test.parquet", random_pixels(4), [0, 1] * 2, kind="JPEG")
    said = [note for note in images.load("cifar10", str(tmp_path / "set"), dev=0.5).notes if "JPEG" in note]
    assert len(said) == 1
    assert "slightly below" in said[0]


def test_settings_that_would_be_ignored_and_folders_without_images(tmp_path: Path) -> None:
    _batches(tmp_path / cifar.BINARY, random_pixels(12), [0, 1] * 6, "binary")
    with pytest.raises(ConfigError, match=r"task\.label=kind"):
        images.load("cifar10", str(tmp_path), dev=0.5, label="kind")
    for folder in ("set/a", "set/b", "set/empty", "set/.hidden", "empty"):
        (tmp_path / folder).mkdir(parents=True)
    for row in range(8):
        (tmp_path / "set" / "ab"[row % 2] / f"{row}.png").write_bytes(png(random_pixels(1, size=8)[0]))
    notes = images.load("images", str(tmp_path / "set"), dev=0.5, test=0.5).notes
    assert "no classes, since there is no image inside: empty" in notes
    (tmp_path / "set").rename(tmp_path / "train")
    assert "no classes, since there is no image inside: empty" in images.load("images", str(tmp_path), dev=0.5).notes
    for name in ("cifar10", "images"):
        with pytest.raises(DataUnavailable, match="empty has no"):
            images.load(name, str(tmp_path / "empty"), dev=0.5)
