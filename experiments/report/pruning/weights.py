"""What weighing the examples gains over uniform weights."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ...laws import claims
from ..parts import Section, cells, note
from ..table import cell
from .found import Found

WORDS = (
    "The same examples and settings, last epoch, test split; 95 % t intervals over seeds, paired by seed. Not equal "
    "compute: what a policy costs beside is not in it."
)
COLUMNS = ("policy", "task", "model", "rule", "keep", "label_noise", "pool", "budget")


def section(found: Found) -> Section | None:
    if found.policies.empty:
        return None
    return Section(
        "Gain over uniform weights", [note(WORDS), cells([_row(row) for _, row in found.policies.iterrows()])]
    )


def _row(row: pd.Series[Any]) -> dict[str, str]:
    shown = {name.replace("_", " "): cell(row[name]) for name in COLUMNS}
    shown["rule"] = "unpruned" if shown["rule"] == "none" else shown["rule"]
    shown["gain over uniform weights"] = claims.describe(row["effect"], row["low"], row["high"], row["metric"])
    return shown | {"n": str(row["n"]), "verdict": str(row["verdict"])}
