"""The panels of the report: error against examples, advantage over random selection, what was kept of each class."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..contracts import Floats
from ..figures.style import (
    CARD,
    COLOURS,
    INK,
    MARKERS,
    Drawing,
    count_label,
    label_left,
    legend_below,
    limits,
    log_axis,
    name_of,
    percent_label,
    shade,
)
from ..laws import claims, scaling
from .laws import BUDGETS, Law, Panel

EXAMPLES = "training examples"
CLASSES = 12  # bars of one panel at most


def scaling_drawings(panel: Panel) -> list[Drawing]:
    """Error against number of examples: a drawing a rule and one of the envelope, or one of all for a single pool."""
    subtitle = _subtitle(panel)
    if panel.pools == 1 or not panel.rules:
        words = f"test error against training examples, {panel.title}"
        return [Drawing("Error against examples", subtitle, words, lambda axes: _one_pool(axes, panel))]
    drawings = [
        Drawing(
            f"Keep the {name_of(rule)}" if rule in ("hard", "easy") else f"Keep {rule}", subtitle,
            f"test error against training examples for rule {rule}, {panel.title}",
            lambda axes, rule=rule: _rule(axes, panel, rule),  # type: ignore[misc]
        )
        for rule in panel.rules
    ]  # fmt: skip
    if panel.envelope is not None:
        law = panel.envelope
        words = f"lower envelope of test error over pool sizes and keep fractions, {panel.title}"
        drawings.append(Drawing("Lower envelope", subtitle, words, lambda axes: _envelope(axes, panel, law)))
    return drawings


def advantage_drawings(panel: Panel) -> list[Drawing]:
    """Gain over random selection under the same budget: against pool size, or against keep for a single pool."""
    found = panel.advantage[panel.advantage["verdict"] != "no random"]
    if found.empty:
        return []
    if panel.pools == 1:
        words = f"advantage over random selection by keep fraction, {panel.title}"
        return [Drawing("Gain over random", _subtitle(panel), words, lambda axes: _gain_by_keep(axes, panel, found))]
    reach = _reach(found)
    return [
        Drawing(
            f"{name_of(rule).capitalize()} against random", _subtitle(panel),
            f"advantage of rule {rule} over random selection by pool size, {panel.title}",
            lambda axes, rule=rule: _gain_by_pool(axes, panel, found, rule, reach),  # type: ignore[misc]
        )
        for rule in panel.rules if (found["rule"] == rule).any()
    ]  # fmt: skip


def kept_drawing(classes: pd.DataFrame, rule: str, keep: float, subtitle: str) -> Drawing:
    """Each class's share of the pool (grey) and of what was kept (colour); the most changed where there are many."""
    before, after = (classes[name] / classes[name].sum() for name in ("pool", "kept"))
    shares = classes.assign(before=before, after=after)
    changed = (shares["after"] - shares["before"]).abs().sort_values(ascending=False, kind="stable").index[:CLASSES]
    shown = shares.loc[shares.index.isin(changed)].iloc[::-1]
    more = "" if len(shares) <= CLASSES else f", the {CLASSES} most changed of {len(shares)} classes"
    title = f"{name_of(rule).capitalize()}, keep {keep:g}"
    words = f"share of each class in the pool and in what rule {rule} keeps"
    return Drawing(title, subtitle + more, words, lambda axes: _kept(axes, shown, rule))


# ---- error against examples ------------------------------------------------------------------------------------------


def _rule(axes: Axes, panel: Panel, rule: str) -> None:
    _unpruned(axes, panel)
    _random(axes, panel)
    points = panel.points[panel.points["rule"] == rule]
    keeps = sorted(points["keep"].unique())
    for place, keep in enumerate(keeps):
        colour = shade(rule, place, len(keeps))
        line = points[points["keep"] == keep].sort_values("examples")
        line = line.assign(examples=line["examples"] * _dodge(panel, place, len(keeps), beside=True))
        _errorbars(axes, line, panel.metric, colour, marker=MARKERS[1 + place % 5], label=f"keep {keep:g}", line=True)
    _frame(axes, panel)
    legend_below(axes)


