"""Every 95 % interval over seeds: of a mean, a paired difference, a ratio, an exponent; and as words. Torch-free.

A seed is the unit: all that one seed made (both sides of a difference, every size of a law) is left out together, so
what its runs share is in the interval. Tests hold the coverage at 3, 5 and 10 seeds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..contracts import Floats

LEVEL = 0.95  # of every interval over seeds
SHARE = re.compile(  # measures between 0 and 1
    r"(worst_class_)?(accuracy|error)(_best)?|.*_(between_phi|between_ct|inactive_phi|inactive_ct|harmful_dropped"
    r"|learnt_light|ess|gini|active)(@.+)?|largest|share_.+|pass_\d+"
)
OUTCOME = re.compile(r"(was|won|wrong_by)_.+")  # measures that are 0 or 1 in a run: shares of the seeds


@dataclass(frozen=True, slots=True)
class Interval:
    """A value, its standard error, and the two ends of its interval; NaN where there are too few values."""

    value: float
    error: float
    low: float
    high: float


NOTHING = Interval(math.nan, math.nan, math.nan, math.nan)


def quantile(freedom: Any, level: float) -> Any:
    """How many standard errors from the value an end of a t interval is."""
    from scipy.special import stdtrit

    return stdtrit(freedom, 0.5 + level / 2)


def intervals_of(runs: Any, statistic: Callable[[Floats], Any] = np.asarray, *, level: float = LEVEL) -> Floats:
    """(4, ...) the statistic of the means over seeds, its standard error, and the ends of its t interval.

    `runs` (S, ...) has a row for each seed, NaN where a run is missing; `statistic` takes their means (...).
    Jackknife over seeds: the statistic is computed again without each seed, and t has S - 1 degrees of freedom; where
    runs are missing, Welch and Satterthwaite's (`_freedom`). Of a linear statistic without missing runs this is the t
    interval of its values by seed. Where a column has m of S runs its means move by less, so that its own standard
    error stays that of m runs.
    """
    values = np.asarray(runs, dtype=float)
    there = ~np.isnan(values)
    seeds, number = len(values), there.sum(0)
    if not seeds or not number.size or number.min() == 0:
        return np.full((4, *np.shape(statistic(np.full(values.shape[1:], np.nan)))), np.nan)
    means = np.where(there, values, 0).sum(0) / number
    value = np.asarray(statistic(means), dtype=float)
    fewest = int(number.min())
    if fewest < 2:
        return np.stack([value, *(np.full(value.shape, np.nan) for _ in range(3))])
    weight = np.sqrt(seeds / ((seeds - 1) * number * (number - 1)))  # of a seed: 1 / (S - 1) where none is missing
    without = np.array([statistic(means + weight * row) for row in np.where(there, means - values, 0)])
    error = np.sqrt((seeds - 1) / seeds * np.square(without - without.mean(0)).sum(0))
    freedom: Any = seeds - 1
    if not there.all():
        freedom = _freedom(statistic, value, np.where(there, values - means, np.nan), means, weight)
    reach = quantile(freedom, level) * error
    return np.stack([value, error, value - reach, value + reach])


def _freedom(statistic: Callable[[Floats], Any], value: Floats, apart: Floats, means: Floats, weight: Floats) -> Any:
    """The statistic's degrees of freedom, as Welch and Satterthwaite: (sum of v_j)^2 / sum of v_j v_k c_jk.

    v_j: what column j (last axis) adds to the variance, each moved alone by its jackknife's step. c_jk: what
    two columns share, 1 / (m - 1) where they have the same m runs and 0 where they have none in common. `apart`
    (S, ...): runs less their means. One fewer than the fewest runs where that cannot be computed.
    """
    there = ~np.isnan(apart)
    number = there.sum(0)
    if means.ndim == 0:
        return number - 1
    step = weight * np.sqrt(np.nansum(np.square(apart), axis=0))
    moved = np.array([statistic(means + step * alone) for alone in np.eye(means.shape[-1])]) - value
    added = np.moveaxis(np.square(moved), 0, -1).reshape(*means.shape[:-1], -1, means.shape[-1])
    both = np.einsum("s...j,s...k->...jk", there.astype(float), there)
    each, other = number[..., :, None], number[..., None, :]
    shared = both * (1 - 1 / each - 1 / other + both / (each * other)) / ((each - 1) * (other - 1))
    with np.errstate(invalid="ignore"):
        freedom = np.square(added.sum(-1)) / ((added @ shared) * added).sum(-1)
    return np.where(np.isfinite(freedom), freedom, number.min() - 1).reshape(value.shape)


def interval_of(values: Any, metric: str = "", *, level: float = LEVEL) -> Interval:
    """Mean of the values of seeds (S,) (NaN: missing) and its interval; of a paired difference, give differences.

    Of values (S, P) of P settings it is the mean of the settings' means: no setting counts more for having more seeds.
    Of an accuracy or another share, told by the `metric`'s name, it is the interval of the logit, turned back: its ends
    are within 0 and 1. By the delta method the logit's standard error is the mean's over mean (1 - mean). Of outcomes
    it is Clopper and Pearson's, which knows that 5 of 5 is not always; a seed counts by the mean of its runs.
    """
    from scipy.special import expit, logit

    runs = np.asarray(values, dtype=float)
    if OUTCOME.fullmatch(metric):
        by_seed = runs if runs.ndim == 1 else np.nanmean(runs, axis=1)
        return _proportion(by_seed[~np.isnan(by_seed)], level)
    if runs.ndim == 1:
        found = intervals_of(runs[~np.isnan(runs)], level=level)
    else:
        found = intervals_of(runs, lambda means: means.mean(-1), level=level)
    mean, _, _, high = found
    if SHARE.fullmatch(metric) and 0 < mean < 1:
        ends = expit(logit(mean) + np.array([-1, 1]) * (high - mean) / (mean * (1 - mean)))
        found[2:] = min(ends[0], mean), max(ends[1], mean)  # rounding leaves neither beyond the mean
    return Interval(*map(float, found))


def _proportion(outcomes: Floats, level: float) -> Interval:
    """The mean of (S,) outcomes within 0 and 1, with the exact binomial interval; without one below 2 seeds."""
    from scipy.special import betaincinv

    number = len(outcomes)
    if number < 2:
        return Interval(float(outcomes.mean()) if number else math.nan, math.nan, math.nan, math.nan)
    true, mean, tail = outcomes.sum(), float(outcomes.mean()), (1 - level) / 2
    low = float(betaincinv(true, number - true + 1, tail)) if true > 0 else 0.0
    high = float(betaincinv(true + 1, number - true, 1 - tail)) if true < number else 1.0
    return Interval(mean, math.sqrt(mean * (1 - mean) / number), low, high)


def crossed(value: float, errors: Sequence[float], numbers: Sequence[int]) -> Interval:
    """Of a value with several independent standard errors, each from so many units; t as Welch and Satterthwaite."""
    squares, freedoms = np.square(errors), np.asarray(numbers) - 1
    error = math.sqrt(squares.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = squares.sum() ** 2 / (squares**2 / freedoms).sum()
    reach = float(quantile(freedom, LEVEL)) * error if error else error
    return Interval(value, error, value - reach, value + reach)


def welch(left: Floats, right: Floats) -> Interval:
    """The difference of two means of unpaired values: Welch's t interval."""
    one, other = interval_of(left), interval_of(right)
    return crossed(one.value - other.value, (one.error, other.error), (len(left), len(right)))


def worded(mean: float, low: float = math.nan, high: float = math.nan, form: str = ".3g", unit: str = "") -> str:
    """As in 0.153 [0.12, 0.19]: no ends without an interval, a dash without a mean, no sign of a zero."""
    if not math.isfinite(mean):
        return "–"
    value, *ends = (re.sub(r"^[+-](?=[0.]*$)", "", f"{one:{form}}") for one in (mean, low, high))
    within = f" [{ends[0]}, {ends[1]}]" if math.isfinite(low + high) else ""
    return f"{value}{unit}{within}".replace("-", "−")
