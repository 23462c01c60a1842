"""Examples to look at: the hardest with their labels, exact copies, and a draw of what each rule kept and dropped."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from ...figures.style import name_of
from ...store.folders import Store
from ..parts import Section, box, examples, heading, note
from .kept import smallest

SNIPPET = 240  # characters of a text example
GALLERIES = 8  # rules at most on a page
TEXTS = 6  # of a kind
KINDS = {
    "hardest": ("hardest, with labels", "the highest scores of the pool"),
    "copies": ("copies", "training examples that are byte for byte equal, side by side"),
    "kept": ("kept", "drawn at random among what the rule keeps"),
    "dropped": ("dropped", "drawn at random among what the rule drops"),
}  # what prune draws: its heading, and how it was drawn
HEAD = ("hardest", "copies")  # of a pool and a score, whatever the rule
WORDS = (
    "Of the largest pool and the smallest fraction kept, for one seed. {}. Under each: its label, its score and its "
    "file or number in the data."
)


def section(store: Store, runs: pd.DataFrame) -> Section | None:
    """Vectors are nothing to look at, and left out."""
    found = [
        (row, _drawn(rows))
        for row, rows in smallest(store, runs, "gallery.parquet")
        if rows["text"].notna().any() or rows["png"].notna().any()
    ]
    kinds = {kind for _, rows in found for kind in rows["drawn"]}
    told = "; ".join(f"{name}: {how}" for kind, (name, how) in KINDS.items() if kind in kinds)
    shown, seen = [note(WORDS.format(told[:1].upper() + told[1:]))], set[tuple[object, ...]]()
    for row, rows in found[:GALLERIES]:
        ranked = f"{row['task']}, {row['pool']:,.0f} examples by {row['scorer']}"
        key = (row["task"], row["label_noise"], row["selection"], row["pool"])
        if key not in seen and rows["drawn"].isin(HEAD).any():
            shown += [heading(ranked), box("pair", *_boxes(rows, HEAD))]
        seen.add(key)
        title = (
            f"{row['task']}: keep the {name_of(row['rule'])} {row['keep']:g} of {row['pool']:,.0f} by {row['scorer']}"
        )
        shown += [heading(title), box("pair", *_boxes(rows, ("kept", "dropped")))]
    if (more := len(found) - GALLERIES) > 0:
        shown.append(note(f"{more} more in the prune folders (gallery.parquet)."))
    return Section("Examples", shown) if found else None


def _drawn(rows: pd.DataFrame) -> pd.DataFrame:
    """Older folders have what was kept and dropped alone, and do not say so."""
    return rows if "drawn" in rows else rows.assign(drawn=rows["kept"].map({True: "kept", False: "dropped"}), of=None)


def _boxes(rows: pd.DataFrame, kinds: tuple[str, ...]) -> list[Markup]:
    boxes = []
    for kind in kinds:
        shown = [example(one) for _, one in rows[rows["drawn"] == kind].iterrows()]
        text = not any(one["picture"] for one in shown)
        if shown:
            own = shown[:TEXTS] if text else shown
            boxes.append(examples(KINDS[kind][0], own, text=text, pairs=kind == "copies"))
    return boxes


def example(row: Mapping[str, Any] | pd.Series[Any]) -> dict[str, str]:
    """One example as the page shows it: a picture or a text, and its class, score and id."""
    png, text = row.get("png"), row.get("text")
    picture = f"data:image/png;base64,{base64.b64encode(png).decode()}" if isinstance(png, bytes) and png else ""
    snippet = text if isinstance(text, str) else ""
    if len(snippet) > SNIPPET:
        snippet = snippet[:SNIPPET].rstrip() + "…"
    name = "" if row["name"] is None else str(row["name"])
    score = "" if pd.isna(row["score"]) else f"{row['score']:.3g}"
    of = row.get("of")
    copy = f"a copy of {of}" if isinstance(of, str) and of != row["id"] else ""
    words = " · ".join(filter(None, (name, score and f"score {score}", str(row["id"]), copy)))
    return {"picture": picture, "text": snippet, "name": name, "score": score, "words": words, "file": str(row["id"])}
