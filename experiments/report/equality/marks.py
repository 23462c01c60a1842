"""What the figures of searches share: colours of policies and subsets, levels of loss, words in an empty panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contracts import Floats
from ...contribution import findings
from ...figures.style import BLUE, GREEN, INK, MUTED, OCHRE, ORANGE, PURPLE, shade
from ...laws.intervals import mean_interval

CT, PHI, GAP = BLUE, ORANGE, GREEN
POLICIES = {
    "constant": INK, "found": ORANGE, "by loss": GREEN, "by gradient norm": OCHRE,
    "greedy by contribution": CT, "without the wrong labels": PURPLE,
}  # fmt: skip
LEVELS = (1.0, *findings.LEVELS)  # of the first target loss
MOST = 6  # settings drawn of those figures that show one a panel; the tables have all


def left_out(shown: Mapping[str, Any], every: Mapping[str, Any]) -> str:
    return f" Drawn: {len(shown)} of {len(every)} settings; the tables have all." if len(shown) < len(every) else ""


def colours(runs: pd.DataFrame) -> dict[str, str]:
    """A colour for each subset: its rule's, paler where less is kept."""
    found: dict[str, str] = {}
    for rule, group in runs.groupby("rule", sort=False):
        subsets = list(dict.fromkeys(group.sort_values("keep", ascending=False)["kept"]))
        found |= {kept: shade(str(rule), place, len(subsets)) for place, kept in enumerate(subsets)}
    return found


def say(axes: Axes, words: str) -> None:
    """Why a panel is empty."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=MUTED)


def level_ticks(axes: Axes, levels: Sequence[float]) -> None:
    axes.set_xticks(np.arange(len(levels)), ["start" if level == 1 else f"{100 * level:g} %" for level in levels])
    axes.set_xlabel("target loss, of that at the start")


def intervals(axes: Axes, places: Floats, values: Sequence[Any], colour: str, label: str) -> None:
    """Means with 95 % t intervals over seeds."""
    found = np.array([mean_interval(one.dropna().to_numpy(dtype=float)) for one in values]).reshape(-1, 4)
    reach = np.nan_to_num(np.abs(found[:, 2:] - found[:, :1]).T)
    axes.errorbar(places, found[:, 0], yerr=reach, color=colour, marker="o", linewidth=1.6, capsize=3, label=label)
