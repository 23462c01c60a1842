"""What each rule kept of the largest pool, at the smallest keep fraction: by class, and by group of task.group."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import legend_below
from ...figures.panels import Drawing, Figures
from ...figures.style import GREY, colour_of, name_of, selecting
from ...store.folders import Store
from ..parts import Section, grid, note
from .runs import named

WORDS = "The largest pool and the smallest keep fraction of each rule, for one seed. One scale for all of a data set."
MOST = 12  # bars of one panel


def classes(store: Store, runs: pd.DataFrame) -> Section | None:
    """Shares of classes and groups before and after pruning, a drawing for each rule; none for text without groups."""
    kept = [one for file in ("classes.parquet", "groups.parquet") for one in smallest(store, runs, file)]
    most: dict[str, float] = {}  # a task's largest share, before or after pruning
    for row, shares in kept:
        most[row["task"]] = max(most.get(row["task"], 0), *(float(share.max()) for share in _shares(shares)))
    drawings = [_drawing(row, shares, most[row["task"]]) for row, shares in kept]
    figures = Figures("kept", "What was kept of each class or group", WORDS, drawings)
    shown = [note(WORDS), grid(drawings, figures.name)]
    return Section(figures.heading, shown, [figures]) if drawings else None


def _shares(classes: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """Each class's share of the pool, and of what was kept."""
    return classes["pool"] / classes["pool"].sum(), classes["kept"] / classes["kept"].sum()


def _drawing(row: pd.Series[Any], classes: pd.DataFrame, most: float) -> Drawing:
    """Each class's share of the pool (grey) and of what was kept (colour); the most changed where there are many."""
    before, after = _shares(classes)
    changed = (after - before).abs().sort_values(ascending=False, kind="stable").index[:MOST]
    shares = classes.assign(before=before, after=after)
    shown = shares.loc[shares.index.isin(changed)].iloc[::-1]
    more = "" if len(shares) <= MOST else f", the {MOST} most changed of {len(shares)}"
    title = f"{name_of(row['rule']).capitalize()}, keep {row['keep']:g}"
    subtitle = f"{row['task']} · {row['scorer']} · pool of {row['pool']:,.0f}{more}"
    words = f"share of each class or group in the pool and in what rule {row['rule']} keeps"
    return Drawing(title, subtitle, words, partial(_kept, shown, most, colour_of(row["rule"])), 3.6, classes)


def _kept(shown: pd.DataFrame, most: float, colour: str, axes: Axes) -> None:
    place = np.arange(len(shown))
    axes.barh(place, 100 * shown["before"], height=0.78, color=GREY, alpha=0.35, label="of the pool")
    axes.barh(place, 100 * shown["after"], height=0.36, color=colour, label="of what is kept")
    axes.set_yticks(place, [str(name)[:18] for name in shown["name"]])
    axes.set(xlabel="share (%)", xlim=(0, 100 * 1.05 * most), ylim=(-0.6, len(shown) - 0.4))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    legend_below(axes)


def smallest(store: Store, runs: pd.DataFrame, file: str) -> Iterator[tuple[pd.Series[Any], pd.DataFrame]]:
    """A run of the smallest selection of each rule from its largest pool, and a table of that selection."""
    runs = named(runs)
    pruned = runs[(runs["rule"] != "random") & (runs["prune"] != "")].drop_duplicates("prune")  # policies prune nothing
    for _, same in pruned.groupby(["task", "label_noise", "selection", "balance"], sort=True):
        for rule in selecting(same["rule"]):
            group = same[same["rule"] == rule]
            row = group[group["pool"] == group["pool"].max()].sort_values("keep", kind="stable").iloc[0]
            folder = store.get("prune", row["prune"])
            if (folder.path / file).exists():
                yield row, folder.table(file)
