"""How few examples carry the loss that is still to fall: Lorenz curves of the positive contributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from ...contracts import Floats
from ...figures.axes import name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import GREY
from ...store.folders import Folder
from ..parts import Section, shown
from . import searches
from .found import Found
from .marks import LEVELS, POLICIES, colours

MIDDLE = 0.5  # the level at which the curves are compared
Lines = Mapping[str, tuple[str, Sequence[Floats]]]  # label -> colour, and a curve a seed
WORDS = (
    "The nearer to the diagonal, the more equal. Bold: means of seeds; thin: seeds. Examples with a negative φ count "
    "as zero; those that weigh nothing are left out."
)


def section(found: Found) -> Section:
    drawings: list[Drawing] = []
    for setup, group in found.runs.groupby("setup", sort=False):
        subsets = {kept: found.settings[str(setup), kept] for kept in group["kept"].unique()}
        drawings += _drawings(str(setup), subsets, colours(group))
    return shown(Figures("lorenz", "How few examples carry the loss that is still to fall", WORDS, drawings))


def _drawings(setup: str, subsets: Mapping[str, Sequence[Folder]], shades: Mapping[str, str]) -> list[Drawing]:
    """Before and after pruning under the constant policy, and constant against found on the first subset."""
    curves = {kept: [searches.lorenz(folder) for folder in folders] for kept, folders in subsets.items()}
    drawings = []
    if len(subsets) > 1:
        level = _level([one for found in curves.values() for one in found], ("constant",))
        lines = {kept: (shades[kept], [one["constant", level] for one in found]) for kept, found in curves.items()}
        drawings.append(_lorenz("Pruned and unpruned, constant policy", setup, level, lines))
    kept, found = next(iter(curves.items()))
    level = _level(found, ("constant", "found"))
    lines = {f"{name} policy": (POLICIES[name], [one[name, level] for one in found]) for name in ("constant", "found")}
    return [*drawings, _lorenz("Constant and found policy", f"{setup}, {kept}", level, lines)]


def _level(found: Sequence[Mapping[tuple[str, float], Floats]], policies: Sequence[str]) -> float:
    """The middle level, or the lowest above it that every run reached."""
    return next(
        level for level in sorted(LEVELS) if level >= MIDDLE and all((name, level) in one for one in found
        for name in policies)
    )  # fmt: skip


def _at(level: float) -> str:
    return "the start" if level == 1 else f"{100 * level:g} % of first loss"


def _lorenz(title: str, subtitle: str, level: float, lines: Lines) -> Drawing:
    words = f"Lorenz curves of the positive part of phi at {_at(level)}: {', '.join(lines)}; {subtitle}"
    return Drawing(title, subtitle, words, partial(_lorenz_curves, lines, level))


def _lorenz_curves(lines: Lines, level: float, axes: Axes) -> None:
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=(0, (4, 2)), label="all equal")
    for name, (colour, curves) in lines.items():
        for curve in curves:
            axes.plot(100 * searches.SHARES, 100 * curve, color=colour, linewidth=0.6, alpha=0.5)
        mean = np.mean(curves, axis=0)
        label = f"{name}, Gini {searches.gini_of(mean):.2f}"
        axes.plot(100 * searches.SHARES, 100 * mean, color=colour, linewidth=2, label=label)
    axes.set(xlim=(0, 100), ylim=(0, 100))
    name_axes(axes, f"% of used examples, least φ first, at {_at(level)}", "% of all positive φ that they have")