def _envelope(axes: Axes, panel: Panel, law: Law) -> None:
    _unpruned(axes, panel)
    for rule in panel.rules:
        points = panel.points[panel.points["rule"] == rule]
        axes.plot(
            points["examples"], points[panel.metric], "o", color=COLOURS[rule], markersize=2.6, alpha=0.75,
            label=name_of(rule),
        )  # fmt: skip
    axes.plot(law.curve.x, law.curve.y, "o", markersize=8.5, markerfacecolor="none", markeredgecolor=INK,
              markeredgewidth=1.1, label="on the envelope")  # fmt: skip
    families = (
        (law.comparison.power, law.power, (0, (5, 2)), COLOURS["stratified"]),
        (law.comparison.exponential, law.exponential, (0, (1, 1.2)), COLOURS["middle"]),
    )
    for fit, interval, dashes, colour in families:
        if fit is None:
            continue
        x = np.geomspace(law.curve.x.min(), law.curve.x.max(), 100)
        mark = " ✓" if law.comparison.verdict.startswith(fit.family) else ""
        name = "power law" if fit.family == "power" else "exponential"
        axes.plot(x, scaling.predict(fit, x), color=colour, linestyle=dashes, linewidth=1.8, label=name + mark)
        if interval is not None and not interval.note:
            inside = (interval.grid >= 0.999 * x[0]) & (interval.grid <= 1.001 * x[-1])
            band = (values[inside] for values in (interval.grid, interval.low, interval.high))
            axes.fill_between(*band, color=colour, alpha=0.15, linewidth=0)
    _frame(axes, panel)
    legend_below(axes)


def _one_pool(axes: Axes, panel: Panel) -> None:
    """Lines by rule over keep fractions, ending in the unpruned pool."""
    if panel.pools > 1:
        _unpruned(axes, panel)
        _random(axes, panel)
        _frame(axes, panel)
        legend_below(axes)
        return
    full = panel.points[panel.points["rule"] == "none"]
    rules = [*panel.rules, *(["random"] if (panel.points["rule"] == "random").any() else [])]
    ends = []
    for place, rule in enumerate(rules):
        own = panel.points[panel.points["rule"] == rule]
        own = own.assign(examples=own["examples"] * _dodge(panel, place, len(rules)))
        line = pd.concat([own, full]).sort_values("examples")
        axes.plot(line["examples"], line[panel.metric], color=COLOURS[rule], linewidth=1.6)
        _errorbars(axes, line[line["rule"] == rule], panel.metric, COLOURS[rule], marker="o")
        ends.append((float(line[panel.metric].iloc[0]), name_of(rule), COLOURS[rule]))
    _errorbars(axes, full, panel.metric, INK, marker="o")
    _frame(axes, panel, left=2.1 if ends else 1.6)
    if ends:
        label_left(axes, float(panel.points["examples"].min()) * _dodge(panel, 0, len(rules)), ends)
    for _, row in full.iterrows():
        foot = max(_ends(full.loc[[row.name]], panel.metric)[0], axes.get_ylim()[0])
        axes.annotate(
            "unpruned", (row["examples"], foot), (0, -5), textcoords="offset points", ha="center",
            va="top", color=INK, annotation_clip=False,
        )  # fmt: skip


def _unpruned(axes: Axes, panel: Panel) -> None:
    points = panel.points[panel.points["rule"] == "none"].sort_values("examples")
    law = panel.unpruned
    fit, interval = law.comparison.power, law.power
    if fit is not None:
        label = f"unpruned, a = {fit.rate:.2f}"
        if interval is not None and interval.rate is not None:
            label += f" [{interval.rate.low:.2f}, {interval.rate.high:.2f}]"
            axes.fill_between(interval.grid, interval.low, interval.high, color=INK, alpha=0.13, linewidth=0)
        label += "\nwith a floor" if fit.floored else ""
        x = np.geomspace(law.curve.x.min(), law.curve.x.max(), 100)
        axes.plot(x, scaling.predict(fit, x), color=INK, linewidth=1.5, label=label)
        _errorbars(axes, points, panel.metric, INK, marker="o")
    else:
        _errorbars(axes, points, panel.metric, INK, marker="o", label="unpruned", line=len(points) > 1)


def _random(axes: Axes, panel: Panel) -> None:
    points = panel.points[panel.points["rule"] == "random"]
    if len(points):
        axes.plot(
            points["examples"], points[panel.metric], "o", markersize=4.2, markerfacecolor="none",
            markeredgecolor=COLOURS["random"], label="random",
        )  # fmt: skip


