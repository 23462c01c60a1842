"""Gains over random selection under the same budget, and over uniform weights on the same examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from ...contracts import Floats
from ...figures.axes import label_left, legend_below, limits, log_axis
from ...figures.panels import Drawing
from ...figures.style import CARD, GREY, MARKERS, colour_of, count_label, name_of, shade
from ...laws import claims
from ..parts import Cell, Section, box, cells, drawing, heading, note, table, titled
from ..table import cell
from .found import Found
from .laws import Panel
from .layout import grouped, label, records, subtitle

WORDS = (
    "The same number of examples, the same budget. ▲ better, ▼ worse, ○ undecided (the interval holds 0, or there are "
    "fewer than 3 seeds; hollow in the figures). "
)
MARKS = {"better": "▲ ", "worse": "▼ ", "no random": ""}


def section(found: Found) -> Section:
    parts = [note(WORDS + claims.caveat(found.advantage))]
    for title, group in grouped(found.panels):
        if all(panel.advantage.empty for _, panel in group):
            continue
        shown = [(one, f"g{place}-{number}") for place, panel in group for number, one in enumerate(drawings(panel))]
        parts += [heading(title), box("grid", *(drawing(one, prefix) for one, prefix in shown))]
        parts.append(box("tables", *(_table(panel) for _, panel in group)))
    if len(parts) == 1:
        parts.append(note("There is no pruned run to compare.", "plain"))
    return Section("Gain over random selection", parts, records("advantage", found.panels, drawings))


def _table(panel: Panel) -> Markup:
    unit = "bits per byte saved" if panel.metric == "bits_per_byte" else "points of accuracy"
    pools = sorted(panel.advantage["pool"].unique())
    rows: list[list[str | Cell]] = []
    for rule in panel.rules:
        for keep, group in panel.advantage[panel.advantage["rule"] == rule].groupby("keep", sort=True):
            gains = {row["pool"]: _gain(row) for _, row in group.iterrows()}
            rows.append([name_of(rule), f"{keep:g}", *(gains.get(pool, "–") for pool in pools)])
    head = ["rule", "keep", *(f"{pool:,.0f}" for pool in pools)]
    return titled(f"{label(panel)}, last epoch: {unit}, by pool size", table(head, rows))


def _gain(row: pd.Series[Any]) -> Cell:
    value, verdict = "no random run", "none"
    if row["verdict"] != "no random":
        value, verdict = claims.describe(row["effect"], row["low"], row["high"], row["metric"]), row["verdict"]
        value = value.replace(" points", "").replace(" bits per byte", "")
    return Cell(MARKS.get(row["verdict"], "○ ") + value, verdict, title=f"n = {row['n']}")


def drawings(panel: Panel) -> list[Drawing]:
    """Gain over random selection under the same budget: against pool size, or against keep for a single pool."""
    found = panel.advantage[panel.advantage["verdict"] != "no random"]
    if found.empty:
        return []
    if panel.pools == 1:
        words = f"advantage over random selection by keep fraction, {panel.title}"
        return [Drawing("Gain over random", subtitle(panel), words, lambda axes: _gain_by_keep(axes, panel, found))]
    ends = reach(found)
    return [
        Drawing(
            f"{name_of(rule).capitalize()} against random", subtitle(panel),
            f"advantage of rule {rule} over random selection by pool size, {panel.title}",
            lambda axes, rule=rule: _gain_by_pool(axes, panel, found, rule, ends),  # type: ignore[misc]
        )
        for rule in panel.rules if (found["rule"] == rule).any()
    ]  # fmt: skip


def _gain_by_pool(axes: Axes, panel: Panel, found: pd.DataFrame, rule: str, ends: tuple[float, float]) -> None:
    rows = found[found["rule"] == rule]
    keeps = sorted(rows["keep"].unique())
    for place, keep in enumerate(keeps):
        line = rows[rows["keep"] == keep].sort_values("pool")
        dodge = 1 + 0.035 * (place - (len(keeps) - 1) / 2)
        colour = shade(rule, place, len(keeps))
        points(axes, line["pool"].to_numpy(dtype=float) * dodge, line, colour, MARKERS[1 + place % 5], f"keep {keep:g}")
    pools = np.unique(found["pool"].to_numpy(dtype=float))
    low, high = limits(pools, 1.25)
    log_axis(axes, "x", low, high, count_label)
    if len(pools) < 8 and np.all(pools[1:] >= 1.5 * pools[:-1]):
        axes.set_xticks(pools)
    axes.set_xlabel("pool size before pruning (examples)")
    axes.set_ylim(*ends)
    zero_line(axes, panel.metric)
    legend_below(axes)


def _gain_by_keep(axes: Axes, panel: Panel, found: pd.DataFrame) -> None:
    keeps = sorted(found["keep"].unique())
    names = []
    for place, rule in enumerate(panel.rules):
        line = found[found["rule"] == rule].sort_values("keep")
        if line.empty:
            continue
        dodge = 0.06 * (place - (len(panel.rules) - 1) / 2)
        points(axes, np.array([keeps.index(keep) + dodge for keep in line["keep"]]), line, colour_of(rule), "o", "")
        names.append((_factor(line) * float(line["effect"].iloc[0]), name_of(rule), colour_of(rule)))
    axes.set_xlim(-0.45 - 0.22 * len(keeps), len(keeps) - 0.7)
    axes.set_xticks(range(len(keeps)), [f"{keep:g}" for keep in keeps])
    axes.set_xlabel("fraction kept")
    axes.set_ylim(*reach(found))
    zero_line(axes, panel.metric)
    label_left(axes, -0.12, names)


def points(axes: Axes, x: Floats, line: pd.DataFrame, colour: str, marker: str, label: str) -> None:
    """Filled where the interval excludes 0, hollow where it does not."""
    effect, low, high = (_factor(line) * line[name].to_numpy(dtype=float) for name in ("effect", "low", "high"))
    bars = [np.nan_to_num(effect - low), np.nan_to_num(high - effect)]
    axes.errorbar(x, effect, yerr=bars, color=colour, linewidth=1.3, elinewidth=1.0, marker=marker, markersize=5,
                  label=label or None)  # fmt: skip
    hollow = (line["verdict"] == "undecided").to_numpy()
    axes.plot(x[hollow], effect[hollow], marker, markersize=4.2, color=CARD, markeredgecolor=colour, zorder=5)


def zero_line(axes: Axes, metric: str) -> None:
    axes.axhline(0, color=GREY, linewidth=1.4, zorder=1)
    axes.set_ylabel("bits per byte saved" if metric == "bits_per_byte" else "accuracy gained (points)")


def _factor(found: pd.DataFrame) -> float:
    return 1.0 if (found["metric"] == "bits_per_byte").all() else 100.0


def reach(found: pd.DataFrame) -> tuple[float, float]:
    """Limits that hold the intervals; those of two seeds are cut where they are far wider than the others."""
    factor = _factor(found)
    values = factor * found[["low", "high", "effect"]].to_numpy(dtype=float)
    some = values[found["n"] >= claims.SEEDS]
    largest = 3 * float(np.nanmax(np.abs(some))) if len(some) else np.inf
    largest = max(largest, float(np.abs(values[:, 2]).max()))
    low, high = max(float(np.nanmin(values)), -largest), min(float(np.nanmax(values)), largest)
    low, high = min(low, -1e-3 * factor), max(high, 1e-3 * factor)  # never an empty range
    return low - 0.08 * (high - low), high + 0.08 * (high - low)


WEIGHED = (
    "The same examples and settings, last epoch, test split; 95 % t intervals over seeds, paired by seed. Not equal "
    "compute: what a policy costs beside is not in it."
)
COLUMNS = ("policy", "task", "model", "rule", "keep", "label_noise", "pool", "budget")


def over_uniform(found: Found) -> Section | None:
    if found.policies.empty:
        return None
    return Section(
        "Gain over uniform weights", [note(WEIGHED), cells([_weighed(row) for _, row in found.policies.iterrows()])]
    )


def _weighed(row: pd.Series[Any]) -> dict[str, str]:
    shown = {name.replace("_", " "): cell(row[name]) for name in COLUMNS}
    shown["rule"] = "unpruned" if shown["rule"] == "none" else shown["rule"]
    shown["gain over uniform weights"] = claims.describe(row["effect"], row["low"], row["high"], row["metric"])
    return shown | {"n": str(row["n"]), "verdict": str(row["verdict"])}
