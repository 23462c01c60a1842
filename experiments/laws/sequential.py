"""Intervals that stay honest where seeds are added until a comparison is decided: confidence sequences.

A t interval has its coverage at a number of seeds that was fixed beforehand: whoever adds seeds until it excludes zero
finds a difference where there is none far more often than in 5 % of cases. A confidence sequence covers the mean at all
numbers of seeds at once, in 95 % of cases. It is about twice as wide.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contracts import Floats
from .intervals import LEVEL, NOTHING, Interval

if TYPE_CHECKING:
    import pandas as pd

SPREAD = 3.0  # of the effects, in standard deviations over seeds, for which it is narrow: those that 3 to 10 seeds show
SAID = "at any number of seeds"  # of such an interval, in the sentence on a claim


def sequence(values: Any, *, level: float = LEVEL) -> Floats:
    """(2, ..., S) the ends of the confidence sequence of the mean after 1 to S values (..., S); infinite where open.

    For independent normal values of unknown variance: the t likelihood ratio mixed over effects (mean over standard
    deviation) that are normal around 0 with `SPREAD` (Lai 1976; Wang and Ramdas, arXiv:2310.03722). It is a martingale
    whatever the variance, so that it ever passes 1 / (1 - level) with probability at most 1 - level (Ville).
    """
    rows = np.asarray(values, dtype=float)
    first, number = rows[..., :1], np.arange(1, rows.shape[-1] + 1)
    centred = rows - first  # the squares below would else lose their digits
    mean = centred.cumsum(-1) / number
    deviations = np.maximum(np.square(centred).cumsum(-1) - number * np.square(mean), 0)
    gain = 1 + number * SPREAD**2
    most = np.exp(np.log(gain / (1 - level) ** 2) / number)  # of (1 + t²/ν) / (1 + t²/(ν gain))
    with np.errstate(divide="ignore"):
        square = np.where(most < gain, (most - 1) / np.maximum(1 - most / gain, 0), np.inf)  # the largest t²/ν
    reach = np.where(np.isinf(square), np.inf, np.sqrt(np.where(np.isinf(square), 0, square) * deviations / number))
    return np.stack([first + mean - reach, first + mean + reach])


def anytime(values: Any, *, level: float = LEVEL) -> Interval:
    """The mean of the values (S,) of seeds in the order in which they ran, and its confidence sequence after the last.

    The ends are NaN where they are infinite (fewer than 3 values).
    """
    kept = np.asarray(values, dtype=float)
    kept = kept[~np.isnan(kept)]
    if len(kept) < 2:
        return NOTHING if not len(kept) else Interval(float(kept[0]), math.nan, math.nan, math.nan)
    ends = sequence(kept, level=level)[:, -1]
    low, high = map(float, ends if np.isfinite(ends).all() else (math.nan, math.nan))
    return Interval(float(kept.mean()), float(kept.std(ddof=1)) / math.sqrt(len(kept)), low, high)


def by_seed(first: pd.DataFrame, second: pd.DataFrame | None) -> tuple[Interval, int]:
    """The mean of a table with a row a seed, or of the difference of two, paired by seed; and how many seeds."""
    values = first.mean(axis=1)
    if second is not None:
        values = (values - second.mean(axis=1)).dropna()
    return anytime(values.sort_index().to_numpy()), len(values)