def _errorbars(
    axes: Axes, points: pd.DataFrame, metric: str, colour: str, *, marker: str, label: str = "", line: bool = False
) -> None:
    points = points[points[metric] > 0]
    if points.empty:
        return
    mean = points[metric].to_numpy(dtype=float)
    low = np.nan_to_num(mean - points[f"{metric}_low"].to_numpy(dtype=float))
    high = np.nan_to_num(points[f"{metric}_high"].to_numpy(dtype=float) - mean)
    axes.errorbar(
        points["examples"], mean, yerr=[np.minimum(low, 0.999 * mean), high], color=colour, marker=marker,
        markersize=4.6, linestyle="-" if line else "none", linewidth=1.5, elinewidth=1.0, label=label or None,
    )  # fmt: skip


def _ends(points: pd.DataFrame, metric: str) -> tuple[float, float]:
    """The range of the means and their intervals, at most a decade beyond the means on either side."""
    least, most = limits(points[metric].to_numpy(dtype=float), 1.0)
    low, high = (points.loc[points[metric] > 0, f"{metric}_{end}"].dropna() for end in ("low", "high"))
    return max(min([least, *low]), least / 10), min(max([most, *high]), 10 * most)


def _dodge(panel: Panel, place: int, number: int, *, beside: bool = False) -> float:
    """A factor that moves series at the same number of examples apart; `beside`: off the unpruned points too."""
    least, most = limits(panel.points["examples"].to_numpy(dtype=float), 1.25)
    step = place - (number - 1) / 2
    if beside and step >= 0:
        step += 1 if number % 2 else 0.5
    return float((most / least) ** (0.012 * step))


def _frame(axes: Axes, panel: Panel, *, left: float = 1.25) -> None:
    x = panel.points["examples"].to_numpy(dtype=float)
    low, high = limits(x, 1.25)
    log_axis(axes, "x", low * 1.25 / left, high, count_label)
    bare = (panel.points["rule"] == "random") & (panel.pools > 1)  # circles without bars
    bottom, top = _ends(panel.points[~bare], panel.metric)
    least, most = limits(panel.points[panel.metric].to_numpy(dtype=float), 1.0)
    bottom, top = min(bottom, least), max(top, most)
    below, above = max((top / bottom) ** (0.08 if panel.pools > 1 else 0.22), 1.01), max((top / bottom) ** 0.08, 1.01)
    text = panel.metric == "bits_per_byte"
    log_axis(axes, "y", bottom / below, top * above, (lambda value: f"{value:g}") if text else percent_label)
    axes.set_xlabel(EXAMPLES)
    axes.set_ylabel("test bits per byte" if text else "test error")


# ---- advantage over random -------------------------------------------------------------------------------------------


def _gain_by_pool(axes: Axes, panel: Panel, found: pd.DataFrame, rule: str, reach: tuple[float, float]) -> None:
    rows = found[found["rule"] == rule]
    keeps = sorted(rows["keep"].unique())
    for place, keep in enumerate(keeps):
        line = rows[rows["keep"] == keep].sort_values("pool")
        dodge = 1 + 0.035 * (place - (len(keeps) - 1) / 2)
        colour = shade(rule, place, len(keeps))
        _gains(axes, line["pool"].to_numpy(dtype=float) * dodge, line, colour, MARKERS[1 + place % 5], f"keep {keep:g}")
    pools = np.unique(found["pool"].to_numpy(dtype=float))
    low, high = limits(pools, 1.25)
    log_axis(axes, "x", low, high, count_label)
    if len(pools) < 8 and np.all(pools[1:] >= 1.5 * pools[:-1]):
        axes.set_xticks(pools)
    axes.set_xlabel("pool size before pruning (examples)")
    axes.set_ylim(*reach)
    zero_line(axes, panel.metric)
    legend_below(axes)


def _gain_by_keep(axes: Axes, panel: Panel, found: pd.DataFrame) -> None:
    keeps = sorted(found["keep"].unique())
    ends = []
    for place, rule in enumerate(panel.rules):
        line = found[found["rule"] == rule].sort_values("keep")
        if line.empty:
            continue
        dodge = 0.06 * (place - (len(panel.rules) - 1) / 2)
        _gains(axes, np.array([keeps.index(keep) + dodge for keep in line["keep"]]), line, COLOURS[rule], "o", "")
        ends.append((_factor(line) * float(line["effect"].iloc[0]), name_of(rule), COLOURS[rule]))
    axes.set_xlim(-0.45 - 0.22 * len(keeps), len(keeps) - 0.7)
    axes.set_xticks(range(len(keeps)), [f"{keep:g}" for keep in keeps])
    axes.set_xlabel("fraction kept")
    axes.set_ylim(*_reach(found))
    zero_line(axes, panel.metric)
    label_left(axes, -0.12, ends)


