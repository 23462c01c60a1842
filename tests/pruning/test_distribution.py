"""What a selection does to the distribution: hand-computed cases, planted damage, and a choice that does none."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from prune_lab.experiments.contracts import Examples, Indices
from prune_lab.experiments.data.groups import groups_of
from prune_lab.experiments.data.splits import flip_labels
from prune_lab.experiments.pruning import appearance, distribution
from prune_lab.experiments.pruning.distribution import Measure, compare
from prune_lab.experiments.report.pruning import distribution as report

from ..command_line import TINY, call

CLASSES = tuple("abcde")


def pool(size: int = 1500, *, seed: int = 0) -> Examples:
    """Five classes, each a Gaussian of its own in six dimensions."""
    draw = np.random.default_rng(seed)
    labels = np.arange(size) % 5
    centres = 10 * np.eye(5, 6)
    inputs = (centres[labels] + draw.standard_normal((size, 6))).astype(np.float32)
    return Examples(inputs, labels, np.array([f"train/{row:05}" for row in range(size)]))


def measure(train: Examples, kept: Indices) -> tuple[dict[str, Measure], list[str]]:
    found, said = compare(train, kept, kind="vectors", classes=CLASSES)
    return {one.measure if not one.of else f"{one.measure} {one.of}": one for one in found}, said


def masks(size: int, *kept: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    return np.stack([np.isin(np.arange(size), rows) for rows in (range(size), *kept)])


def test_divergence_and_smallest_share_by_hand() -> None:
    counts = np.array([[50, 50], [50, 0], [25, 25], [30, 10]])
    expected = [0, math.log(2), 0, 0.75 * math.log(1.5) + 0.25 * math.log(0.5)]
    np.testing.assert_allclose(distribution.divergence(counts), expected, atol=1e-12)
    np.testing.assert_allclose(distribution.smallest_share(counts), [1, 0, 1, 0.5])
    np.testing.assert_allclose(distribution.smallest_share(np.array([[60, 40, 0], [30, 5, 0]]))[1], 0.125 / 0.35)


@pytest.mark.parametrize("width", [1, 3, 5])
def test_coverage_by_hand(width: int) -> None:
    line = np.array([[0], [1], [2], [3], [10]], np.float32)
    near, distances = distribution.neighbours(line, np.arange(5), width)
    assert near[:, 0].tolist() == [0, 1, 2, 3, 4]
    mean, tail = distribution.coverage(line, np.arange(5), near, distances, masks(5, [0, 3]))
    np.testing.assert_allclose(mean, [0, 3], rtol=1e-4)  # 1 and 2 lie 1 away, 10 lies 7 away
    np.testing.assert_allclose(tail, [0, 6.4], rtol=1e-4)


def test_mmd_by_hand_with_a_linear_kernel() -> None:
    points = np.array([0.0, 2, 1, 3])
    first = np.array([[True, True, False, False], [True, False, True, False]])
    # {0, 2} and {1, 3}: 0 + 3 - 2 * 2; {0, 1} and {2, 3}: 0 + 6 - 2 * 1.25
    np.testing.assert_allclose(distribution.mmd2(np.outer(points, points), first), [-1, 3.5])


def test_p_is_uniform_for_a_random_choice_and_small_for_a_shift() -> None:
    draw = np.random.default_rng(1)
    found = []
    for _ in range(150):
        looks = draw.standard_normal((60, 3)).astype(np.float32)
        kept = draw.permutation(60) < 25
        found.append(distribution.discrepancy(looks, kept, draw)[2])
    assert stats.kstest(found, "uniform").pvalue > 0.01
    looks = draw.standard_normal((400, 3)).astype(np.float32)
    value, chance, p = distribution.discrepancy(looks, looks[:, 0] > 0, draw)
    assert value > 5 * chance > 0
    assert p == 1 / (1 + distribution.PERMUTATIONS)


def test_mmd_to_the_pool_is_that_to_the_dropped_times_their_share() -> None:
    draw = np.random.default_rng(1)
    looks = draw.standard_normal((900, 2)).astype(np.float32)
    kept = looks[:, 0] > -0.5
    value = distribution.discrepancy(looks, kept, draw)[0]
    squared = ((looks[:, None] - looks) ** 2).sum(-1)
    kernel = np.exp(-squared / (2 * np.median(squared)))
    to_pool = kernel[kept][:, kept].mean() - 2 * kernel[kept].mean() + kernel.mean()
    assert value == pytest.approx(to_pool, rel=0.1)


def test_copies_are_counted_where_both_are_kept() -> None:
    content = np.array([[1, 2], [1, 2], [3, 4], [1, 2], [5, 6]], np.uint8)
    found = distribution.duplicates(content, masks(5, [0, 2, 4], [0, 1, 2], [0, 1, 3]))
    np.testing.assert_allclose(found, [3 / 5, 0, 2 / 3, 1])


def test_near_copies_are_those_that_a_plain_search_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "BLOCK", 7)
    draw = np.random.default_rng(2)
    looks = draw.standard_normal((500, 8)).astype(np.float32)
    looks[100:140] = 3 * looks[:40] + 0.3 * draw.standard_normal((40, 8))  # planted: the same direction
    looks[499] = 0
    chosen = masks(500, list(range(100)), list(range(70, 300)), list(range(0, 500, 2)))
    units = looks / np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-9)
    close = (units @ units.T > distribution.NEAR) & ~np.eye(500, dtype=bool)
    expected = [close[mask][:, mask].any(1).mean() for mask in chosen]
    assert expected[0] > 0.1
    assert expected[1] == 0
    np.testing.assert_allclose(distribution.near_duplicates(looks, chosen), expected, rtol=1e-6)


def test_flipped_labels_are_known_and_counted() -> None:
    train = pool(200)
    noisy = flip_labels(train, 0.1)
    assert noisy.noisy is not None
    np.testing.assert_array_equal(noisy.noisy, noisy.targets != train.targets)
    kept = np.flatnonzero(noisy.noisy | (np.arange(200) < 100))
    taken = noisy.take(kept)
    assert taken.noisy is not None
    np.testing.assert_array_equal(taken.noisy, noisy.noisy[kept])
    found, _ = measure(noisy, kept)
    share = found["noisy_labels"]
    assert (share.pool, share.kept) == pytest.approx((0.1, 20 / len(kept)))
    assert share.low < 0.1 < share.high < share.kept
    assert "noisy_labels" not in measure(train, kept)[0]


def test_a_random_choice_is_like_the_random_control() -> None:
    train = pool()
    found, said = measure(train, np.random.default_rng(3).permutation(1500)[:600])
    assert said == []
    assert found["mmd2"].p > 0.05
    for name in ("coverage_mean", "coverage_p95", "smallest_share"):
        assert found[name].kept / found[name].random == pytest.approx(1, abs=0.1), name
        assert found[name].low < found[name].kept < found[name].high, name
    assert found["lost_regions"].kept == found["lost_regions"].random == 0
    counts = [one for name, one in found.items() if name.startswith("count ")]
    assert (sum(one.pool for one in counts), sum(one.kept for one in counts)) == (1500, 600)


def test_a_class_and_a_region_that_vanish_are_said_aloud() -> None:
    train = pool()
    rest = np.flatnonzero(train.targets != 3)
    found, said = measure(train, np.sort(np.append(np.random.default_rng(4).permutation(rest)[:595], [3, 8, 13])))
    assert (found["count d"].pool, found["count d"].kept) == (300, 3)
    assert found["lost_regions"].kept == pytest.approx(0.2, abs=0.02)  # the fifth that is class d
    assert found["lost_regions"].random == 0
    assert found["coverage_p95"].kept > 1.5 * found["coverage_p95"].random
    assert found["mmd2"].p < 0.01
    text = "\n".join(said)
    for words in ("class d nearly vanished: 3 of 300", "regions vanished: 19.9%", "(mostly d)", "unlike the pool"):
        assert words in text, words
    assert "class a" not in text


def test_a_region_within_a_class_is_found_too() -> None:
    train = pool()
    region = np.arange(1500) % 10 == 1  # every second example of class b lies elsewhere
    train.inputs[region, 5] += 8
    found, said = measure(train, np.flatnonzero(~region & (np.arange(1500) % 4 < 3)))
    assert found["lost_regions"].kept == pytest.approx(0.1, abs=0.01)
    assert any("regions vanished" in sentence and "mostly b" in sentence for sentence in said)


def test_everything_kept_is_the_pool() -> None:
    found, said = measure(pool(100), np.arange(100))
    assert said == []
    assert (found["mmd2"].kept, found["mmd2"].p) == (0, 1)
    assert all(one.kept == pytest.approx(one.pool) for name, one in found.items() if name != "mmd2")


def test_a_large_pool_is_looked_at_in_part_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "LARGEST", 600)
    train = pool()
    found, said = measure(train, np.flatnonzero(train.targets != 3))
    assert "600 of 1,500" in said[0]
    assert found["count a"].pool == 300
    assert found["lost_regions"].kept == pytest.approx(0.2, abs=0.05)


def test_images_are_seen_as_the_colours_of_a_grid() -> None:
    image = np.arange(2 * 16 * 16).reshape(1, 2, 16, 16).astype(np.uint8)
    expected = image.astype(float).reshape(1, 2, 8, 2, 8, 2).mean((3, 5)).reshape(1, -1)
    np.testing.assert_allclose(appearance._colours(image), expected)
    uneven = np.random.default_rng(5).integers(0, 255, (3, 1, 13, 10), np.uint8)
    grid = appearance._colours(uneven).reshape(3, 8, 8)
    np.testing.assert_allclose(grid[:, 0, 0], uneven[:, 0, :2, :2].mean((1, 2)))
    images = np.random.default_rng(6).integers(0, 255, (40, 1, 8, 8), np.uint8)
    looks = appearance.features(images, "images")
    np.testing.assert_allclose(looks.mean(0), 0, atol=1e-3)
    flat = images.reshape(40, -1).astype(float)
    np.testing.assert_allclose(
        np.linalg.norm(looks[0] - looks[1:], axis=1), np.linalg.norm(flat[0] - flat[1:], axis=1), rtol=1e-4
    )  # as many axes as pixels: distances are those of the pixels


def test_text_is_seen_as_a_bag_of_tokens_and_counted_by_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appearance, "BUCKETS", 128)
    draw = np.random.default_rng(7)
    code = np.arange(400) % 4 == 0
    tokens = np.where(code[:, None], draw.integers(1, 40, (400, 12)), draw.integers(60, 99, (400, 12)))
    tokens[:, 10:] = -100  # padding
    tokens[5, :10] = tokens[1, 9::-1]
    looks = appearance.features(tokens, "text")
    np.testing.assert_allclose(looks[5], looks[1], atol=1e-5)  # the order of tokens is not seen
    units = looks / np.linalg.norm(looks, axis=1, keepdims=True)
    assert units[8] @ units[9] < 0.2 < units[9] @ units[10]  # the vocabulary is
    names = np.array([f"{'code' if row % 4 == 0 else 'prose'}/{row}.txt#0" for row in range(400)])
    found, said = compare(Examples(tokens, tokens, names), np.flatnonzero(~code), kind="text", classes=())
    counts = {one.of: (one.pool, one.kept) for one in found if one.measure == "count"}
    assert counts == {"code": (100, 0), "prose": (300, 300)}
    assert any("source code nearly vanished" in sentence for sentence in said)
    assert groups_of(Examples(tokens[:2], tokens[:2], np.array(["train/1#0", "train/2#0"])), "text", ()) == ([], None)


def test_prune_writes_it_the_report_shows_it_and_older_folders_break_nothing(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    words = ["report", *TINY, "scorer=random", "keep=0.5", "rule=hard,random", "--json", results]

    def page() -> str:
        (made,) = [one for one in call(capsys, *words).objects if one["phase"] == "report"]
        return re.sub(r"\s+", " ", (Path(made["path"]) / "index.html").read_text())

    text = page()
    for shown in (
        "What pruning does to the distribution",
        "1 is like a random choice",
        "Kullback-Leibler",
        "that the trained models know worst",
        "distribution.csv",
    ):
        assert shown in text, shown
    assert "rm -r" not in text
    folders = [path.parent for path in tmp_path.glob("results/prune/*/kept.parquet")]
    written = pd.read_parquet(folders[0] / "distribution.parquet").set_index("measure")
    assert list(written.columns) == ["of", "pool", "kept", "random", "low", "high", "p"]
    assert written.loc["count", ["pool", "kept"]].sum().tolist() == [200, 100]
    table = pd.read_csv(next(tmp_path.glob("results/report/*/distribution.csv")))
    assert table.groupby("rule")["measure"].count().to_dict() == {"hard": len(written), "random": len(written)}
    trained = len(list(tmp_path.glob("results/train/*")))

    for folder in folders:  # as older code left them
        (folder / "distribution.parquet").unlink()
        record = json.loads((folder / "record.json").read_text())
        del record["files"], record["digest"]
        (folder / "record.json").write_text(json.dumps(record))
    text = page()
    assert "2 of the selections were made before" in text
    assert re.search(rf"rm -r {folders[0].parent}/{{\w+,\w+}}<", text)
    assert "Kullback-Leibler" not in text
    for folder in folders:
        shutil.rmtree(folder)
    assert "Kullback-Leibler" in page()
    assert len(list(tmp_path.glob("results/train/*"))) == trained


def test_a_panel_colours_what_chance_does_not_explain() -> None:
    columns = [one for one in report.COLUMNS if one.measure in ("coverage_mean", "smallest_share", "lost_regions")]
    rows = pd.DataFrame(
        [
            {"measure": "coverage_mean", "kept": 3.0, "random": 2.0, "low": 1.9, "high": 2.1},
            {"measure": "smallest_share", "kept": 0.5, "random": 0.9, "low": 0.4, "high": 1.0},
            {"measure": "lost_regions", "kept": 0.02, "random": 0.0, "low": 0.0, "high": 0.0},
            {"measure": "count", "of": "cat", "pool": 90.0, "kept": 1.0, "random": 45.0, "low": 40.0, "high": 50.0},
            {"measure": "count", "of": "dog", "pool": 90.0, "kept": 9.0, "random": 45.0, "low": 40.0, "high": 50.0},
        ]
    ).assign(rule="hard", keep=0.5, p=math.nan)
    cells = report._measures(rows)
    assert [cells["hard", 0.5, one.measure].verdict for one in columns] == ["chance", "worse", "worse"]
    vanished = list(report._vanished(rows))
    assert vanished == ["cat (hardest 0.5 keeps 1 of 90)"]
    shift = report.Shift("digits", 180, columns, [("hard", 0.5)], cells, vanished)
    shown = [cell for cell in report.rows(shift)[0] if not isinstance(cell, str)]
    assert [cell.words for cell in shown] == ["0.56", "1.50", "2.0%"]
    assert [cell.style for cell in shown] == ["chance", "worse", "worse"]
    assert [cell.small for cell in shown] == ["0.50 (0.90)", "3 (2)", "2.0% (0.0%)"]
    better = report._measures(rows.assign(kept=[1.0, 1.2, 0.0, 1, 1]))
    assert [better["hard", 0.5, one.measure].verdict for one in columns] == ["better", "better", "chance"]


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_p_of_several_seeds_holds_its_level_however_they_depend(shared: float, seeds: int) -> None:
    draw = np.random.default_rng(seeds)
    normal = np.sqrt(shared) * draw.normal(size=(2000, 1)) + np.sqrt(1 - shared) * draw.normal(size=(2000, seeds))
    p = stats.norm.cdf(normal)
    assert np.mean([report.joint(one) < 0.05 for one in p]) <= 0.055


def test_one_seed_of_large_p_does_not_hide_the_others() -> None:
    """The mean of these is 0.06."""
    assert report.joint(np.array([0.3, 0.003, 0.003, 0.003, 0.003])) < 0.02
    assert report.joint(np.array([0.04])) == 0.04
    assert report.joint(np.array([1.0, 1.0, 1.0])) == 1.0
    rows = pd.DataFrame({"measure": "mmd2", "kept": 0.1, "random": 0.05, "low": math.nan, "high": 0.05,
                         "rule": "stratified", "keep": 0.5, "p": [0.3, 0.003, 0.003, 0.003, 0.003]})  # fmt: skip
    assert report._measures(rows)["stratified", 0.5, "mmd2"].verdict == "worse"
    assert report._measures(rows.assign(p=0.3))["stratified", 0.5, "mmd2"].verdict == "chance"


def test_measures_without_a_test_have_no_p_at_any_number_of_seeds() -> None:
    """They are judged by the random control's ends, also where several seeds have selections of their own."""
    row = {"measure": "coverage_mean", "kept": 0.9, "random": 0.5, "low": 0.4, "high": 0.6, "rule": "hard",
           "keep": 0.5, "p": math.nan}  # fmt: skip
    for seeds in (1, 2, 5):
        cell = report._measures(pd.DataFrame([row] * seeds))["hard", 0.5, "coverage_mean"]
        assert cell.verdict == "worse"
        assert math.isnan(cell.p)


def test_the_worst_class_is_compared_with_random_by_seed() -> None:
    """Two intervals of single means overlap here: 0.2 to 0.5 and 0.25 to 0.55."""
    random = [0.25, 0.35, 0.45]
    rows = {
        "random": random,
        "hard": [one + 0.05 + wobble for one, wobble in zip(random, (0, 0.002, -0.002), strict=True)],
    }
    runs = pd.DataFrame(
        [{"rule": rule, "keep": 0.5, "seed": seed, "worst_class_accuracy": value}
         for rule, values in rows.items() for seed, value in enumerate(values)]
    )  # fmt: skip
    (cell,) = report._accuracies(runs, "equal epochs").values()
    assert cell.verdict == "better"
    assert (cell.kept, cell.random) == pytest.approx((0.4, 0.35))
    assert report._accuracies(runs[runs["seed"] < 2], "e")["hard", 0.5, "e"].verdict == "chance"
