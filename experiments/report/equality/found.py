"""What the sections of a page on policy searches are drawn from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...laws import claims
from ...store.folders import Folder

Settings = dict[tuple[str, str], list[Folder]]  # (setup, what is kept) -> a folder a seed


@dataclass(frozen=True, slots=True)
class Found:
    """Searches, and the rows of the page's tables."""

    folders: Sequence[Folder]
    runs: pd.DataFrame
    settings: Settings
    outcomes: list[claims.Outcome]
    forms: list[dict[str, Any]]  # of the Learning Law
    subsets: list[dict[str, Any]]
    laws: list[dict[str, Any]]  # of the loss curves
    sources: dict[str, pd.DataFrame]  # of settings with several sources: a row for each policy, step, source and seed

    @property
    def named(self) -> dict[str, list[Folder]]:
        """The settings by what a reader tells them apart by."""
        subsets_differ = len({kept for _, kept in self.settings}) > 1
        return {", ".join(key if subsets_differ else key[:1]): group for key, group in self.settings.items()}

    def first(self, number: int) -> dict[str, list[Folder]]:
        """Some of the settings, first those in which nothing is pruned."""
        ordered = sorted(self.named.items(), key=lambda item: "prune" in item[1][0].record["inputs"])
        return dict(ordered[:number])

    @property
    def pruned(self) -> list[tuple[str, pd.DataFrame]]:
        """The runs of each setup of which several subsets were searched on."""
        groups = self.runs.groupby("setup", sort=False)
        return [(str(setup), group) for setup, group in groups if group["kept"].nunique() > 1]


def warnings(found: Found) -> Iterator[str]:
    """What a reader should know first."""
    runs, settings = found.runs, found.settings
    few = sum(len(group) < claims.SEEDS for group in settings.values())
    if few:
        yield f"{few} of {len(settings)} settings have fewer than {claims.SEEDS} seeds: they decide nothing."
    said = [str(one) for folder in found.folders for one in folder.record.get("derived") or []]
    told = Counter(re.sub(r"\d+", "…", one.removeprefix("warning: ")) for one in said if one.startswith("warning: "))
    for words, number in told.items():
        yield f"In {number} of {len(runs)} runs: {words}."
    if (runs["search.epochs"] == 0).any():
        yield "Some runs searched nothing (search.epochs=0): their found policy is the constant one."
    going = int(((runs["best_epoch"] == runs["search.epochs"]) & (runs["search.epochs"] > 0)).sum())
    if going:
        yield f"In {going} of {len(runs)} runs the search was still improving at its last outer epoch: search.epochs."
