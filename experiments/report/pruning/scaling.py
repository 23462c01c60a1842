"""Error against training examples: a panel a rule, the power law of unpruned pools, and the lower envelope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contracts import Floats
from ...figures import hover
from ...figures.axes import bars, legend_below, limits, log_axis, percent
from ...figures.panels import Drawing
from ...figures.style import GREEN, GREY, INK, MARKERS, PURPLE, colour_of, count_label, name_of, percent_label, shade
from ...laws import scaling
from ...laws.intervals import worded
from ..parts import Section, count, note
from ..table import fact
from . import single
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


DOTS = (
    "Means over seeds, lines 95 % intervals, small dots seeds; last epoch's model, test split.{} All panels of a setup "
    "have one scale."
)
DASHED = " The dashed line is the unpruned pool."


def section(panels: Sequence[Panel]) -> Section:
    several = any(panel.pools > 1 for panel in panels)
    unpruned = any((panel.points["rule"] == "none").any() for panel in panels)
    words = (
        (WORDS + FITTED if any(panel.fitted for panel in panels) else WORDS)
        if several
        else DOTS.format(DASHED if unpruned else "")
    )
    parts = [note(words), *grids("s", panels, drawings, lambda own: [note(_words(own))])]
    heading = "Error against training examples" if several else "What each rule and score reaches"
    return Section(heading, parts, records("scaling", panels, drawings))


def _words(panels: Sequence[Panel]) -> str:
    seeds = sorted({int(n) for panel in panels for n in panel.points["n"]})
    number = count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    return f"{number.capitalize()} a point."


def drawings(panels: Sequence[Panel]) -> list[Drawing]:
    """Error against number of examples: a drawing a rule and one of the envelope; dots for a single pool."""
    if panels[0].pools == 1 and (panels[0].points["rule"] != "none").any():
        return single.reached(panels)
    return [one for panel in panels for one in _of_pools(panel)]


def _of_pools(panel: Panel) -> list[Drawing]:
    metric, columns = panel.metric, ["rule", "scorer", "keep", "budget", "pool", "examples", "n"]
    shown = panel.points[[*columns, metric, f"{metric}_low", f"{metric}_high"]]

    def drawn(title: str, words: str, draw: Callable[..., None], *more: Any, rule: str = "") -> Drawing:
        own = shown[shown["rule"].isin([rule, "random", "none"])] if rule else shown
        return Drawing(title, panel.subtitle, f"{words}, {panel.title}", partial(draw, panel, *more), data=own)

    words = "test error against training examples"
    if not panel.rules:
        return [drawn("Error against examples", words, _rule)]
    found = []
    for rule in panel.rules:
        kept = f"the {name_of(rule)}" if fact("rule", rule, "label") else rule
        found.append(drawn(f"Keep {kept}", f"{words} for rule {rule}", partial(_rule, rule=rule), rule=rule))
    if panel.envelope is not None:
        words = "lower envelope of test error over pool sizes and keep fractions"
        found.append(drawn("Lower envelope", words, _envelope, panel.envelope))
    return found


def _rule(panel: Panel, axes: Axes, rule: str = "") -> None:
    """Unpruned and random sets, and a line for each fraction that a rule keeps."""
    _unpruned(axes, panel)
    random = panel.points[panel.points["rule"] == "random"]
    if len(random):
        (circles,) = axes.plot(random["examples"], random[panel.metric], "o", markersize=4.2, markerfacecolor="none",
                               markeredgecolor=GREY, label="random")  # fmt: skip
        hover.say(circles, _said(panel, random))
    points = panel.points[panel.points["rule"] == rule].sort_values("examples")
    lines = list(points.groupby("keep"))
    for place, (keep, line) in enumerate(lines):
        line = _moved(panel, line, place, len(lines))
        style = {"marker": MARKERS[1 + place % 5], "linestyle": "-", "label": f"keep {keep:g}"}
        _errorbars(axes, line, panel, shade(rule, place, len(lines)), **style)
    _crossed(axes, panel, points)
    _frame(axes, panel)


def _envelope(panel: Panel, law: Law, axes: Axes) -> None:
    _unpruned(axes, panel)
    for rule in panel.rules:
        points = panel.points[panel.points["rule"] == rule]
        (line,) = axes.plot(points["examples"], points[panel.metric], "o", color=colour_of(rule), markersize=2.6,
                            alpha=0.75, label=name_of(rule))  # fmt: skip
        hover.say(line, _said(panel, points))
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


def _said(panel: Panel, points: pd.DataFrame) -> list[str]:
    """The setting, the mean and its interval, and the seeds of each point."""
    metric, factor, unit = panel.metric, percent(panel.metric), "" if panel.metric == "bits_per_byte" else " %"
    found = []
    for _, row in points.iterrows():
        own = panel.runs[panel.runs["point"] == row["point"]].sort_values("seed")
        seeds = (f"seed {seed} {factor * one:.4g}{unit}" for seed, one in zip(own["seed"], own[metric], strict=True))
        value, low, high = (factor * row[name] for name in (metric, f"{metric}_low", f"{metric}_high"))
        mean = worded(value, low, high, ".4g", unit)
        kept = "" if row["rule"] == "none" else f" {row['keep']:g}"
        marked = f", {single.CHANCE}" if row["point"] in panel.guessing else ""
        where = f"{name_of(row['rule'])}{kept} of {row['pool']:,.0f}"
        found.append(f"{where}, {metric.replace('_', ' ')} {mean}{marked}; {', '.join(seeds)}")
    return found


def _crossed(axes: Axes, panel: Panel, points: pd.DataFrame) -> None:
    """A cross on what is at chance."""
    own = points[points["point"].isin(panel.guessing)]
    if len(own):
        axes.plot(own["examples"], own[panel.metric], "x", color=INK, markersize=8, label=single.CHANCE)


def _unpruned(axes: Axes, panel: Panel) -> None:
    points = panel.points[panel.points["rule"] == "none"].sort_values("examples")
    law, fit, interval = panel.unpruned, panel.unpruned.comparison.power, panel.unpruned.power
    if fit is None:
        line = "-" if len(points) > 1 else "none"
        _errorbars(axes, points, panel, INK, label="unpruned", linestyle=line)
        return
    label = f"unpruned, a = {fit.rate:.2f}"
    if interval is not None and interval.rate is not None:
        label += f" [{interval.rate.low:.2f}, {interval.rate.high:.2f}]"
        axes.fill_between(interval.grid, interval.low, interval.high, color=INK, alpha=0.13, linewidth=0)
    _line(axes, law, fit, color=INK, linewidth=1.5, label=label + ("\nwith a floor" if fit.floored else ""))
    _errorbars(axes, points, panel, INK)


def _line(axes: Axes, law: Law, fit: scaling.Fit, **style: Any) -> Floats:
    x = np.geomspace(law.curve.x.min(), law.curve.x.max(), 100)
    axes.plot(x, scaling.predict(fit, x), **style)
    return x


def _errorbars(axes: Axes, points: pd.DataFrame, panel: Panel, colour: str, **style: Any) -> None:
    metric = panel.metric
    points = points[points[metric] > 0]
    if points.empty:
        return
    mean, low, high = (points[name].to_numpy(dtype=float) for name in (metric, f"{metric}_low", f"{metric}_high"))
    style = {"marker": "o", "linestyle": "none", "linewidth": 1.5, "elinewidth": 1.0, "markersize": 4.6} | style
    words = _said(panel, points)
    bars(axes, points["examples"], mean, np.maximum(low, 0.001 * mean), high, words, color=colour, **style)


def _ends(points: pd.DataFrame, metric: str) -> tuple[float, float]:
    """The range of the means and their intervals, at most a decade beyond the means on either side."""
    least, most = limits(points[metric].to_numpy(dtype=float), 1.0)
    low, high = (points.loc[points[metric] > 0, f"{metric}_{end}"].dropna() for end in ("low", "high"))
    return max(min([least, *low]), least / 10), min(max([most, *high]), 10 * most)


def _moved(panel: Panel, points: pd.DataFrame, place: int, number: int) -> pd.DataFrame:
    """The points of one of several series, apart from those of the others and from the unpruned ones."""
    least, most = limits(panel.baseline["examples"].to_numpy(dtype=float), 1.25)
    step = place - (number - 1) / 2
    if step >= 0:
        step += 1 if number % 2 else 0.5
    return points.assign(examples=points["examples"] * float((most / least) ** (0.012 * step)))


def _frame(axes: Axes, panel: Panel) -> None:
    """The same axes for every panel of a baseline."""
    points = panel.baseline
    log_axis(axes, "x", *limits(points["examples"].to_numpy(dtype=float), 1.25), count_label)
    bottom, top = _ends(points[points["rule"] != "random"], panel.metric)  # circles without bars
    least, most = limits(points[panel.metric].to_numpy(dtype=float), 1.0)
    bottom, top = min(bottom, least), max(top, most)
    margin = max((top / bottom) ** 0.08, 1.01)
    text = panel.metric == "bits_per_byte"
    log_axis(axes, "y", bottom / margin, top * margin, "{:g}".format if text else percent_label)
    axes.set(xlabel="training examples", ylabel="test bits per byte" if text else "test error")
    legend_below(axes)
