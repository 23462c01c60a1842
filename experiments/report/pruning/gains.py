"""Gains over random selection under the same budget, and over uniform weights on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from ...contracts import Floats
from ...figures.axes import bars, label_left, legend_below, limits, log_axis
from ...figures.panels import Drawing
from ...figures.style import CARD, GREY, MARKERS, colour_of, count_label, name_of, shade
from ...laws import claims
from ..parts import Cell, Section, box, cells, note, table, titled
from .layout import Panel, grids, records
from .runs import setting

WORDS = (
    "The same number of examples, the same budget. ▲ better, ▼ worse, ○ undecided (the interval holds 0, or there are "
    "fewer than 3 seeds; hollow in the figures). "
)
MARKS = {"better": "▲ ", "worse": "▼ ", "undecided": "○ "}


def section(panels: Sequence[Panel], advantage: pd.DataFrame) -> Section:
    parts = [note(WORDS + claims.caveat(advantage)), *grids("g", panels, drawings, _tables)]
    if len(parts) == 1:
        parts.append(note("There is no pruned run to compare.", "plain"))
    return Section("Gain over random selection", parts, records("advantage", panels, drawings))


def _tables(panels: Sequence[Panel]) -> list[Markup]:
    compared = any(len(panel.advantage) for panel in panels)
    return [box("tables", *(_table(panel) for panel in panels))] if compared else []


def _table(panel: Panel) -> Markup:
    unit = "bits per byte saved" if panel.metric == "bits_per_byte" else "points of accuracy"
    pools = sorted(panel.advantage["pool"].unique())
    rows: list[list[str | Cell]] = []
    for rule in panel.rules:
        for keep, group in panel.advantage[panel.advantage["rule"] == rule].groupby("keep", sort=True):
            gains = {row["pool"]: _gain(row) for _, row in group.iterrows()}
            rows.append([name_of(rule), f"{keep:g}", *(gains.get(pool, "–") for pool in pools)])
    head = ["rule", "keep", *(f"{pool:,.0f}" for pool in pools)]
    return titled(f"{panel.label}, last epoch: {unit}, by pool size", table(head, rows))


def _gain(row: pd.Series[Any]) -> Cell:
    if row["verdict"] == "no random":
        return Cell("no random run", "none", title="n = 0")
    value = claims.describe(row).replace(" points", "").replace(" bits per byte", "")
    return Cell(MARKS[row["verdict"]] + value, row["verdict"], title=f"n = {row['n']}")


def drawings(panel: Panel) -> list[Drawing]:
    """Gain over random selection under the same budget: against pool size, or against keep for a single pool."""
    found = panel.advantage[panel.advantage["verdict"] != "no random"]
    if found.empty:
        return []
    if panel.pools == 1:
        words = f"advantage over random selection by keep fraction, {panel.title}"
        return [Drawing("Gain over random", panel.subtitle, words, partial(_by_keep, panel, found))]
    return [
        Drawing(
            f"{name_of(rule).capitalize()} against random", panel.subtitle,
            f"advantage of rule {rule} over random selection by pool size, {panel.title}",
            partial(_by_pool, found, rule),
        )
        for rule in panel.rules if (found["rule"] == rule).any()
    ]  # fmt: skip


def _by_pool(found: pd.DataFrame, rule: str, axes: Axes) -> None:
    lines = list(found[found["rule"] == rule].sort_values("pool").groupby("keep"))
    for place, (keep, line) in enumerate(lines):
        dodge = 1 + 0.035 * (place - (len(lines) - 1) / 2)
        colour, marker = shade(rule, place, len(lines)), MARKERS[1 + place % 5]
        points(axes, line["pool"].to_numpy(dtype=float) * dodge, line, colour, marker, f"keep {keep:g}")
    pools = np.unique(found["pool"].to_numpy(dtype=float))
    log_axis(axes, "x", *limits(pools, 1.25), count_label)
    if len(pools) < 8 and np.all(pools[1:] >= 1.5 * pools[:-1]):
        axes.set_xticks(pools)
    frame(axes, found, "pool size before pruning (examples)")
    legend_below(axes)


def _by_keep(panel: Panel, found: pd.DataFrame, axes: Axes) -> None:
    keeps, names = sorted(found["keep"].unique()), []
    for place, rule in enumerate(panel.rules):
        line = found[found["rule"] == rule].sort_values("keep")
        if line.empty:
            continue
        dodge = 0.06 * (place - (len(panel.rules) - 1) / 2)
        points(axes, np.array([keeps.index(keep) + dodge for keep in line["keep"]]), line, colour_of(rule))
        names.append((_factor(line) * float(line["effect"].iloc[0]), name_of(rule), colour_of(rule)))
    axes.set_xlim(-0.45 - 0.22 * len(keeps), len(keeps) - 0.7)
    axes.set_xticks(range(len(keeps)), [f"{keep:g}" for keep in keeps])
    frame(axes, found, "fraction kept")
    label_left(axes, -0.12, names)


def points(axes: Axes, x: Floats, line: pd.DataFrame, colour: str, marker: str = "o", label: str = "") -> None:
    """Filled where the interval excludes 0, hollow where it does not."""
    effect, low, high = (_factor(line) * line[name].to_numpy(dtype=float) for name in ("effect", "low", "high"))
    style = {"marker": marker, "markersize": 5, "linewidth": 1.3, "elinewidth": 1.0, "label": label or None}
    bars(axes, x, effect, low, high, color=colour, **style)
    hollow = (line["verdict"] == "undecided").to_numpy()
    axes.plot(x[hollow], effect[hollow], marker, markersize=4.2, color=CARD, markeredgecolor=colour, zorder=5)


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
