"""Error against training examples: a panel a rule, the power law of unpruned pools, and the lower envelope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contracts import Floats
from ...figures.axes import bars, label_left, legend_below, limits, log_axis
from ...figures.panels import Drawing
from ...figures.style import GREEN, GREY, INK, MARKERS, PURPLE, colour_of, count_label, name_of, percent_label, shade
from ...laws import scaling
from ..parts import Section, count, note
from ..table import fact
from .layout import Law, Panel, grids, records

WORDS = (
    "Both axes logarithmic. Points are means over seeds, bars 95 % t intervals; last epoch's model, test split. Series "
    "at the same number of examples stand slightly apart."
)
FITTED = (
    " The dark line is the power law fitted to unpruned pools (exponent a), its band the 95 % t interval over "
    "seeds. Open grey circles: random selection under the same budget. The lower envelope is the least error over pool "
    "sizes, score-based rules and keep fractions (1 included); it picks the luckiest points, and its interval "
    "picks again without each seed: in simulations that holds the exponent in 95 of 100 cases, and its band the curve "
    "in 90 to 95."
)


def section(panels: Sequence[Panel]) -> Section:
    words = WORDS + FITTED if any(panel.fitted for panel in panels) else WORDS
    parts = [note(words), *grids("s", panels, drawings, lambda own: [note(_words(panel)) for panel in own])]
    return Section("Error against training examples", parts, records("scaling", panels, drawings))


def _words(panel: Panel) -> str:
    seeds = sorted(panel.points["n"].unique())
    number = count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    return f"{panel.label}, {number} a point."


def drawings(panel: Panel) -> list[Drawing]:
    """Error against number of examples: a drawing a rule and one of the envelope, or one of all for a single pool."""

    def drawn(title: str, words: str, draw: Callable[..., None], *shown: Any) -> Drawing:
        return Drawing(title, panel.subtitle, f"{words}, {panel.title}", partial(draw, panel, *shown))

    words = "test error against training examples"
    if panel.pools == 1 or not panel.rules:
        return [drawn("Error against examples", words, _one_pool if panel.pools == 1 else _rule)]
    found = []
    for rule in panel.rules:
        kept = f"the {name_of(rule)}" if fact("rule", rule, "label") else rule
        found.append(drawn(f"Keep {kept}", f"{words} for rule {rule}", partial(_rule, rule=rule)))
    if panel.envelope is not None:
        words = "lower envelope of test error over pool sizes and keep fractions"
        found.append(drawn("Lower envelope", words, _envelope, panel.envelope))
    return found


def _rule(panel: Panel, axes: Axes, rule: str = "") -> None:
    """Unpruned and random sets, and a line for each fraction that a rule keeps."""
    _unpruned(axes, panel)
    random = panel.points[panel.points["rule"] == "random"]
    if len(random):
        axes.plot(random["examples"], random[panel.metric], "o", markersize=4.2, markerfacecolor="none",
                  markeredgecolor=GREY, label="random")  # fmt: skip
    points = panel.points[panel.points["rule"] == rule].sort_values("examples")
    lines = list(points.groupby("keep"))
    for place, (keep, line) in enumerate(lines):
        line = _moved(panel, line, place, len(lines), beside=True)
        style = {"marker": MARKERS[1 + place % 5], "linestyle": "-", "label": f"keep {keep:g}"}
        _errorbars(axes, line, panel.metric, shade(rule, place, len(lines)), **style)
    _frame(axes, panel)


def _envelope(panel: Panel, law: Law, axes: Axes) -> None:
    _unpruned(axes, panel)
    for rule in panel.rules:
        points = panel.points[panel.points["rule"] == rule]
        axes.plot(points["examples"], points[panel.metric], "o", color=colour_of(rule), markersize=2.6, alpha=0.75,
                  label=name_of(rule))  # fmt: skip
    axes.plot(law.curve.x, law.curve.y, "o", markersize=8.5, markerfacecolor="none", markeredgecolor=INK,
              markeredgewidth=1.1, label="on the envelope")  # fmt: skip
    looks = {"power": ("power law", (0, (5, 2)), PURPLE), "exponential": ("exponential", (0, (1, 1.2)), GREEN)}
    for fit, interval, _ in law.fits:
        name, dashes, colour = looks[fit.family]
        label = name + (" ✓" if law.comparison.verdict == name else "")
        x = _line(axes, law, fit, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        if not interval.note:
            inside = (interval.grid >= 0.999 * x[0]) & (interval.grid <= 1.001 * x[-1])
            ends = (values[inside] for values in (interval.grid, interval.low, interval.high))
            axes.fill_between(*ends, color=colour, alpha=0.15, linewidth=0)
    _frame(axes, panel)


def _one_pool(panel: Panel, axes: Axes) -> None:
    """Lines by rule over keep fractions, ending in the unpruned pool."""
    full = panel.points[panel.points["rule"] == "none"]
    rules = [*panel.rules, *(["random"] if (panel.points["rule"] == "random").any() else [])]
    ends = []
    for place, rule in enumerate(rules):
        own = _moved(panel, panel.points[panel.points["rule"] == rule], place, len(rules))
        line = pd.concat([own, full]).sort_values("examples")
        axes.plot(line["examples"], line[panel.metric], color=colour_of(rule), linewidth=1.6)
        _errorbars(axes, line[line["rule"] == rule], panel.metric, colour_of(rule))
        ends.append((float(line[panel.metric].iloc[0]), name_of(rule), colour_of(rule)))
    _errorbars(axes, full, panel.metric, INK)
    _frame(axes, panel, left=2.1 if ends else 1.6)
    if ends:
        least = panel.points[panel.points["examples"] == panel.points["examples"].min()]
        label_left(axes, float(_moved(panel, least, 0, len(rules))["examples"].iloc[0]), ends)
    for _, row in full.iterrows():
        foot = max(_ends(full.loc[[row.name]], panel.metric)[0], axes.get_ylim()[0])
        axes.annotate(
            "unpruned", (row["examples"], foot), (0, -5), textcoords="offset points", ha="center",
            va="top", color=INK, annotation_clip=False,
        )  # fmt: skip


def _unpruned(axes: Axes, panel: Panel) -> None:
    points = panel.points[panel.points["rule"] == "none"].sort_values("examples")
    law, fit, interval = panel.unpruned, panel.unpruned.comparison.power, panel.unpruned.power
    if fit is None:
        line = "-" if len(points) > 1 else "none"
        _errorbars(axes, points, panel.metric, INK, label="unpruned", linestyle=line)
        return
    label = f"unpruned, a = {fit.rate:.2f}"
    if interval is not None and interval.rate is not None:
        label += f" [{interval.rate.low:.2f}, {interval.rate.high:.2f}]"
        axes.fill_between(interval.grid, interval.low, interval.high, color=INK, alpha=0.13, linewidth=0)
    _line(axes, law, fit, color=INK, linewidth=1.5, label=label + ("\nwith a floor" if fit.floored else ""))
    _errorbars(axes, points, panel.metric, INK)


def _line(axes: Axes, law: Law, fit: scaling.Fit, **style: Any) -> Floats:
    x = np.geomspace(law.curve.x.min(), law.curve.x.max(), 100)
    axes.plot(x, scaling.predict(fit, x), **style)
    return x


def _errorbars(axes: Axes, points: pd.DataFrame, metric: str, colour: str, **style: Any) -> None:
    points = points[points[metric] > 0]
    if points.empty:
        return
    mean, low, high = (points[name].to_numpy(dtype=float) for name in (metric, f"{metric}_low", f"{metric}_high"))
    style = {"marker": "o", "linestyle": "none", "linewidth": 1.5, "elinewidth": 1.0, "markersize": 4.6} | style
    bars(axes, points["examples"], mean, np.maximum(low, 0.001 * mean), high, color=colour, **style)


def _ends(points: pd.DataFrame, metric: str) -> tuple[float, float]:
    """The range of the means and their intervals, at most a decade beyond the means on either side."""
    least, most = limits(points[metric].to_numpy(dtype=float), 1.0)
    low, high = (points.loc[points[metric] > 0, f"{metric}_{end}"].dropna() for end in ("low", "high"))
    return max(min([least, *low]), least / 10), min(max([most, *high]), 10 * most)


def _moved(panel: Panel, points: pd.DataFrame, place: int, number: int, *, beside: bool = False) -> pd.DataFrame:
    """The points of one of several series, apart from those of others; `beside`: and from the unpruned ones."""
    least, most = limits(panel.points["examples"].to_numpy(dtype=float), 1.25)
    step = place - (number - 1) / 2
    if beside and step >= 0:
        step += 1 if number % 2 else 0.5
    return points.assign(examples=points["examples"] * float((most / least) ** (0.012 * step)))


def _frame(axes: Axes, panel: Panel, *, left: float = 1.25) -> None:
    low, high = limits(panel.points["examples"].to_numpy(dtype=float), 1.25)
    log_axis(axes, "x", low * 1.25 / left, high, count_label)
    bare = (panel.points["rule"] == "random") & (panel.pools > 1)  # circles without bars
    bottom, top = _ends(panel.points[~bare], panel.metric)
    least, most = limits(panel.points[panel.metric].to_numpy(dtype=float), 1.0)
    bottom, top = min(bottom, least), max(top, most)
    below, above = max((top / bottom) ** (0.08 if panel.pools > 1 else 0.22), 1.01), max((top / bottom) ** 0.08, 1.01)
    text = panel.metric == "bits_per_byte"
    log_axis(axes, "y", bottom / below, top * above, "{:g}".format if text else percent_label)
    axes.set(xlabel="training examples", ylabel="test bits per byte" if text else "test error")
    if panel.pools > 1:
        legend_below(axes)
