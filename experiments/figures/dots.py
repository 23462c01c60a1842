"""Dot plots: a row for each thing compared, its interval, and a small dot for each seed; on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes

from . import hover
from .style import CARD, MUTED

ROW, REST = 0.27, 1.25  # inches: a row; title and axis


@dataclass(frozen=True, slots=True)
class Dot:
    """One row: its value with both ends of its interval (NaN where there are none), and the values of its seeds."""

    name: str
    value: float
    low: float
    high: float
    colour: str
    words: str  # on hovering
    hollow: bool = False
    seeds: Mapping[int, float] = field(default_factory=dict)


def height(rows: int) -> float:
    """Inches of a panel."""
    return REST + ROW * max(rows, 2)


def reach(dots: Sequence[Dot], *more: float) -> tuple[float, float]:
    """The range that holds every interval and seed; ends far beyond the values are cut."""
    values = np.array([one.value for one in dots if np.isfinite(one.value)] + [*more])
    ends = [end for one in dots for end in (one.low, one.high, *one.seeds.values()) if np.isfinite(end)]
    span = max(float(np.ptp(values)), 1e-3 * float(np.abs(values).max()), 1e-9)
    low = max(min([*ends, *values]), float(values.min()) - 1.5 * span)
    high = min(max([*ends, *values]), float(values.max()) + 1.5 * span)
    room = 0.06 * max(high - low, span)
    return low - room, high + room


def draw(axes: Axes, dots: Sequence[Dot], *, limits: tuple[float, float], words: str) -> None:
    """From top to bottom, in the order given. An arrow at the edge where an interval goes on beyond the axis."""
    cut = False
    for place, one in enumerate(dots):
        if np.isfinite(one.low + one.high):
            axes.plot([one.low, one.high], [place, place], color=one.colour, linewidth=1.6, solid_capstyle="butt")
            for edge, mark, beyond in zip(limits, "<>", (one.low < limits[0], one.high > limits[1]), strict=True):
                if beyond:
                    (line,) = axes.plot([edge], [place], mark, markersize=6, color=one.colour, clip_on=False)
                    hover.say(line, [one.words])
                    cut = True
        if one.seeds:
            (line,) = axes.plot(
                list(one.seeds.values()), [place + 0.22] * len(one.seeds), "o", color=one.colour, markersize=2.4,
                alpha=0.55,
            )  # fmt: skip
            name = one.words.partition(":")[0]
            hover.say(line, [f"{name}, seed {seed}: {value:.4g}" for seed, value in one.seeds.items()])
        (line,) = axes.plot(
            [one.value], [place], "o", markersize=6, color=CARD if one.hollow else one.colour,
            markeredgecolor=one.colour,
        )  # fmt: skip
        hover.say(line, [one.words])
    axes.set(
        xlim=limits,
        xlabel=f"{words}\narrow: the interval reaches beyond the axis" if cut else words,
        ylim=(max(len(dots), 2) - 0.4, -0.6),
    )
    axes.set_yticks(range(len(dots)), [one.name for one in dots])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    for place in range(len(dots)):
        axes.axhline(place, color=MUTED, linewidth=0.3, alpha=0.35, zorder=0)
