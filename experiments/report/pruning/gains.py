"""Gains over random selection under the same budget, and over uniform weights on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contracts import Floats
from ...figures.axes import bars, legend_below, limits, log_axis
from ...figures.panels import Drawing
from ...figures.style import CARD, GREY, MARKERS, count_label, name_of, shade
from ...laws import claims
from ..parts import Section, cells, count, note
from . import single
from .layout import Panel, grids, records
from .runs import setting

WORDS = (
    "The same number of examples, the same budget. ▲ better, ▼ worse, ○ undecided (the interval holds 0, or there are "
    "fewer than 3 seeds; hollow in the figures). "
)


def section(panels: Sequence[Panel], advantage: pd.DataFrame) -> Section:
    parts = [note(WORDS + claims.caveat(advantage)), *grids("g", panels, drawings, lambda _: [])]
    if len(parts) == 1:
        parts.append(note("There is no pruned run to compare.", "plain"))
    return Section("Gain over random selection", parts, records("advantage", panels, drawings))


def drawings(panels: Sequence[Panel]) -> list[Drawing]:
    """Gain over random selection under the same budget: against pool size, or as dots for a single pool."""
    if panels[0].pools == 1:
        return single.gained(panels)
    return [one for panel in panels for one in _of_pools(panel)]


def _of_pools(panel: Panel) -> list[Drawing]:
    found = panel.advantage[panel.advantage["verdict"] != "no random"]
    shown = ["rule", "scorer", "keep", "budget", "pool", "examples", "effect", "low", "high", "n", "verdict"]
    return [
        Drawing(
            f"{name_of(rule).capitalize()} against random", panel.subtitle,
            f"advantage of rule {rule} over random selection by pool size, {panel.title}",
            partial(_by_pool, found, panel.gains, rule), data=found.loc[found["rule"] == rule, shown],
        )
        for rule in panel.rules if (found["rule"] == rule).any()
    ]  # fmt: skip


def _by_pool(found: pd.DataFrame, near: pd.DataFrame, rule: str, axes: Axes) -> None:
    """On the axes of all comparisons of the setup (`near`)."""
    lines = list(found[found["rule"] == rule].sort_values("pool").groupby("keep"))
    for place, (keep, line) in enumerate(lines):
        dodge = 1 + 0.035 * (place - (len(lines) - 1) / 2)
        colour, marker = shade(rule, place, len(lines)), MARKERS[1 + place % 5]
        points(axes, line["pool"].to_numpy(dtype=float) * dodge, line, colour, marker, f"keep {keep:g}")
    pools = np.unique(near["pool"].to_numpy(dtype=float))
    log_axis(axes, "x", *limits(pools, 1.25), count_label)
    if len(pools) < 8 and np.all(pools[1:] >= 1.5 * pools[:-1]):
        axes.set_xticks(pools)
    frame(axes, near, "pool size before pruning (examples)")
    legend_below(axes)


def points(axes: Axes, x: Floats, line: pd.DataFrame, colour: str, marker: str = "o", label: str = "") -> None:
    """Filled where the interval excludes 0, hollow where it does not."""
    effect, low, high = (_factor(line) * line[name].to_numpy(dtype=float) for name in ("effect", "low", "high"))
    style = {"marker": marker, "markersize": 5, "linewidth": 1.3, "elinewidth": 1.0, "label": label or None}
    bars(axes, x, effect, low, high, [_said(row) for _, row in line.iterrows()], color=colour, **style)
    hollow = (line["verdict"] == "undecided").to_numpy()
    axes.plot(x[hollow], effect[hollow], marker, markersize=4.2, color=CARD, markeredgecolor=colour, zorder=5)


def _said(row: pd.Series[Any]) -> str:
    where = f"{name_of(row['rule'])} {row['keep']:g} of {row['pool']:,.0f} by {row['scorer']}"
    return f"{where}, {claims.describe(row)} against random, {count(int(row['n']), 'seed')}, {row['verdict']}"


def frame(axes: Axes, found: pd.DataFrame, words: str) -> None:
    """A line at no gain, and room for every interval."""
    axes.set(xlabel=words, ylim=_reach(found))
    zero_line(axes, str(found["metric"].iloc[0]))


def zero_line(axes: Axes, metric: str) -> None:
    axes.axhline(0, color=GREY, linewidth=1.4, zorder=1)
    axes.set_ylabel("bits per byte saved" if metric == "bits_per_byte" else "accuracy gained (points)")


def _factor(found: pd.DataFrame) -> float:
    return 1.0 if (found["metric"] == "bits_per_byte").all() else 100.0


def _reach(found: pd.DataFrame) -> tuple[float, float]:
    """Limits that hold the intervals; those of two seeds are cut where they are far wider than the others."""
    factor = _factor(found)
    values = factor * found[["low", "high", "effect"]].to_numpy(dtype=float)
    some = values[found["n"] >= claims.SEEDS]
    largest = max(3 * float(np.nanmax(np.abs(some))) if len(some) else np.inf, float(np.abs(values[:, 2]).max()))
    low, high = np.clip([np.nanmin(values), np.nanmax(values)], -largest, largest)
    low, high = min(low, -1e-3 * factor), max(high, 1e-3 * factor)  # never an empty range
    return low - 0.08 * (high - low), high + 0.08 * (high - low)


WEIGHED = (
    "The same examples and settings, last epoch, test split; 95 % t intervals over seeds, paired by seed. Not equal "
    "compute: what a policy costs beside is not in it."
)
COLUMNS = ("policy", "task", "model", "rule", "keep", "label_noise", "pool", "budget")


def over_uniform(policies: pd.DataFrame) -> Section | None:
    rows = [
        setting(row, COLUMNS)
        | {"gain over uniform weights": claims.describe(row), "n": str(row["n"]), "verdict": row["verdict"]}
        for _, row in policies.iterrows()
    ]
    return Section("Gain over uniform weights", [note(WEIGHED), cells(rows)]) if rows else None
