"""Whether pruning first makes contributions equal, and what searching still gains over uniform weights then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import legend_below
from ...figures.panels import Drawing, Figures
from ...figures.style import INK
from ..parts import Section, cells, note, shown
from .changes import Change, change, column, interval, signed, worded
from .found import Found
from .marks import LEVELS, colours, intervals, level_ticks, say

EQUAL = (
    "Means and 95 % t intervals over seeds, at equal loss, under the constant policy; 1 is all equal. ESS: the share "
    "of the examples that would carry as much, were their positive φ equal. Signal: the mean's square over the mean "
    "square. A random subset of the same size is the control. Levels that a run did not reach are left out."
)


def equal(found: Found) -> Section | None:
    drawings = [one for setup, group in found.pruned for one in drawn(setup, group, colours(group))]
    figures = Figures("subsets", "Does pruning first make contributions equal?", EQUAL, drawings, columns=2)
    return shown(figures) if drawings else None


def drawn(setup: str, runs: pd.DataFrame, shades: Mapping[str, str]) -> list[Drawing]:
    return [
        Drawing("How equal is φ? (ESS)", setup, f"ESS of phi by level, {setup}",
                partial(_levels, runs, shades, "ess", "effective share of the examples")),
        Drawing("How equal is φ? (signal)", setup, f"signal by level, {setup}",
                partial(_levels, runs, shades, "signal", "mean² / mean square")),
    ]  # fmt: skip


def _levels(runs: pd.DataFrame, shades: Mapping[str, str], name: str, words: str, axes: Axes) -> None:
    names = {level: f"constant_phi_{name}@{level:g}" for level in LEVELS[1:]}
    levels = [level for level, metric in names.items() if metric in runs and runs[metric].notna().all()]
    subsets = [kept for kept in shades if (runs["kept"] == kept).any()]
    for place, kept in enumerate(subsets):
        own = runs[runs["kept"] == kept]
        shift = 0.08 * (place - (len(subsets) - 1) / 2)
        intervals(
            axes,
            shift + np.arange(len(levels), dtype=np.float64),
            [own[names[level]] for level in levels],
            shades[kept],
            kept,
        )
    level_ticks(axes, levels)
    if not levels:
        axes.set_yticks([])
        say(axes, "some run does not fall to 75 % of its first loss:\nthere is no equal loss to compare at")
    axes.set_ylabel(words)
    legend_below(axes)


GAINS = (
    "What the found policy takes off the area under the held-out loss, by what is kept; at 0 uniform weights are as "
    "good. Means and 95 % t intervals over seeds."
)


def gains(found: Found) -> Section | None:
    drawings = [gain(setup, group, colours(group)) for setup, group in found.pruned]
    heading = "Does pruning first bring uniform weights nearer to the best?"
    return shown(Figures("gains", heading, GAINS, drawings, columns=4)) if drawings else None


def gain(setup: str, runs: pd.DataFrame, shades: Mapping[str, str]) -> Drawing:
    words = f"gain of the found policy by what is kept, {setup}"
    return Drawing("What a search still gains", setup, words, partial(_gains, runs, shades))


def _gains(runs: pd.DataFrame, shades: Mapping[str, str], axes: Axes) -> None:
    subsets = [kept for kept in shades if (runs["kept"] == kept).any()]
    for place, kept in enumerate(subsets):
        values = 100 * runs.loc[runs["kept"] == kept, "gain"]
        intervals(axes, np.array([float(place)]), [values], shades[kept], kept)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xticks([])
    axes.set_xlim(-0.5, len(subsets) - 0.5)
    axes.set_ylabel("area under the held-out loss saved, %")
    legend_below(axes)


TABLE = (
    "Gain: the share of the constant policy's area that the found one saves, on the held-out part and on the target "
    "set that the search looked at: where they differ much, it learnt the target by heart. ESS and signal as above, "
    "under the constant policy when the target loss first falls to the level. Late: in the run's second half; 0.25 "
    "under the constant policy. Differences are paired by seed."
)
COMPARED = (0.5, 0.75)  # of the first target loss, the first of them that every run of a setup reached


def table(found: Found) -> Section:
    return Section("What a search gains, by what is kept", [note(TABLE), cells(worded(found.subsets))])


def rows(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each setting: what a search gains, how equal phi is, and both against a random subset of the size."""
    found = []
    for setup, group in runs.groupby("setup", sort=False):
        reached = [level for level in COMPARED if column(group, f"constant_phi_ess@{level:g}").notna().all()]
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
