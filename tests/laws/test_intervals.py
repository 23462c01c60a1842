"""The one function for intervals: its coverage at few seeds, and that it is the t interval where that is known."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from prune_lab.experiments.contracts import Floats
from prune_lab.experiments.laws.intervals import interval_of, intervals_of, welch

ROOT = Path(__file__).parents[2]
SIZES = np.log(1000 * 2.0 ** np.arange(5))
SLOPE = (SIZES - SIZES.mean()) / np.square(SIZES - SIZES.mean()).sum()
SHARED, OWN, TRIALS = 0.05, 0.03, 8000  # log error: a seed's luck in all of its runs, a run's own


def difference(means: Floats) -> Floats:
    return means[..., 0] - means[..., 1]


def ratio(means: Floats) -> Floats:
    return means[..., 0] / means[..., 1]


def exponent(means: Floats) -> Floats:
    return -(np.log(means) @ SLOPE)


STATISTICS = {
    "mean": (lambda means: means[..., 0], [0.3]),
    "paired difference": (difference, [0.3, 0.25]),
    "ratio": (ratio, [0.3, 0.25]),
    "exponent": (exponent, np.exp(-0.3 * SIZES)),
}


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("name", STATISTICS)
def test_95_of_100_intervals_hold_the_true_value(name: str, seeds: int) -> None:
    """Percentiles of a bootstrap over three seeds held an exponent in 89 of 100."""
    statistic, levels = STATISTICS[name]
    generator, points = np.random.default_rng(seeds), (seeds, TRIALS, len(levels))
    luck = generator.normal(0, SHARED, (seeds, TRIALS, 1)) + generator.normal(0, OWN, points)
    runs = levels * np.exp(luck - (SHARED**2 + OWN**2) / 2)  # their mean is `levels`
    _, _, low, high = intervals_of(runs, statistic)
    truth = statistic(np.asarray(levels))
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("name", STATISTICS)
def test_where_half_of_the_runs_are_missing_about_95_of_100_intervals_hold_the_true_value(
    name: str, seeds: int
) -> None:
    """With one degree of freedom fewer than the fewest runs it was up to 100 in 100, and up to four times as wide."""
    statistic, levels = STATISTICS[name]
    generator, points = np.random.default_rng(seeds), (seeds, 2 * TRIALS, len(levels))
    runs = levels * np.exp(generator.normal(0, SHARED, (*points[:2], 1)) + generator.normal(0, OWN, points))
    runs[generator.random(points) < 0.5] = np.nan
    runs = runs[:, (~np.isnan(runs)).sum(0).min(1) > 1]
    _, _, low, high = intervals_of(runs, statistic)
    truth = statistic(np.asarray(levels) * np.exp((SHARED**2 + OWN**2) / 2))
    assert 0.94 <= ((low <= truth) & (truth <= high)).mean() <= (0.98 if seeds > 3 else 0.985)


def test_missing_runs_use_all_that_is_there() -> None:
    """Leaving out every seed that lacks a run would cover as well, with wider intervals: 3 seeds for 4 and 4."""
    generator = np.random.default_rng(0)
    runs = generator.normal(0, 0.5, (5, TRIALS, 1)) + generator.normal(0, 1, (5, TRIALS, 2))
    runs[0, :, 0] = runs[1, :, 1] = np.nan
    _, _, low, high = intervals_of(runs, difference)
    complete = intervals_of(difference(runs)[2:])
    assert 0.94 <= ((low <= 0) & (high >= 0)).mean() <= 0.97
    assert (high - low < complete[3] - complete[2]).mean() > 0.8


def test_each_mean_has_the_interval_of_its_own_runs() -> None:
    """A column of two runs made that of its neighbour, of five, wider."""
    runs = np.random.default_rng(0).normal(size=(5, 3))
    runs[2:, 0] = runs[0, 1] = np.nan
    assert pytest.approx(np.array([vars_of(column) for column in runs.T])) == intervals_of(runs).T


def test_of_a_mean_and_of_a_paired_difference_it_is_the_t_interval() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 6))
    for values, ours in ((first, interval_of(first)), (first - second, interval_of(first - second))):
        ends = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (ours.low, ours.high) == pytest.approx((ends.low, ends.high))
        assert ours.error == pytest.approx(stats.sem(values))
    both = intervals_of(np.stack([first, second], axis=1), difference)
    assert both == pytest.approx(vars_of(first - second))


def vars_of(values: Floats) -> Floats:
    one = interval_of(values)
    return np.array([one.value, one.error, one.low, one.high])


def test_a_missing_run_is_left_out_and_few_runs_have_no_interval() -> None:
    assert interval_of([1.0, np.nan, 2.0]) == interval_of([1.0, 2.0])
    one, none = interval_of([0.4]), interval_of([])
    assert one.value == 0.4
    assert np.isnan([one.error, one.low, one.high, none.value, none.low]).all()
    assert np.isnan(intervals_of(np.array([[1.0, np.nan], [2.0, 3.0]]), ratio)[1:]).all()


def test_the_interval_of_a_share_is_that_of_its_logit() -> None:
    """The worst class of three digits runs had an accuracy of 0.15 [-0.49, 0.79]."""
    values = [0.0, 0.0, 0.45]
    assert interval_of(values).low < -0.4
    turned = interval_of(values, "worst_class_accuracy")
    assert 0 < turned.low < 0.15 < turned.high < 1
    assert interval_of([0.99, 1.0, 1.0], "found_harmful_dropped@0.5").high < 1.0
    for share in np.linspace(0.01, 0.99, 60):  # equal in every seed: rounding leaves no end beyond the mean
        one = interval_of([share] * 3, "accuracy")
        assert one.low <= one.value <= one.high
    assert interval_of([0.99, 1.0, 1.0], "loss").high > 1.0
    assert interval_of([1.0, 1.0, 1.0], "accuracy").low == 1.0
    near = interval_of([0.50, 0.51, 0.52], "accuracy"), interval_of([0.50, 0.51, 0.52])
    assert (near[0].low, near[0].high) == pytest.approx((near[1].low, near[1].high), abs=1e-4)


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_of_a_high_accuracy_holds_it_95_of_100_times(seeds: int) -> None:
    runs = np.random.default_rng(seeds).beta(98, 2, size=(400, seeds))
    found = [interval_of(one, "accuracy") for one in runs]
    assert 0.92 < np.mean([one.low <= 0.98 <= one.high for one in found]) < 0.985
    assert all(0 < one.low < one.high < 1 for one in found)


@pytest.mark.parametrize("chance", [0.05, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_interval_of_outcomes_holds_their_chance_at_least_95_of_100_times(seeds: int, chance: float) -> None:
    """Exact: the binomial probability of all numbers of ones whose interval holds it."""
    held = 0.0
    for ones in range(seeds + 1):
        one = interval_of([1.0] * ones + [0.0] * (seeds - ones), "was_largest")
        held += stats.binom.pmf(ones, seeds, chance) * (one.low <= chance <= one.high)
    assert held >= 0.95


def test_the_interval_of_outcomes_is_clopper_and_pearsons() -> None:
    exact = stats.binomtest(4, 5).proportion_ci(method="exact")
    one = interval_of([1, 1, 0, 1, 1], "wrong_by_ct")
    assert (one.value, one.low, one.high) == pytest.approx((0.8, exact.low, exact.high))
    always = interval_of([1.0] * 5, "won_prog")
    assert (always.value, always.high) == (1.0, 1.0)
    assert always.low == pytest.approx(0.025 ** (1 / 5))
    assert math.isnan(interval_of([1.0], "was_best").low)
    twice = interval_of([[1, 1], [1, np.nan], [0, 0], [1, 1], [1, 1]], "wrong_by_ct")  # of 2 settings
    assert (twice.low, twice.high) == (one.low, one.high)


def test_unpaired_values_have_welchs_interval() -> None:
    left, right = np.random.default_rng(1).normal(size=5), np.random.default_rng(2).normal(size=3)
    ends = stats.ttest_ind(left, right, equal_var=False).confidence_interval(0.95)
    found = welch(left, right)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert np.isnan(welch(left, right[:1]).low)
    assert welch(np.ones(3), np.zeros(3)).low == 1.0


def test_no_other_file_makes_an_interval_over_seeds() -> None:
    made = re.compile(r"\bt\.ppf|stdtrit|confidence_interval|bootstrap\(|\bsem\(|1\.96")
    files = (ROOT / room for room in ("cli", "experiments"))
    found = {
        path.name for room in files for path in room.rglob("*.py") if made.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"intervals.py"}
