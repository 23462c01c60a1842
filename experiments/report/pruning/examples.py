"""Examples kept and dropped by each rule, of the largest pool and the smallest keep fraction."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from ...figures.style import COLOURS, name_of
from ..parts import Section, box, examples, heading, note
from .found import Found
from .runs import named

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


def section(found: Found) -> Section | None:
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
    rules = [rule for rule in COLOURS if (pruned["rule"] == rule).any()]
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
