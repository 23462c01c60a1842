"""Error against training examples: a panel a rule, the power law of unpruned pools, and the lower envelope."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import label_left, legend_below, limits, log_axis
from ...figures.panels import Drawing
from ...figures.style import GREEN, GREY, INK, MARKERS, PURPLE, colour_of, count_label, name_of, percent_label, shade
from ...laws import scaling
from ..parts import Section, box, count, drawing, heading, note
from ..recorded import fact
from .found import Found
from .laws import Law, Panel
from .layout import answers, grouped, label, records, subtitle

WORDS = (
    "Both axes logarithmic. Points are means over seeds, bars 95 % t intervals; last epoch's model, test split. Series "
    "at the same number of examples stand slightly apart."
)
FITTED = (
    " The dark line is the power law fitted to unpruned pools (exponent a), its band the 95 % bootstrap interval over "
    "seeds. Open grey circles: random selection under the same budget. The lower envelope is the least error over pool "
    "sizes, score-based rules and keep fractions (1 included); it picks the luckiest points, and the bootstrap picks "
    "again in every replicate."
)


def section(found: Found) -> Section:
    parts = [note(WORDS + FITTED if any(panel.fitted for panel in found.panels) else WORDS)]
    for title, group in grouped(found.panels):
        shown = [(one, f"s{place}-{number}") for place, panel in group for number, one in enumerate(drawings(panel))]
        parts += [heading(title), box("grid", *(drawing(one, prefix) for one, prefix in shown))]
        parts += [note(_words(panel)) for _, panel in group]
    return Section("Error against training examples", parts, records("scaling", found.panels, drawings))


def _words(panel: Panel) -> str:
    seeds = sorted(panel.points["n"].unique())
    number = count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    said = f"{label(panel)}, {number} a point."
    return f"{said} {answers(panel)}" if panel.fitted else said


def drawings(panel: Panel) -> list[Drawing]:
    """Error against number of examples: a drawing a rule and one of the envelope, or one of all for a single pool."""
    under = subtitle(panel)
    if panel.pools == 1 or not panel.rules:
        words = f"test error against training examples, {panel.title}"
        return [Drawing("Error against examples", under, words, lambda axes: _one_pool(axes, panel))]
    found = [
        Drawing(
            f"Keep the {name_of(rule)}" if fact("rule", rule, "label") else f"Keep {rule}", under,
            f"test error against training examples for rule {rule}, {panel.title}",
            lambda axes, rule=rule: _rule(axes, panel, rule),  # type: ignore[misc]
        )
        for rule in panel.rules
    ]  # fmt: skip
    if panel.envelope is not None:
        law = panel.envelope
        words = f"lower envelope of test error over pool sizes and keep fractions, {panel.title}"
        found.append(Drawing("Lower envelope", under, words, lambda axes: _envelope(axes, panel, law)))
    return found


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
            points["examples"], points[panel.metric], "o", color=colour_of(rule), markersize=2.6, alpha=0.75,
            label=name_of(rule),
        )  # fmt: skip
    axes.plot(law.curve.x, law.curve.y, "o", markersize=8.5, markerfacecolor="none", markeredgecolor=INK,
              markeredgewidth=1.1, label="on the envelope")  # fmt: skip
    families = (
        (law.comparison.power, law.power, (0, (5, 2)), PURPLE),
        (law.comparison.exponential, law.exponential, (0, (1, 1.2)), GREEN),
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
        axes.plot(line["examples"], line[panel.metric], color=colour_of(rule), linewidth=1.6)
        _errorbars(axes, line[line["rule"] == rule], panel.metric, colour_of(rule), marker="o")
        ends.append((float(line[panel.metric].iloc[0]), name_of(rule), colour_of(rule)))
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
            markeredgecolor=GREY, label="random",
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
    axes.set_xlabel("training examples")
    axes.set_ylabel("test bits per byte" if text else "test error")
