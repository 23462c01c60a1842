"""Every point and every run, as tables to sort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ...figures.style import UNPRUNED
from ...laws.intervals import worded
from ..parts import Section, cells, details
from ..table import cell
from .found import Found
from .runs import named

COLUMNS = (
    "task", "model", "width", "policy", "rule", "scorer", "keep", "balance", "label_noise", "pool", "examples",
    "budget",
)  # fmt: skip  # of a point and of a run
METRICS = {
    "accuracy": "accuracy, last epoch",
    "accuracy_best": "accuracy, best dev epoch",
    "bits_per_byte": "bits per byte, last epoch",
    "shifted_bits_per_byte": "bits per byte of the second text, last epoch",
}


def section(found: Found) -> Section:
    points = [_point(row) for _, row in named(found.points).iterrows()]
    runs = [_run(row) for _, row in named(found.runs).iterrows()]
    summary = f"{len(points)} points: means and 95 % t intervals over seeds"
    return Section("Points and runs", [details(summary, cells(points)), details(f"{len(runs)} runs", cells(runs))])


def setting(row: pd.Series[Any], columns: Sequence[str]) -> dict[str, str]:
    """Some settings of a row as words."""
    shown = {name.replace("_", " "): cell(row[name]) for name in columns}
    return shown | {"rule": "unpruned" if row["rule"] == UNPRUNED else row["rule"]}


def _run(row: pd.Series[Any]) -> dict[str, str]:
    shown = setting(row, (*COLUMNS, "seed", "steps", "epochs"))
    shown |= {words: "" if pd.isna(row[name]) else f"{row[name]:.4f}" for name, words in METRICS.items() if name in row}
    return shown | {"seconds": cell(round(row["seconds"], 1)), "evaluate": str(row["evaluate"])}


def _point(row: pd.Series[Any]) -> dict[str, str]:
    shown = setting(row, COLUMNS) | {"n": f"{row['n']}{' (few)' if row['few'] else ''}"}
    for name, words in METRICS.items():
        if name in row:
            mean, low, high = (row[one] for one in (name, f"{name}_low", f"{name}_high"))
            shown[words] = "" if pd.isna(mean) else worded(mean, low, high, ".4f")
    return shown