def gain_by_width(found: pd.DataFrame, rule: str, unit: str, axes: Axes) -> None:
    """Against width, a line a length of the schedule (in `unit`); where there is one width, a line against length."""
    across, by = ("width", "length") if found["width"].nunique() > 1 else ("length", "width")
    values = np.unique(found[across].to_numpy(dtype=float))
    lines = list(found[found["rule"] == rule].groupby(by, dropna=False, sort=True))
    for place, (name, line) in enumerate(lines):
        line = line.sort_values(across)
        dodge = (values[-1] / values[0]) ** (0.017 * (place - (len(lines) - 1) / 2))
        colour, label = shade(rule, len(lines) - 1 - place, len(lines)), f"{name:g} {unit}" if by == "length" else ""
        _gains(axes, line[across].to_numpy(dtype=float) * dodge, line, colour, MARKERS[place % len(MARKERS)], label)
    low, high = limits(values, 1.25)
    log_axis(axes, "x", low, high, count_label)
    if len(values) < 8:
        axes.set_xticks(values)
    axes.set_xlabel("width of the network" if across == "width" else f"length of the schedule ({unit})")
    axes.set_ylim(*_reach(found))
    zero_line(axes, str(found["metric"].iloc[0]))
    legend_below(axes)


def _gains(axes: Axes, x: Floats, line: pd.DataFrame, colour: str, marker: str, label: str) -> None:
    """Filled where the interval excludes 0, hollow where it does not."""
    effect, low, high = (_factor(line) * line[name].to_numpy(dtype=float) for name in ("effect", "low", "high"))
    bars = [np.nan_to_num(effect - low), np.nan_to_num(high - effect)]
    axes.errorbar(x, effect, yerr=bars, color=colour, linewidth=1.3, elinewidth=1.0, marker=marker, markersize=5,
                  label=label or None)  # fmt: skip
    hollow = (line["verdict"] == "undecided").to_numpy()
    axes.plot(x[hollow], effect[hollow], marker, markersize=4.2, color=CARD, markeredgecolor=colour, zorder=5)


def zero_line(axes: Axes, metric: str) -> None:
    axes.axhline(0, color=COLOURS["random"], linewidth=1.4, zorder=1)
    axes.set_ylabel("bits per byte saved" if metric == "bits_per_byte" else "accuracy gained (points)")


def _factor(found: pd.DataFrame) -> float:
    return 1.0 if (found["metric"] == "bits_per_byte").all() else 100.0


def _reach(found: pd.DataFrame) -> tuple[float, float]:
    """Limits that hold the intervals; those of two seeds are cut where they are far wider than the others."""
    factor = _factor(found)
    values = factor * found[["low", "high", "effect"]].to_numpy(dtype=float)
    some = values[found["n"] >= claims.SEEDS]
    largest = 3 * float(np.nanmax(np.abs(some))) if len(some) else np.inf
    largest = max(largest, float(np.abs(values[:, 2]).max()))
    low, high = max(float(np.nanmin(values)), -largest), min(float(np.nanmax(values)), largest)
    low, high = min(low, -1e-3 * factor), max(high, 1e-3 * factor)  # never an empty range
    return low - 0.08 * (high - low), high + 0.08 * (high - low)


# ---- what was kept ---------------------------------------------------------------------------------------------------


def _kept(axes: Axes, shown: pd.DataFrame, rule: str) -> None:
    place = np.arange(len(shown))
    axes.barh(place, 100 * shown["before"], height=0.78, color=COLOURS["random"], alpha=0.35, label="of the pool")
    axes.barh(place, 100 * shown["after"], height=0.36, color=COLOURS[rule], label="of what is kept")
    axes.set_yticks(place, [str(name)[:18] for name in shown["name"]])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share (%)")
    axes.set_xlim(0, 100 * 1.05 * max(shown["before"].max(), shown["after"].max()))
    legend_below(axes)


def _subtitle(panel: Panel) -> str:
    scorer = "" if panel.scorer == "none" else f" · {panel.scorer}"
    return f"{panel.setup}{scorer} · {BUDGETS[panel.budget]}"
