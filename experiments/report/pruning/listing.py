"""Every point and every run, as tables to sort."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ..parts import Section, cells, details
from ..table import cell
from .found import Found
from .runs import named

ACCURACIES = (("accuracy", "accuracy, last epoch"), ("accuracy_best", "accuracy, best dev epoch"))
COLUMNS = (
    "task", "model", "width", "policy", "rule", "scorer", "keep", "balance", "label_noise", "pool", "examples",
    "budget",
)  # fmt: skip  # of a point and of a run
BITS = (
    ("bits_per_byte", "bits per byte, last epoch"),
    ("shifted_bits_per_byte", "bits per byte of the second text, last epoch"),
)


def section(found: Found) -> Section:
    points = [_point(row) for _, row in named(found.points).iterrows()]
    runs = [_run(row) for _, row in named(found.runs).iterrows()]
    summary = f"{len(points)} points: means and 95 % t intervals over seeds"
    return Section("Points and runs", [details(summary, cells(points)), details(f"{len(runs)} runs", cells(runs))])


def _run(row: pd.Series[Any]) -> dict[str, str]:
    shown = {name.replace("_", " "): cell(row[name]) for name in (*COLUMNS, "seed", "steps", "epochs")}
    shown["rule"] = "unpruned" if shown["rule"] == "none" else shown["rule"]
    for name, words in (*ACCURACIES, *BITS):
        if name in row.index:
            shown[words] = "" if pd.isna(row[name]) else f"{row[name]:.4f}"
    return shown | {"seconds": cell(round(row["seconds"], 1)), "evaluate": str(row["evaluate"])}


def _point(row: pd.Series[Any]) -> dict[str, str]:
    shown = {name.replace("_", " "): cell(row[name]) for name in COLUMNS}
    shown["rule"] = "unpruned" if shown["rule"] == "none" else shown["rule"]
    shown["n"] = f"{row['n']}{' (few)' if row['few'] else ''}"
    for name, words in (*ACCURACIES, *BITS):
        if name in row.index:
            ends = "" if pd.isna(row[f"{name}_low"]) else f" [{row[f'{name}_low']:.4f}, {row[f'{name}_high']:.4f}]"
            shown[words] = "" if pd.isna(row[name]) else f"{row[name]:.4f}{ends}"
    return shown
