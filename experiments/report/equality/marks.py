"""How the page of searches says and draws means over seeds: words, signs, bars, bands, colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contracts import Floats
from ...contribution import findings
from ...figures.axes import band, bars
from ...figures.panels import Drawing
from ...figures.style import BLUE, GREEN, INK, MUTED, OCHRE, ORANGE, PURPLE, shade
from ...laws import claims
from ...laws.intervals import interval_of, worded

CT, PHI, GAP = BLUE, ORANGE, GREEN
POLICIES = {
    "constant": INK, "found": ORANGE, "by loss": GREEN, "by gradient norm": OCHRE,
    "greedy by contribution": CT, "without the wrong labels": PURPLE,
}  # fmt: skip
LEVELS = (1.0, *findings.LEVELS)  # of the first target loss
MOST = 6  # settings drawn of those figures that show one a panel; the tables have all
DASHED = (0, (4, 2))


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

    def __str__(self) -> str:
        return worded(self.mean, self.low, self.high, "+.3g")


def change(first: pd.Series[Any], second: pd.Series[Any] | float) -> Change:
    """The difference of two columns of the same runs, those with both."""
    values = first - second
    one = interval_of(values)
    return Change(one.value, one.low, one.high, int(values.notna().sum()))


def column(runs: pd.DataFrame, name: str) -> pd.Series[Any]:
    return runs[name] if name in runs.columns else pd.Series(np.nan, index=runs.index)


def interval(values: pd.Series[Any]) -> str:
    """Mean and 95 % t interval as words; a share, by the name of the column, is in [0, 1]."""
    one = interval_of(values, str(values.name))
    return worded(one.value, one.low, one.high)


def without_changes(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a table, with words alone."""
    return [{name: cell for name, cell in row.items() if name != "changes"} for row in rows]


def left_out(shown: Mapping[str, Any], every: Mapping[str, Any]) -> str:
    return f" Drawn: {len(shown)} of {len(every)} settings; the tables have all." if len(shown) < len(every) else ""


def panel(title: str, setting: str, words: str, draw: Callable[..., None], *shown: Any) -> Drawing:
    """A drawing of one setting; `draw` is given what it shows, and the axes."""
    return Drawing(title, setting, f"{words}, {setting}", partial(draw, *shown))


def colours(runs: pd.DataFrame) -> dict[str, str]:
    """A colour for each subset: its rule's, paler where less is kept."""
    found: dict[str, str] = {}
    for rule, group in runs.groupby("rule", sort=False):
        subsets = list(dict.fromkeys(group.sort_values("keep", ascending=False)["kept"]))
        found |= {kept: shade(str(rule), place, len(subsets)) for place, kept in enumerate(subsets)}
    return found


def say(axes: Axes, words: str) -> None:
    """Why a panel is empty."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=MUTED)


def level_ticks(axes: Axes, levels: Sequence[float]) -> None:
    axes.set_xticks(np.arange(len(levels)), ["start" if level == 1 else f"{100 * level:g} %" for level in levels])
    axes.set_xlabel("target loss, of that at the start")


def intervals(axes: Axes, places: Floats, values: Sequence[pd.Series[Any]], colour: str, label: str) -> None:
    """Means with 95 % t intervals over seeds."""
    found = [interval_of(one, str(one.name)) for one in values]
    mean, low, high = (np.array([getattr(one, name) for one in found]) for name in ("value", "low", "high"))
    bars(axes, places, mean, low, high, color=colour, marker="o", linewidth=1.6, capsize=3, label=label)


def over_seeds(axes: Axes, rows: pd.DataFrame, name: str, middle: str, colour: str, **line: Any) -> None:
    """The seeds' mean or median by step, and a band from the lowest to the highest seed."""
    seeds = rows.groupby("step")[name].agg([middle, "min", "max"])
    band(axes, seeds.index, seeds[middle], seeds["min"], seeds["max"], colour, **line)


def by_seed(axes: Axes, seeds: Iterable[tuple[Any, Any]], mean: tuple[Any, Any], colour: str, **line: Any) -> None:
    """A thin line a seed, and a bold one for the mean."""
    for one in seeds:
        axes.plot(*one, color=colour, linewidth=0.6, alpha=0.5)
    axes.plot(*mean, color=colour, linewidth=2, **line)
