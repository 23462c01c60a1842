"""Whether pruning first makes contributions equal, at equal loss and under the constant policy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import legend_below
from ...figures.panels import Drawing, Figures
from ..parts import Section, shown
from .found import Found
from .marks import LEVELS, colours, intervals, level_ticks, say

WORDS = (
    "Means and 95 % t intervals over seeds, at equal loss, under the constant policy; 1 is all equal. ESS: the share "
    "of the examples that would carry as much, were their positive φ equal. Signal: the mean's square over the mean "
    "square. A random subset of the same size is the control. Levels that a run did not reach are left out."
)


def section(found: Found) -> Section | None:
    drawings = [one for setup, group in found.pruned for one in drawn(setup, group, colours(group))]
    figures = Figures("subsets", "Does pruning first make contributions equal?", WORDS, drawings, columns=2)
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
