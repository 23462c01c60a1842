"""Whether pruning first makes contributions equal, and what searching still gains over uniform weights then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import legend_below
from ...figures.panels import Drawing, Figures
from ...figures.style import INK
from ..parts import Section, cells, note, shown
from .marks import (
    LEVELS,
    Change,
    change,
    colours,
    column,
    interval,
    intervals,
    level_ticks,
    panel,
    say,
    without_changes,
)
from .searches import Found

EQUAL = (
    "Means and 95 % t intervals over seeds, at equal loss, under the constant policy; 1 is all equal. A random subset "
    "of the same size is the control. Levels that a run did not reach are left out."
)
Shades = Mapping[str, str]  # kept -> colour


def equal(found: Found) -> Section | None:
    drawings = [one for setup, group in found.pruned for one in drawn(setup, group, colours(group))]
    figures = Figures("subsets", "Does pruning first make contributions equal?", EQUAL, drawings, columns=2)
    return shown(figures) if drawings else None


def drawn(setup: str, runs: pd.DataFrame, shades: Shades) -> list[Drawing]:
    ess, signal = "effective share of the examples", "mean² / mean square"
    return [
        panel("How equal is φ? (ESS)", setup, "ESS of phi by level", _levels, runs, shades, "ess", ess),
        panel("How equal is φ? (signal)", setup, "signal by level", _levels, runs, shades, "signal", signal),
    ]


def _levels(runs: pd.DataFrame, shades: Shades, name: str, words: str, axes: Axes) -> None:
    names = {level: f"constant_phi_{name}@{level:g}" for level in LEVELS[1:]}
    levels = [level for level in names if column(runs, names[level]).notna().all()]
    subsets = _subsets(runs, shades)
    for place, (kept, own) in enumerate(subsets.items()):
        places = 0.08 * (place - (len(subsets) - 1) / 2) + np.arange(len(levels), dtype=np.float64)
        intervals(axes, places, [own[names[level]] for level in levels], shades[kept], kept)
    level_ticks(axes, levels)
    if not levels:
        axes.set_yticks([])
        say(axes, "some run does not fall to 75 % of its first loss:\nthere is no equal loss to compare at")
    axes.set_ylabel(words)
    legend_below(axes)


def _subsets(runs: pd.DataFrame, shades: Shades) -> dict[str, pd.DataFrame]:
    """The runs of each subset, in the order of the colours."""
    return {kept: own for kept in shades if len(own := runs[runs["kept"] == kept])}


GAINS = (
    "What the found policy takes off the area under the held-out loss, by what is kept; at 0 uniform weights are as "
    "good. Means and 95 % t intervals over seeds."
)


def gains(found: Found) -> Section | None:
    drawings = [gain(setup, group, colours(group)) for setup, group in found.pruned]
    heading = "Does pruning first bring uniform weights nearer to the best?"
    return shown(Figures("gains", heading, GAINS, drawings, columns=4)) if drawings else None


def gain(setup: str, runs: pd.DataFrame, shades: Shades) -> Drawing:
    return panel("What a search still gains", setup, "gain of the found policy by what is kept", _gains, runs, shades)


def _gains(runs: pd.DataFrame, shades: Shades, axes: Axes) -> None:
    subsets = _subsets(runs, shades)
    for place, (kept, own) in enumerate(subsets.items()):
        intervals(axes, np.array([float(place)]), [100 * own["gain"]], shades[kept], kept)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xticks=[], xlim=(-0.5, len(subsets) - 0.5), ylabel="area under the held-out loss saved, %")
    legend_below(axes)


TABLE = (
    "Gain: the share of the constant policy's area that the found one saves, on the held-out part and on the target "
    "set that the search looked at: where they differ much, it learnt the target by heart. ESS and signal: under the "
    "constant policy when the target loss first falls to the level. Late: in the run's second half; 0.25 under the "
    "constant policy. φ is not read where metasmoothness of some run, of the control too, is too low. Differences are "
    "paired by seed."
)
COMPARED = (0.5, 0.75)  # of the first target loss, the first of them that every run of a setup reached


def table(rows: Sequence[dict[str, Any]]) -> Section:
    return Section("What a search gains, by what is kept", [note(TABLE), cells(without_changes(rows))])


def rows(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each setting: what a search gains, how equal phi is, and both against a random subset of the size."""
    found = []
    for setup, group in runs.groupby("setup", sort=False):
        reached = (level for level in COMPARED if column(group, f"constant_phi_ess@{level:g}").notna().all())
        level = next(reached, math.nan)
        ess, signal = (f"constant_phi_{name}@{level:g}" for name in ("ess", "signal"))
        for kept, own in group.groupby("kept", sort=False):
            random = group[(group["rule"] == "random") & (group["keep"] == own["keep"].iloc[0])]
            control = random if own["rule"].iloc[0] not in ("none", "random") else random[:0]
            unread = any((column(side, "phi_readable") == 0).any() for side in (own, control))
            changes = {name: _against(own, control, of) for name, of in (("ess", ess), ("gain", "gain"))}
            found.append(
                {
                    "setting": setup,
                    "kept": kept,
                    "gain, held out": interval(own["gain"]),
                    "gain, target itself": interval(column(own, "target_gain")),
                    "late weight on the hardest quarter": interval(column(own, "late_mass_hardest")),
                    "level": "none reached" if math.isnan(level) else f"{100 * level:g} %",
                    "ESS of φ": interval(column(own, ess)),
                    "signal of φ": interval(column(own, signal)),
                    "φ read": "no" if unread else "yes",
                    "ESS minus random's": str(changes["ess"]),
                    "gain minus random's": str(changes["gain"]),
                    "changes": changes,
                }
            )
    return found


def pruned(rows: Sequence[dict[str, Any]]) -> str:
    """How often choosing by score made phi more equal than a random choice did; nothing where none was compared."""
    compared = [row for row in rows if row["changes"]["ess"].n]
    signs = [row["changes"]["ess"].sign for row in compared if row["φ read"] == "yes"]
    unread = len(compared) - len(signs)
    if not signs:
        return f"In {unread} subsets chosen by score φ cannot be read (metasmoothness)." if unread else ""
    return (
        f"Against random subsets of the same size, at equal loss and under the constant policy, φ is more equal (ESS) "
        f"in {signs.count(1)} and less equal in {signs.count(-1)} of {len(signs)} subsets chosen by score"
        + (f"; in {unread} more φ cannot be read (metasmoothness)." if unread else ".")
    )


def _against(own: pd.DataFrame, control: pd.DataFrame, name: str) -> Change:
    first, second = (column(side, name).set_axis(side["seed"]) for side in (own, control))
    return change(first, second)
