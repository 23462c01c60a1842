"""Every scorer and rule against random selection, in one table to sort."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from ...figures.style import in_order, name_of
from ...laws import claims
from ..parts import Cell, Section, note, table
from .layout import BUDGETS
from .single import CHANCE

WORDS = (
    "What each rule gains over as many random examples under the same budget, in {}. ▲ better, ▼ worse, ○ undecided "
    "(the interval holds 0, or there are fewer than 3 seeds). "
)
UNITS = {"accuracy": "points of accuracy", "bits_per_byte": "bits per byte saved"}
MARKS = {"better": "▲ ", "worse": "▼ ", "undecided": "○ "}
ROWS = {"place": "setting", "budget": "budget", "balance": "balance", "pool": "pool", "scorer": "scorer"}


def section(placed: pd.DataFrame, points: pd.DataFrame, guessing: Collection[str]) -> Section | None:
    """A row a setting, budget, pool and scorer; a column a rule and fraction kept."""
    found = placed[placed["verdict"] != "no random"]
    if len(found) < 2:
        return None
    at_chance = _at_chance(points, guessing)
    shown = [name for name in ROWS if name == "scorer" or found[name].nunique(dropna=False) > 1]
    columns = [
        (rule, float(str(keep)))
        for rule in in_order(found["rule"])
        for keep in sorted(found.loc[found["rule"] == rule, "keep"].unique(), reverse=True)
    ]
    rows = []
    for key, group in found.groupby(list(ROWS), sort=True, dropna=False):
        about = dict(zip(ROWS, key, strict=True))
        cells = {(row["rule"], float(row["keep"])): cell(row, at_chance) for _, row in group.iterrows()}
        rows.append([*(_word(name, about[name]) for name in shown), *(cells.get(one, "–") for one in columns)])
    head = [*(ROWS[name] for name in shown), *(f"{name_of(rule)} {keep:g}" for rule, keep in columns)]
    words = WORDS.format(" and ".join(UNITS[metric] for metric in UNITS if (found["metric"] == metric).any()))
    return Section("Every score and rule", [note(words + claims.caveat(placed)), table(head, rows)])


def cell(row: pd.Series[Any], at_chance: Collection[tuple[Any, ...]] = ()) -> Cell:
    """A comparison's gain, its interval and its verdict."""
    value = claims.describe(row).replace(" points", "").replace(" bits per byte", "")
    marked = CHANCE if tuple(row[name] for name in KEY) in at_chance else ""
    return Cell(MARKS[row["verdict"]] + value, row["verdict"], title=f"n = {row['n']}", small=marked)


KEY = ("setup", "label_noise", "selection", "balance", "budget", "pool", "rule", "keep")


def _at_chance(points: pd.DataFrame, guessing: Collection[str]) -> set[tuple[Any, ...]]:
    own = points[points["point"].isin(list(guessing))]
    return set(own[list(KEY)].itertuples(index=False, name=None))


def _word(name: str, value: Any) -> str:
    return BUDGETS[value] if name == "budget" else f"{value:,.0f}" if name == "pool" else f"{value}"
