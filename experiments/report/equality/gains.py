"""What searching still gains over uniform weights, by what is kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import legend_below
from ...figures.panels import Drawing, Figures
from ...figures.style import INK
from ..parts import Section, shown
from .found import Found
from .marks import colours, intervals

WORDS = (
    "What the found policy takes off the area under the held-out loss, by what is kept; at 0 uniform weights are as "
    "good. Means and 95 % t intervals over seeds."
)


def section(found: Found) -> Section | None:
    drawings = [drawn(setup, group, colours(group)) for setup, group in found.pruned]
    heading = "Does pruning first bring uniform weights nearer to the best?"
    return shown(Figures("gains", heading, WORDS, drawings, columns=4)) if drawings else None


def drawn(setup: str, runs: pd.DataFrame, shades: Mapping[str, str]) -> Drawing:
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
