"""What the study shows: loss by width and by MLP, the law's optima, and loss against the speed of decoding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...errors import ConfigError
from ...figures.axes import bars, log_axis, name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREEN, GREY, INK, OCHRE, ORANGE, PURPLE, SKY
from ...laws.intervals import LEVEL, interval_of, worded
from . import choosing, forms
from .fits import law_of, rows, trained_alike, usual_depth

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, OCHRE, SKY)
PAPER = {"x": 0.0801, "r": 1.0317}  # optima of the paper's fit to 80M, 145M and 297M
LAYERS = 16  # of its models of 1B
BY = {"x": "By width", "r": "By MLP and attention"}
SHORT = {"x": "d/√N", "r": "MLP / attention"}


def verdict(runs: pd.DataFrame) -> str:
    """Where the optima are at the size of most shapes, and how well the smaller sizes rank the largest."""
    optima = runs[runs["measure"].isin(["ln_x_star", "ln_r_star"]) & runs["value"].notna()]
    if not len(optima):
        return "The runs do not enclose the best shape."
    trained = runs[runs["measure"] == "loss"]
    depth, size = max(
        optima[["depth", "parameters"]].drop_duplicates().to_numpy().tolist(),
        key=lambda one: int(((trained["depth"] == one[0]) & (trained["parameters"] == one[1])).sum()),
    )
    own = optima[(optima["depth"] == depth) & (optima["parameters"] == size)]
    parts = []
    for axis in BY:
        over = interval_of(own[own["measure"] == f"ln_{axis}_star"]["value"])
        value, low, high = map(float, np.exp([over.value, over.low, over.high]))
        parts.append(f"{SHORT[axis]} = {worded(value, low, high, '.2g')}")
    rank = interval_of(runs[runs["measure"] == "rank"]["value"])
    said = worded(rank.value, rank.low, rank.high, ".2f")
    ranked = f" Spearman's ρ on the largest size: {said}." if np.isfinite(rank.value) else ""
    return f"At {size:,.0f} parameters and {depth:.0f} layers the lowest loss is at {' and '.join(parts)}.{ranked}"


def caveat(table: pd.DataFrame) -> str:
    trained = table[table["question"] == "loss"]
    diverged = int(trained["loss"].isna().sum()) if len(trained) else 0
    return (
        f"{len(trained)} trained models, {diverged} of which diverged and are left out. Intervals are over seeds: "
        "of the first weights, and of the order of the batches, which all shapes of a seed share. Speed: one machine's."
    )


def figures(table: pd.DataFrame) -> Iterator[Figures]:
    runs = rows(table)
    losses = trained_alike(table)
    if len(losses):
        same = losses[losses["depth"] == usual_depth(losses)]
        yield Figures(
            "shapes", "Loss by shape, at one number of parameters",
            "Each dot is a shape: the mean loss over seeds with its 95 % interval. Left: by width, over the root of "
            "N; right: by the parameters of the MLP over those of attention. Black: the law of this size.",
            [Drawing(f"{size:,} parameters", BY[axis], f"loss against {axis}, {size} parameters",
                     partial(_cut, same[same["parameters"] == size], axis))
             for size in sorted(same["parameters"].unique()) for axis in BY],
            columns=2,
        )  # fmt: skip
    if len(optima := runs[runs["measure"].isin(["ln_x_star", "ln_r_star"])]):
        yield Figures(
            "optima", "Where the best shape is",
            "Dots with 95 % intervals over seeds (blue) and over shapes drawn with replacement (grey). Orange: the "
            "paper's fit. Green: where the geometry of attention moves its best width at this depth, by the root of 16 "
            "over the layers.",
            [Drawing(BY[axis], "by size and depth", f"best {axis} of each size", partial(_optima, optima, losses, axis))
             for axis in BY],
            columns=2,
        )  # fmt: skip
    yield from forms.figures(table)
    yield from choosing.figures(table)


def _cut(own: pd.DataFrame, axis: str, axes: Axes) -> None:
    """Lines join shapes that share the other ratio."""
    other = "r" if axis == "x" else "x"
    found = pd.DataFrame([{"x": one["x"].iloc[0], "r": one["r"].iloc[0]} | asdict(interval_of(one["loss"]))
                          for _, one in own.groupby(["x", "r"])]).sort_values(axis)  # fmt: skip
    shared = found[other].round(1 if other == "r" else 2)
    for place, value in enumerate(sorted(shared.unique())):
        line = found[shared == value]
        mean, low, high = (line[name].to_numpy() for name in ("value", "low", "high"))
        bars(axes, line[axis], mean, low, high, fmt="o-", linewidth=0.8, color=COLOURS[place % len(COLOURS)],
             label=f"{SHORT[other]} {value:g}")  # fmt: skip
    ends = float(own[axis].min()) / 1.2, float(own[axis].max()) * 1.2
    with suppress(ConfigError):
        law = law_of(own)
        grid, fixed = np.geomspace(*ends, 60), np.ones(60)
        relative = law.predict(grid, fixed * law.r_star) if axis == "x" else law.predict(fixed * law.x_star, grid)
        axes.plot(grid, next(iter(law.scales.values())) * relative, color=INK, linewidth=1.2, label="law")
    log_axis(axes, "x", *ends)
    name_axes(axes, SHORT[axis], "loss (nats a token)")


def _optima(optima: pd.DataFrame, losses: pd.DataFrame, axis: str, axes: Axes) -> None:
    own = optima[optima["measure"] == f"ln_{axis}_star"]
    sizes = own[["depth", "parameters"]].drop_duplicates().sort_values(["depth", "parameters"])
    names = []
    for place, (depth, size) in enumerate(sizes.to_numpy()):
        over = interval_of(own[(own["depth"] == depth) & (own["parameters"] == size)]["value"])
        with suppress(ConfigError):
            law = law_of(losses[(losses["depth"] == depth) & (losses["parameters"] == size)])
            ends = law.interval(LEVEL)[f"{axis}_star"]
            axes.plot([place + 0.15] * 2, ends, color=GREY, linewidth=3, solid_capstyle="butt")
        value, low, high = np.exp([[over.value], [over.low], [over.high]])
        bars(axes, [place], value, low, high, fmt="o", color=BLUE)
        if axis == "x":
            moved = PAPER["x"] * (LAYERS / depth) ** 0.5
            axes.plot([place - 0.3, place + 0.3], [moved, moved], color=GREEN, linewidth=1.2)
        names.append(f"{size:,.0f}, {depth:.0f} layers")
    axes.axhline(PAPER[axis], color=ORANGE, linewidth=1, linestyle=(0, (4, 2)))
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.6, len(names) - 0.4)
    name_axes(axes, "", f"best {SHORT[axis]}")
