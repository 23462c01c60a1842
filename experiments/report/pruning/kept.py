"""What each rule kept and dropped of the largest pool, at the smallest keep fraction: by class, and some examples."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes

from ...figures.axes import legend_below
from ...figures.panels import Drawing, Figures
from ...figures.style import GREY, colour_of, name_of, selecting
from ..parts import Section, box, examples, grid, heading, note
from .found import Found
from .runs import named

WORDS = "The largest pool and the smallest keep fraction of each rule."
MOST = 12  # bars of one panel


def classes(found: Found) -> Section | None:
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
    axes.barh(place, 100 * shown["before"], height=0.78, color=GREY, alpha=0.35, label="of the pool")
    axes.barh(place, 100 * shown["after"], height=0.36, color=colour_of(rule), label="of what is kept")
    axes.set_yticks(place, [str(name)[:18] for name in shown["name"]])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share (%)")
    axes.set_xlim(0, 100 * 1.05 * max(shown["before"].max(), shown["after"].max()))
    legend_below(axes)


SNIPPET = 240  # characters of a text example
GALLERIES = 8  # at most on a page
TEXTS = 6  # of a dozen


@dataclass(frozen=True, slots=True)
class Example:
    """One example as the page shows it."""

    picture: str  # data URI, or empty
    text: str
    name: str  # of the class; empty for text
    score: str
    words: str  # class, score and id


def gallery(found: Found) -> Section | None:
    """A dozen kept and a dozen dropped by each rule."""
    parts = []
    for row in smallest(found.runs):
        path = found.store.path("prune", row["prune"]) / "gallery.parquet"
        if path.exists():
            parts.append(_gallery(row, pd.read_parquet(path)))
    shown, more = [one for pair in parts[:GALLERIES] for one in pair], len(parts) - GALLERIES
    shown += [note(f"{more} more in the prune folders (gallery.parquet).")] if more > 0 else []
    return Section("Examples kept and dropped", shown) if parts else None


def _gallery(row: dict[str, Any], rows: pd.DataFrame) -> tuple[Markup, Markup]:
    both = {
        name: [_example(one) for _, one in rows[rows["kept"] == kept].iterrows()]
        for name, kept in (("kept", True), ("dropped", False))
    }
    title = f"{row['task']}: keep the {name_of(row['rule'])} {row['keep']:g} of {row['pool']:,.0f} by {row['scorer']}"
    text = not any(one.picture for side in both.values() for one in side)
    sides = (examples(name, side[:TEXTS] if text else side, text=text) for name, side in both.items())
    return heading(title), box("pair", *sides)


def smallest(runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The runs of the smallest selection of each rule from its largest pool, one each."""
    runs = named(runs)
    pruned = runs[~runs["rule"].isin(["none", "random"])].drop_duplicates("prune")
    rules = selecting(pruned["rule"])
    for _, same in pruned.groupby(["task", "label_noise", "selection", "balance"], sort=True):
        for rule in rules:
            group = same[same["rule"] == rule]
            largest = group[group["pool"] == group["pool"].max()].sort_values("keep", kind="stable")
            if len(largest):
                yield {str(name): value for name, value in largest.iloc[0].items()}


def _example(row: pd.Series[Any]) -> Example:
    png, text = row.get("png"), row.get("text")
    picture = f"data:image/png;base64,{base64.b64encode(png).decode()}" if isinstance(png, bytes) and png else ""
    snippet = text if isinstance(text, str) else ""
    if len(snippet) > SNIPPET:
        snippet = snippet[:SNIPPET].rstrip() + "…"
    name = "" if row["name"] is None else str(row["name"])
    score = "" if pd.isna(row["score"]) else f"{row['score']:.3g}"
    words = " · ".join(word for word in (name, score and f"score {score}", str(row["id"])) if word)
    return Example(picture, snippet, name, score, words)
