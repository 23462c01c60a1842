"""How fast the held-out loss falls under each policy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import log_axis, name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import VIOLET, paler
from ...store.folders import Folder
from ..parts import Section, shown
from . import searches
from .found import Found
from .marks import MOST, POLICIES, left_out

WORDS = (
    "Lines: means; bands: from the lowest to the highest seed. The policies by loss, by gradient norm and greedy by "
    "contribution need no search, nor does a larger step of the constant policy. The found policy was searched and run "
    "at the constant one's step."
)


def section(found: Found) -> Section:
    some = found.first(MOST)
    drawings = [
        Drawing("Held-out target loss", setting, f"held-out target loss against step by policy, {setting}",
                partial(_draw, folders))
        for setting, folders in some.items()
    ]  # fmt: skip
    return shown(Figures("curves", "How fast the loss falls", WORDS + left_out(some, found.named), drawings))


def _draw(folders: Sequence[Folder], axes: Axes) -> None:
    found = pd.concat(searches.curves(folder) for folder in folders)
    faster = [name for name in found["policy"].unique() if name.startswith("constant, ")]
    order = ["constant", "found", *faster, *list(POLICIES)[2:]]
    for policy in [name for name in order if (found["policy"] == name).any()]:
        colour = POLICIES.get(policy) or paler(VIOLET, len(faster) - 1 - faster.index(policy), len(faster))
        losses = found[(found["policy"] == policy) & (found["step"] > 0)].pivot_table(
            index="step", values="held_out", aggfunc=["mean", "min", "max"]
        )
        mean, low, high = (losses[name]["held_out"].to_numpy() for name in ("mean", "min", "max"))
        dashes = (0, (4, 1.5)) if policy in faster else "-"
        width = 2.2 if policy in ("constant", "found") else 1.3
        axes.plot(
            losses.index,
            mean,
            color=colour,
            linewidth=width,
            linestyle=dashes,
            label=policy.replace(" times the step", "× step"),
        )
        axes.fill_between(losses.index, low, high, color=colour, alpha=0.15, linewidth=0)
    first = float(found.loc[found["step"] == 0, "held_out"].mean())
    axes.set_ylim(0, 1.1 * first)  # a run that diverges leaves the picture
    log_axis(axes, "x", 1, float(found["step"].max()), lambda value: f"{value:g}")
    name_axes(axes, "step of training", "loss, nats")
