"""Measurements of several seeds as words, and differences paired by seed with their signs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...laws import claims
from ...laws.intervals import mean_interval


@dataclass(frozen=True, slots=True)
class Change:
    """Mean of a difference paired by seed, its 95 % t interval, and its sign where that excludes 0."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def sign(self) -> int:
        if self.n < claims.SEEDS or not math.isfinite(self.low + self.high):
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def change(first: pd.Series[Any], second: pd.Series[Any]) -> Change:
    """The difference of two columns of the same runs, those with both."""
    values = (first - second).dropna().to_numpy(dtype=float)
    mean, _, low, high = mean_interval(values)
    return Change(mean, low, high, len(values))


def column(runs: pd.DataFrame, name: str) -> pd.Series[Any]:
    return runs[name] if name in runs.columns else pd.Series(np.nan, index=runs.index)


def interval(values: pd.Series[Any]) -> str:
    """Mean and interval as words: 0.153 [0.12, 0.19]."""
    mean, _, low, high = mean_interval(values.dropna().to_numpy(dtype=float))
    if not math.isfinite(mean):
        return "–"
    ends = f" [{low:.3g}, {high:.3g}]" if math.isfinite(low + high) else ""
    return f"{mean:.3g}{ends}".replace("-", "−")


def signed(found: Change) -> str:
    """A difference as words: +0.033 [+0.02, +0.05]."""
    if not found.n:
        return "–"
    ends = f" [{found.low:+.3g}, {found.high:+.3g}]" if math.isfinite(found.low + found.high) else ""
    return f"{found.mean:+.3g}{ends}".replace("-", "−")


def worded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what is no words."""
    return [{name: cell for name, cell in row.items() if name != "changes"} for row in rows]
