"""95 % t intervals: of a mean over seeds, and of the difference of two means; and as words. Torch-free."""

from __future__ import annotations

import math

from ..contracts import Floats

LEVEL = 0.95  # of every interval over seeds


def mean_interval(values: Floats) -> tuple[float, float, float, float]:
    """Mean, standard error, and the two ends of the t interval; NaN where there are too few values."""
    from scipy import stats

    n = len(values)
    if n == 0:
        return math.nan, math.nan, math.nan, math.nan
    mean = float(values.mean())
    if n == 1:
        return mean, math.nan, math.nan, math.nan
    error = float(values.std(ddof=1) / math.sqrt(n))
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1)) * error
    return mean, error, mean - reach, mean + reach


def welch(left: Floats, right: Floats) -> tuple[float, float, float]:
    """The difference of two means of unpaired values, and the two ends of Welch's t interval."""
    from scipy import stats

    difference = float(left.mean() - right.mean())
    if min(len(left), len(right)) < 2:
        return difference, math.nan, math.nan
    if left.std() == 0 and right.std() == 0:
        return difference, difference, difference
    ends = stats.ttest_ind(left, right, equal_var=False).confidence_interval(LEVEL)
    return difference, float(ends.low), float(ends.high)


def worded(mean: float, low: float = math.nan, high: float = math.nan, form: str = ".3g", unit: str = "") -> str:
    """As in 0.153 [0.12, 0.19]: no ends where there is no interval, and a dash where there is no mean."""
    if not math.isfinite(mean):
        return "–"
    ends = f" [{low:{form}}, {high:{form}}]" if math.isfinite(low + high) else ""
    return f"{mean:{form}}{unit}{ends}".replace("-", "−")
