"""Axes: readable ticks on logarithmic ones, limits, legends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from ..contracts import Floats
from . import hover

LADDERS = (  # steps of a log axis within a decade, from coarse to fine
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 5, 7),
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8),
)


def log_axis(
    axes: Axes, which: Literal["x", "y"], low: float, high: float, label: Callable[[float], str] = "{:g}".format
) -> None:
    """A log axis with three to seven readable ticks, however short the range."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**cast("Any", {f"{which}scale": "log", f"{which}lim": (low, high)}))
    axis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def log_ticks(low: float, high: float) -> list[float]:
    """The coarsest of some ladders (10; 1, 3; 1, 2, 5; ...) with at least three ticks inside."""
    for ladder in LADDERS:
        ticks = [step * 10.0**power for power in range(-9, 13) for step in ladder]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            return ticks
    return [float(tick) for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]


def percent(metric: str) -> float:
    """What a metric is multiplied by to be shown: shares are shown in percent."""
    return 1.0 if metric == "bits_per_byte" else 100.0


def bars(
    axes: Axes, x: Any, mean: Floats, low: Floats, high: Floats, words: Sequence[str] = (), **style: Any
) -> None:  # fmt: skip
    """Means with the ends of their intervals, where there are any; `words` of each are shown on hovering."""
    found = axes.errorbar(x, mean, yerr=[np.nan_to_num(mean - low), np.nan_to_num(high - mean)], **style)
    if len(words) and isinstance(found.lines[0], Line2D):
        hover.say(found.lines[0], words)


def band(axes: Axes, x: Any, middle: Any, low: Any, high: Any, colour: str, **line: Any) -> None:
    """A line in a band of its colour."""
    axes.plot(x, middle, color=colour, **line)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def name_axes(axes: Axes, x: str, y: str) -> None:
    """What both axes show, and under them what the lines are."""
    axes.set(xlabel=x, ylabel=y)
    legend_below(axes)


def legend_below(axes: Axes) -> None:
    """Names under the axes, where no point can be: the unpruned line first, random next."""
    handles, labels = axes.get_legend_handles_labels()
    first = {"unpruned": 0, "random": 1}
    order = sorted(range(len(labels)), key=lambda row: first.get(labels[row].split(",")[0], 2))
    longest = max(map(len, labels), default=0)
    axes.legend(
        [handles[row] for row in order], [labels[row] for row in order], loc="upper left",
        bbox_to_anchor=(-0.16, -0.17), ncols=3 if longest < 20 else 2 if longest < 32 else 1, handlelength=1.5,
        labelspacing=0.3, columnspacing=1.0, handletextpad=0.5, borderaxespad=0,
    )  # fmt: skip


def limits(values: Floats, margin: float) -> tuple[float, float]:
    """The range of positive values, widened by a factor on both sides."""
    positive = values[values > 0]
    return (float(positive.min() / margin), float(positive.max() * margin)) if len(positive) else (0.01, 1.0)
