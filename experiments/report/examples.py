"""What was kept and what was dropped, of the largest pool and the smallest keep fraction: per class, and in person."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..store import Store
from .figures import kept_drawing
from .style import Drawing, name_of

SNIPPET = 240  # characters of a text example
GALLERIES = 8  # at most on a page


@dataclass(frozen=True, slots=True)
class Example:
    """One example as the page shows it."""

    picture: str  # data URI, or empty
    text: str
    words: str  # id, class and score


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
    pruned = runs[~runs["rule"].isin(["none", "random"])].drop_duplicates("prune")
    for _, group in pruned.groupby(["task", "label_noise", "selection", "balance", "rule"], sort=True):
        largest = group[group["pool"] == group["pool"].max()].sort_values("keep", kind="stable")
        yield {str(name): value for name, value in largest.iloc[0].items()}


def _example(row: pd.Series[Any]) -> Example:
    png, text = row.get("png"), row.get("text")
    picture = f"data:image/png;base64,{base64.b64encode(png).decode()}" if isinstance(png, bytes) and png else ""
    snippet = text if isinstance(text, str) else ""
    if len(snippet) > SNIPPET:
        snippet = snippet[:SNIPPET].rstrip() + "…"
    score = row.get("score")
    words = [str(row["name"] or ""), "" if score is None or pd.isna(score) else f"score {score:.3g}", str(row["id"])]
    return Example(picture, snippet, " · ".join(word for word in words if word and word != "None"))
