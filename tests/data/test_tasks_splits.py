"""Splits, pools, label noise, and the cache below them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from prune_lab.experiments.contracts import Examples
from prune_lab.experiments.data import digits, load, perceptron, sources
from prune_lab.experiments.data.digits import Digits
from prune_lab.experiments.data.splits import carve, deal, flip_labels, fold_of, pool
from prune_lab.experiments.errors import ConfigError, DataUnavailable


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNE_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PRUNE_LAB_DATA", raising=False)
    return tmp_path / "cache"


def _examples(labels: list[int]) -> Examples:
    number = len(labels)
    return Examples(np.arange(number)[:, None], np.array(labels), np.array([str(row) for row in range(number)]))


def test_carve_is_stratified_sorted_and_a_partition() -> None:
    labels = np.repeat([0, 1, 2], [700, 290, 10])
    rest, part = carve(0.1, labels=labels)
    assert np.array_equal(np.sort(np.concatenate([rest, part])), np.arange(1000))
    assert np.all(np.diff(rest) > 0)
    assert np.all(np.diff(part) > 0)
    assert np.bincount(labels[part]).tolist() == [70, 29, 1]


def test_carve_leaves_every_class_on_both_sides() -> None:
    labels = np.repeat([0, 1, 2, 3], [50, 2, 3, 1])
    for fraction in (0.01, 0.5, 0.99):
        rest, part = carve(fraction, labels=labels)
        assert set(labels[rest]) == {0, 1, 2, 3}
        assert set(labels[part]) == {0, 1, 2}


def test_carve_total_is_exact_where_classes_round_alike() -> None:
    _, part = carve(0.1, labels=np.repeat(np.arange(10), 5).repeat(3))  # 15 a class: 1.5 each
    assert len(part) == 15


def test_carve_by_groups_keeps_groups_whole() -> None:
    """A quarter of the total size, within half of the largest group."""
    groups = np.repeat(np.arange(40), np.arange(1, 41))
    sizes = np.full(len(groups), 3)
    rest, part = carve(0.25, groups=groups, sizes=sizes)
    assert not set(groups[rest]) & set(groups[part])
    assert abs(sizes[part].sum() - 0.25 * sizes.sum()) <= 3 * 40 / 2
    with pytest.raises(DataUnavailable, match="too few"):
        carve(0.5, groups=np.zeros(5, np.int64), sizes=np.ones(5, np.int64))


def test_parts_are_dealt_by_size_and_not_by_the_order_of_rows() -> None:
    draw = np.random.default_rng(0)
    groups = draw.integers(0, 1000, 500) ** 2  # keys with gaps
    sizes = draw.integers(1, 65, 500)
    part = deal(groups, sizes, [1 / 3] * 3, stream="folds")
    assert all(len(set(part[groups == group])) == 1 for group in groups)
    largest = np.bincount(np.unique(groups, return_inverse=True)[1], sizes).max()
    assert np.abs(np.bincount(part, sizes) - sizes.sum() / 3).max() <= largest
    order = draw.permutation(500)
    assert np.array_equal(deal(groups[order], sizes[order], [1 / 3] * 3, stream="folds"), part[order])
    assert not np.array_equal(deal(groups, sizes, [1 / 3] * 3, stream="other"), part)
    quarters = deal(groups, np.ones(500, np.int64), (0.5, 0.25, 0.25), stream="search")
    assert [round(4 * float(np.mean(quarters == number))) for number in range(3)] == [2, 1, 1]
    assert set(deal(np.arange(2), np.ones(2), (0.5, 0.25, 0.25), stream="search")) == {0, 1}
    one = np.array([900, 1, 1, 1, 1])  # whatever the sizes, no part is empty
    assert set(deal(np.arange(5), one, [1 / 5] * 5, stream="folds")) == set(range(5))
    assert set(deal(np.arange(5), one[::-1], [1 / 4] * 4, stream="folds")) == set(range(4))


def test_folds_keep_together_what_splits_keep_together() -> None:
    """Docstrings of a module are in one fold, and folds are near-equal in tokens; too few groups are refused."""
    groups = np.repeat(np.arange(30), 4)
    tokens = np.tile([16, 16, 16, 3], 30)
    examples = Examples(
        np.zeros((120, 1)), np.zeros(120, np.int64), np.arange(120).astype(str), groups, {"tokens": tokens}
    )
    folds = fold_of(examples, 3, seed=0)
    assert np.array_equal(folds.reshape(30, 4), np.tile(folds[::4, None], 4))
    assert np.abs(np.bincount(folds, tokens) - tokens.sum() / 3).max() <= 51
    with pytest.raises(ConfigError, match=r"scorer\.folds=31 needs as many documents.*\n.*scorer\.folds=30"):
        fold_of(examples, 31, seed=0)


def test_carve_streams_and_seeds_differ_and_repeat() -> None:
    labels = np.zeros(200, np.int64)
    parts = [
        carve(0.3, labels=labels, seed=seed, stream=s)[1].tolist() for seed, s in ((0, "dev"), (1, "dev"), (0, "t"))
    ]
    assert parts[0] != parts[1] != parts[2] != parts[0]
    assert parts[0] == carve(0.3, labels=labels)[1].tolist()


def test_pools_are_nested_and_in_proportion() -> None:
    examples = _examples([0] * 300 + [1] * 150 + [2] * 50)
    small, large = pool(examples, 100), pool(examples, 200)
    assert set(small.ids) < set(large.ids)
    assert np.bincount(small.targets).tolist() == [60, 30, 10]
    assert np.all(np.diff(small.inputs[:, 0]) > 0)
    assert pool(examples, None) is examples
    assert not np.array_equal(small.ids[:60], examples.ids[:60])  # random inside a class


def test_no_draw_prefers_rows_by_their_place() -> None:
    """Files sorted by class: of each quarter of each class about a quarter is drawn, within 4 standard deviations."""
    examples = _examples(np.repeat(np.arange(4), 800).tolist())
    noisy = flip_labels(examples, 0.25).noisy
    assert noisy is not None
    drawn = {
        "pool": pool(examples, 800).inputs[:, 0],
        "part": carve(0.25, labels=examples.targets)[1],
        "noise": np.flatnonzero(noisy),
    }
    for name, rows in drawn.items():
        assert len(rows) == 800
        assert np.all(np.abs(np.bincount(rows // 200, minlength=16) - 50) <= 4 * 6.2), name


def test_pool_of_windows_is_nested() -> None:
    windows = Examples(np.zeros((90, 4)), np.zeros((90, 4), np.int64), np.array([str(row) for row in range(90)]))
    assert set(pool(windows, 20).ids) < set(pool(windows, 50).ids)
    assert pool(windows, 20).ids.tolist() != windows.ids[:20].tolist()


def test_pool_larger_than_the_split_names_the_number() -> None:
    with pytest.raises(ConfigError, match=r"task\.examples=3"):
        pool(_examples([0, 1, 0]), 4)


def test_label_noise_is_exact_and_always_another_class() -> None:
    examples = _examples([row % 4 for row in range(400)])
    noisy = flip_labels(examples, 0.25)
    changed = noisy.targets != examples.targets
    assert changed.sum() == 100
    assert set(np.unique((noisy.targets - examples.targets)[changed] % 4)) == {1, 2, 3}
    assert np.array_equal(noisy.targets, flip_labels(examples, 0.25).targets)
    assert examples.targets.tolist() == [row % 4 for row in range(400)]
    assert flip_labels(examples, 0.0) is examples
    with pytest.raises(ConfigError, match="two classes"):
        flip_labels(_examples([0, 0]), 0.5)


def test_fingerprint_follows_contents_and_names_not_the_place(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place / "sub").mkdir(parents=True)
        (tmp_path / place / "a").write_text("alpha")
        (tmp_path / place / "sub" / "b").write_text("beta")

    def digest(place: str) -> str:
        return sources.fingerprint_files(sources.list_files(tmp_path / place, ("",)), tmp_path / place)

    first = digest("one")
    assert first == digest("two") == digest("one")
    (tmp_path / "two" / "a").write_text("alphb")
    assert digest("two") != first
    (tmp_path / "one" / "a").rename(tmp_path / "one" / "c")
    assert digest("one") != first


def test_fingerprint_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "data"
    file.write_text("content")
    monkeypatch.setattr(sources, "RACE", -60.0)  # as if the file were old
    first = sources.fingerprint_files([file])
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("read again"))
    assert sources.fingerprint_files([file]) == first


def test_other_contents_of_the_same_size_and_time_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digests(write: Callable[[str], object]) -> set[str]:
        found = set()
        for number in range(10):
            write(f"content {number}")
            os.utime(file, ns=(10**18, 10**18))
            found.add(sources.fingerprint_files([file]))
        return found

    file, other = tmp_path / "data", tmp_path / "other"
    assert len(digests(file.write_text)) == 10  # within one tick of the file system's clock
    monkeypatch.setattr(sources, "RACE", -60.0)  # as if all of it were old
    assert len(digests(lambda text: (other.write_text(text), other.replace(file)))) == 10


def test_arrays_are_built_once_and_damage_is_mended(cache: Path) -> None:
    built = []

    def build() -> sources.Arrays:
        built.append(1)
        return {"numbers": np.arange(10), "names": np.array(["ab", "c"]), "none": np.zeros((0, 3))}

    def get() -> sources.Arrays:
        arrays = sources.cached_arrays("key", build)
        assert arrays["numbers"].tolist() == list(range(10))
        assert arrays["names"].tolist() == ["ab", "c"]
        assert arrays["none"].shape == (0, 3)
        return arrays

    get()
    get()["numbers"][0] = 7  # copy-on-write: the cache keeps its own
    get()
    assert len(built) == 1
    file = cache / "arrays" / "key" / "numbers.npy"
    file.write_bytes(file.read_bytes()[:-3])
    get()
    assert len(built) == 2
    file.write_bytes(b"x" * file.stat().st_size)
    get()
    assert len(built) == 3
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"(10,), }" + b" " * 12, b"(10000000000000,), }"))  # numbers that no memory holds
    assert len(file.read_bytes()) == len(whole)
    assert file.read_bytes() != whole
    get()
    assert len(built) == 4
    get()
    assert len(built) == 4
    assert [path.name for path in file.parent.parent.iterdir()] == ["key"]  # no draft left


def test_pickled_cache_entries_are_refused(cache: Path) -> None:
    sources.cached_arrays("key", lambda: {"a": np.arange(3)})
    file = cache / "arrays" / "key" / "a.npy"
    np.save(file, np.array([{}], object), allow_pickle=True)
    (file.parent / sources.MANIFEST).write_text(f'{{"a": {file.stat().st_size}}}')
    assert sources.cached_arrays("key", lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("PRUNE_LAB_CACHE", str(blocked))
    assert sources.cached_arrays("key", lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]
    assert len(sources.fingerprint_files([blocked])) == 16


def test_locate_looks_in_order(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataUnavailable, match=r"task\.path=.*PRUNE_LAB_DATA.*the download"):
        sources.locate("things", None, advice="the download")

    def fails(folder: Path) -> None:
        (folder / "half").touch()
        raise DataUnavailable("no network")

    with pytest.raises(DataUnavailable, match="no network"):
        sources.locate("things", None, download=fails)
    assert os.listdir(cache / "downloads") == []
    place, said = sources.locate("things", None, download=lambda folder: (folder / "data").touch())
    assert (place / "data").exists()
    assert "downloaded now" in said
    assert sources.locate("things", None, download=fails) == (place, "things: downloaded earlier, in the cache")
    (tmp_path / "shared" / "things").mkdir(parents=True)
    monkeypatch.setenv("PRUNE_LAB_DATA", str(tmp_path / "shared"))
    assert sources.locate("things", None)[0] == tmp_path / "shared" / "things"
    assert sources.locate("things", str(tmp_path))[0] == tmp_path
    with pytest.raises(DataUnavailable, match="does not exist"):
        sources.locate("things", str(tmp_path / "missing"))


def test_digits() -> None:
    data = digits.load(dev=0.1)
    assert {name: len(split.ids) for name, split in data.splits.items()} == {"train": 1294, "dev": 144, "test": 359}
    rows = {str(name): (image, int(label)) for split in data.splits.values() for name, image, label in _rows(split)}
    assert len(rows) == 1797
    image, label = rows["digits/00000"]  # as scikit-learn's guide prints it
    assert image[0, 0].tolist() == [round(value * 255 / 16) for value in (0, 0, 5, 13, 9, 1, 0, 0)]
    assert label == 0
    assert np.bincount([label for _, label in rows.values()]).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    assert digits.fingerprint() == digits.fingerprint()


def _rows(split: Examples) -> Iterator[tuple[str, NDArray[Any], int]]:
    return zip(split.ids, split.inputs, split.targets, strict=True)


def test_perceptron_is_separable_nested_and_seeded() -> None:
    data = perceptron.load(dimension=8, train=100, test=500, dev=0.1, seed=3)
    longer = perceptron.load(dimension=8, train=200, test=500, dev=0.1, seed=3)
    train = data.splits["train"]
    assert train.inputs.dtype == np.float32
    assert [len(split.ids) for split in data.splits.values()] == [90, 10, 500]
    assert np.array_equal(train.inputs, longer.splits["train"].inputs[:90])
    assert np.array_equal(data.splits["test"].inputs, longer.splits["test"].inputs)
    assert not np.array_equal(
        train.inputs, perceptron.load(dimension=8, train=100, test=5, dev=0.1).splits["train"].inputs
    )
    inputs, signs = longer.splits["train"].inputs, 2 * longer.splits["train"].targets - 1
    weights = np.zeros(8)
    for _ in range(2000):  # the perceptron rule finds a separating direction: labels are a teacher's
        wrong = np.flatnonzero((inputs @ weights) * signs <= 0)
        if not len(wrong):
            break
        weights += signs[wrong[0]] * inputs[wrong[0]]
    assert not len(wrong)


def test_two_classes_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = replace(Digits().load(), classes=("0", "1", "2", "3", "4", "5", "6", "7", "8", "1"))
    monkeypatch.setattr(Digits, "load", lambda self: data)
    with pytest.raises(ConfigError, match=r"task=digits has two classes of one name: 1$"):
        load.load_data(Digits(examples=33))
