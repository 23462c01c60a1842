"""What was kept of each class, of the largest pool and the smallest keep fraction of each rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import legend_below
from ...figures.panels import Drawing, Figures
from ...figures.style import COLOURS, name_of
from ..parts import Section, grid, note
from .examples import smallest
from .found import Found

WORDS = "The largest pool and the smallest keep fraction of each rule."
MOST = 12  # bars of one panel


def section(found: Found) -> Section | None:
    """Shares of the classes before and after pruning, a drawing for each rule; none for text."""
    drawings = []
    for row in smallest(found.runs):
        path = found.store.path("prune", row["prune"]) / "classes.parquet"
        if path.exists():
            under = f"{row['task']} · {row['scorer']} · pool of {row['pool']:,.0f}"
            drawings.append(_drawing(pd.read_parquet(path), row["rule"], row["keep"], under))
    figures = Figures("kept", "What was kept of each class", WORDS, drawings)
    shown = [note(WORDS), grid(drawings, figures.name, height=3.6)]
    return Section(figures.heading, shown, [figures]) if drawings else None


def _drawing(classes: pd.DataFrame, rule: str, keep: float, subtitle: str) -> Drawing:
    """Each class's share of the pool (grey) and of what was kept (colour); the most changed where there are many."""
    before, after = (classes[name] / classes[name].sum() for name in ("pool", "kept"))
    shares = classes.assign(before=before, after=after)
    changed = (shares["after"] - shares["before"]).abs().sort_values(ascending=False, kind="stable").index[:MOST]
    shown = shares.loc[shares.index.isin(changed)].iloc[::-1]
    more = "" if len(shares) <= MOST else f", the {MOST} most changed of {len(shares)} classes"
    title = f"{name_of(rule).capitalize()}, keep {keep:g}"
    words = f"share of each class in the pool and in what rule {rule} keeps"
    return Drawing(title, subtitle + more, words, lambda axes: _kept(axes, shown, rule))


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
