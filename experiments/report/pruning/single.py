"""A single pool size: what each rule and score reaches, and gains over random, as dot plots on one scale a setup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from ...figures import dots
from ...figures.axes import percent
from ...figures.dots import Dot
from ...figures.panels import Drawing
from ...figures.style import GREY, INK, colour_of, in_order, name_of
from ...laws.intervals import worded
from .layout import BUDGETS, Panel

LONGEST = 26  # letters of a scorer's name beside the axis
CHANCE = "at chance"
GAINED = {"accuracy": "points of accuracy gained", "bits_per_byte": "bits per byte saved"}
Place = tuple[str, float]  # budget, keep


def reached(panels: Sequence[Panel]) -> list[Drawing]:
    """Accuracy, or bits per byte, of every rule and score: a drawing for each budget and fraction kept."""
    found = {place: list(_reached(panels, *place)) for place in _places(panels)}
    full = panels[0].points[panels[0].points["rule"] == "none"]
    line = None if full.empty else _ends(full.iloc[0], panels[0].metric)
    words = "test bits per byte" if panels[0].metric == "bits_per_byte" else "test accuracy (%)"
    name = words.partition(" (")[0].removeprefix("test ").capitalize()
    return _drawings(panels, found, words, name, partial(_unpruned, line), *(line or ()))


def gained(panels: Sequence[Panel]) -> list[Drawing]:
    """The gain of every rule and score over random: a drawing for each budget and fraction kept."""
    found = {place: list(_gained(panels, *place)) for place in _places(panels)}
    return _drawings(panels, found, GAINED[measured(panels[0].metric)], "Gain over random", _zero, 0.0)


def draw_gains(rows: Sequence[Dot], limits: tuple[float, float], metric: str, axes: Axes) -> None:
    _draw(rows, limits, GAINED[metric], _zero, axes)


def _drawings(
    panels: Sequence[Panel], found: Mapping[Place, list[tuple[Dot, dict[str, Any]]]], words: str, name: str,
    line: Any, *more: float,
) -> list[Drawing]:  # fmt: skip
    shown = {place: rows for place, rows in found.items() if rows}
    if not shown:
        return []
    limits = dots.reach([dot for rows in shown.values() for dot, _ in rows], *more)
    height = dots.height(max(map(len, shown.values())))
    several = len({budget for budget, _ in shown}) > 1
    return [
        Drawing(
            f"{name}, keep {keep:g}",
            f"{panels[0].setup} · {BUDGETS[budget]}",
            f"{words} of each rule and score, keep {keep:g}{f', {BUDGETS[budget]}' if several else ''}: "
            + "; ".join(dot.words for dot, _ in rows),
            partial(_draw, [dot for dot, _ in rows], limits, words, line),
            height,
            pd.DataFrame([row for _, row in rows]),
        )
        for (budget, keep), rows in shown.items()
    ]


def _draw(rows: Sequence[Dot], limits: tuple[float, float], words: str, line: Any, axes: Axes) -> None:
    line(axes)
    dots.draw(axes, rows, limits=limits, words=words)


def _zero(axes: Axes) -> None:
    axes.axvline(0, color=GREY, linewidth=1.4, zorder=1)


def _unpruned(line: tuple[float, float, float] | None, axes: Axes) -> None:
    if line is None:
        return
    axes.axvline(line[0], color=INK, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
    axes.axvspan(line[1], line[2], color=INK, alpha=0.08, linewidth=0)
    axes.annotate("unpruned", (line[0], 1), (0, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
                  ha="center", fontsize=7.5)  # fmt: skip


def _places(panels: Sequence[Panel]) -> list[Place]:
    points = pd.concat([panel.points for panel in panels])
    pruned = points[points["rule"] != "none"]
    pairs = pruned[["budget", "keep"]].drop_duplicates().sort_values(["budget", "keep"], ascending=[True, False])
    return [(str(budget), float(keep)) for budget, keep in pairs.itertuples(index=False)]


def _rows(panels: Sequence[Panel], budget: str, keep: float) -> Iterator[tuple[Panel, pd.Series[Any], str]]:
    """Each point once, with what its row is called: random first, then rule by rule."""
    here = [(panel, panel.points[(panel.points["keep"] == keep) & (panel.points["budget"] == budget)])
            for panel in panels]  # fmt: skip
    rules, seen = in_order({rule for _, points in here for rule in points["rule"]} - {"none"}), set[str]()
    several = len({panel.scorer for panel in panels}) > 1
    for rule in rules:
        for panel, points in here:
            for _, row in points[points["rule"] == rule].iterrows():
                if row["point"] not in seen:
                    seen.add(row["point"])
                    by = panel.scorer if several and row["scorer"] != "none" else ""
                    short = by if len(by) <= LONGEST else by[: LONGEST - 1] + "…"
                    yield panel, row, " · ".join(filter(None, [name_of(rule), short]))


def _reached(panels: Sequence[Panel], budget: str, keep: float) -> Iterator[tuple[Dot, dict[str, Any]]]:
    for panel, row, name in _rows(panels, budget, keep):
        guessing, metric = row["point"] in panel.guessing, measured(panel.metric)
        value, low, high = _ends(row, panel.metric)
        factor = percent(metric)
        own = panel.runs[panel.runs["point"] == row["point"]]
        seeds = {int(seed): factor * float(one) for seed, one in zip(own["seed"], own[metric], strict=True)}
        said = worded(value, low, high, ".1f" if factor > 1 else ".3f", " %" if factor > 1 else "")
        words = f"{name}, keep {keep:g}: {said}, {row['n']} seeds{f', {CHANCE}' if guessing else ''}"
        label = f"{name} ({CHANCE})" if guessing else name
        data = _data(panel, row) | {metric: row[metric], "low": row[f"{metric}_low"], "high": row[f"{metric}_high"]}
        yield Dot(label, value, low, high, colour_of(row["rule"]), words, guessing, seeds), data | {CHANCE: guessing}


def _gained(panels: Sequence[Panel], budget: str, keep: float) -> Iterator[tuple[Dot, dict[str, Any]]]:
    for panel, point, name in _rows(panels, budget, keep):
        here = panel.advantage[(panel.advantage["rule"] == point["rule"]) & (panel.advantage["keep"] == keep)]
        here = here[here["verdict"] != "no random"]
        if here.empty:
            continue
        row, metric = here.iloc[0], measured(panel.metric)
        factor, sign = percent(metric), -1 if panel.metric == "bits_per_byte" else 1
        guessing = point["point"] in panel.guessing
        value, low, high = (factor * float(row[end]) for end in ("effect", "low", "high"))
        random = panel.runs[(panel.runs["rule"] == "random") & (panel.runs["keep"] == keep)]
        own = panel.runs[panel.runs["point"] == point["point"]]
        apart = sign * factor * (own.groupby("seed")[metric].mean() - random.groupby("seed")[metric].mean()).dropna()
        said = worded(value, low, high, "+.1f" if factor > 1 else "+.3f", " points" if factor > 1 else "")
        marked = f", {CHANCE}" if guessing else ""
        words = f"{name}, keep {keep:g}: {said} against random, {row['n']} seeds, {row['verdict']}{marked}"
        label = f"{name} ({CHANCE})" if guessing else name
        seeds = {int(str(seed)): float(one) for seed, one in apart.items()}
        data = (
            _data(panel, point) | {one: row[one] for one in ("effect", "low", "high", "verdict")} | {CHANCE: guessing}
        )
        yield Dot(label, value, low, high, colour_of(row["rule"]), words, row["verdict"] == "undecided", seeds), data


def measured(metric: str) -> str:
    """What is shown of a panel's metric: accuracy in place of its error."""
    return "accuracy" if metric == "error" else metric


def _ends(row: pd.Series[Any], metric: str) -> tuple[float, float, float]:
    name = measured(metric)
    value, low, high = (percent(name) * float(row[one]) for one in (name, f"{name}_low", f"{name}_high"))
    return value, low, high


def _data(panel: Panel, row: pd.Series[Any]) -> dict[str, Any]:
    names = ("task", "model", "rule", "keep", "pool", "budget", "n")
    return {name: row[name] for name in names} | {"scorer": panel.scorer if row["scorer"] != "none" else "none"}
