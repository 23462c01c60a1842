"""What a search gains and how equal contributions are, by what is kept, against random subsets of the same size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..parts import Section, cells, note
from .changes import Change, change, column, interval, signed, worded
from .found import Found

WORDS = (
    "Gain: the share of the constant policy's area that the found one saves, on the held-out part and on the target "
    "set that the search looked at: where they differ much, it learnt the target by heart. ESS and signal as above, "
    "under the constant policy when the target loss first falls to the level. Late: in the run's second half; 0.25 "
    "under the constant policy. Differences are paired by seed."
)
LEVELS = (0.5, 0.75)  # of the first target loss, the first of them that every run of a setup reached


def section(found: Found) -> Section:
    return Section("What a search gains, by what is kept", [note(WORDS), cells(worded(found.subsets))])


def rows(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each setting: what a search gains, how equal phi is, and both against a random subset of the size."""
    found = []
    for setup, group in runs.groupby("setup", sort=False):
        reached = [level for level in LEVELS if column(group, f"constant_phi_ess@{level:g}").notna().all()]
        level = reached[0] if reached else math.nan
        for kept, own in group.groupby("kept", sort=False):
            random = group[(group["rule"] == "random") & (group["keep"] == own["keep"].iloc[0])]
            control = random if own["rule"].iloc[0] not in ("none", "random") else random[:0]
            ess, gain = (_against(own, control, name) for name in (f"constant_phi_ess@{level:g}", "gain"))
            found.append(
                {
                    "setting": setup,
                    "kept": kept,
                    "gain, held out": interval(own["gain"]),
                    "gain, target itself": interval(column(own, "target_gain")),
                    "late weight on the hardest quarter": interval(column(own, "late_mass_hardest")),
                    "level": f"{100 * level:g} %" if reached else "none reached",
                    "ESS of φ": interval(column(own, f"constant_phi_ess@{level:g}")),
                    "signal of φ": interval(column(own, f"constant_phi_signal@{level:g}")),
                    "ESS minus random's": signed(ess),
                    "gain minus random's": signed(gain),
                    "changes": {"ess": ess, "gain": gain},
                }
            )
    return found


def pruned(rows: Sequence[dict[str, Any]]) -> str:
    """How often choosing by score made phi more equal than a random choice did; nothing where none was compared."""
    signs = [row["changes"]["ess"].sign for row in rows if row["changes"]["ess"].n]
    if not signs:
        return ""
    return (
        f"Against random subsets of the same size, at equal loss and under the constant policy, φ is more equal (ESS) "
        f"in {signs.count(1)} and less equal in {signs.count(-1)} of {len(signs)} subsets chosen by score."
    )


def _against(own: pd.DataFrame, control: pd.DataFrame, name: str) -> Change:
    first, second = (column(side, name).set_axis(side["seed"]) for side in (own, control))
    return change(first, second)
