"""What was kept and what was dropped, of the largest pool and the smallest keep fraction: per class, and in person."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..figures.style import COLOURS, Drawing, name_of
from ..store.folders import Store
from .figures import kept_drawing
from .table import named

SNIPPET = 240  # characters of a text example
GALLERIES = 8  # at most on a page


@dataclass(frozen=True, slots=True)
class Example:
    """One example as the page shows it."""

    picture: str  # data URI, or empty
    text: str
    name: str  # of the class; empty for text
    score: str
    words: str  # class, score and id


@dataclass(frozen=True, slots=True)
class Gallery:
    """A dozen kept and a dozen dropped by one rule."""

    title: str
    kept: list[Example]
    dropped: list[Example]
    text: bool


def kept_classes(store: Store, runs: pd.DataFrame) -> list[Drawing]:
    """Shares of the classes before and after pruning, a drawing for each rule; none for text."""
    drawings = []
    for row in _shown(runs):
        path = store.path("prune", row["prune"]) / "classes.parquet"
        if path.exists():
            subtitle = f"{row['task']} · {row['scorer']} · pool of {row['pool']:,.0f}"
            drawings.append(kept_drawing(pd.read_parquet(path), row["rule"], row["keep"], subtitle))
    return drawings


def galleries(store: Store, runs: pd.DataFrame) -> tuple[list[Gallery], int]:
    """The galleries, and how many more there are in the store's folders."""
    found = []
    for row in _shown(runs):
        path = store.path("prune", row["prune"]) / "gallery.parquet"
        if not path.exists():
            continue
        rows = pd.read_parquet(path)
        examples = {kept: [_example(one) for _, one in rows[rows["kept"] == kept].iterrows()] for kept in (True, False)}
        title = (
            f"{row['task']}: keep the {name_of(row['rule'])} {row['keep']:g} of {row['pool']:,.0f} by {row['scorer']}"
        )
        text = not any(one.picture for one in examples[True] + examples[False])
        found.append(Gallery(title, examples[True], examples[False], text))
    return found[:GALLERIES], max(0, len(found) - GALLERIES)


def _shown(runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
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
