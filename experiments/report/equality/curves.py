"""What a search changes from epoch to epoch: how fast the loss falls, and which contributions become equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import legend_below, limits, log_axis, name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import GREY, VIOLET, paler
from ...store.folders import Folder
from ..parts import Section, shown
from . import searches
from .marks import CT, DASHED, GAP, MOST, PHI, POLICIES, by_seed, left_out, over_seeds, panel, say
from .searches import Found

FALL = (
    "Lines: means; bands: from the lowest to the highest seed. The policies by loss, by gradient norm and greedy by "
    "contribution need no search, nor does a larger step of the constant policy. The found policy was searched and run "
    "at the constant one's step."
)


def fall(found: Found) -> Section:
    some = found.first(MOST)
    words = "held-out target loss against step by policy"
    drawings = [panel("Held-out target loss", setting, words, _fall, folders) for setting, folders in some.items()]
    return shown(Figures("curves", "How fast the loss falls", FALL + left_out(some, found.named), drawings))


def _fall(folders: Sequence[Folder], axes: Axes) -> None:
    found = pd.concat(searches.curves(folder) for folder in folders)
    there = found["policy"].unique()
    faster = [name for name in there if name.startswith("constant, ")]
    for policy in [name for name in ("constant", "found", *faster, *list(POLICIES)[2:]) if name in there]:
        colour = POLICIES.get(policy) or paler(VIOLET, len(faster) - 1 - faster.index(policy), len(faster))
        rows = found[(found["policy"] == policy) & (found["step"] > 0)]
        over_seeds(
            axes, rows, "held_out", "mean", colour, linewidth=2.2 if policy in ("constant", "found") else 1.3,
            linestyle=(0, (4, 1.5)) if policy in faster else "-", label=policy.replace(" times the step", "× step"),
        )  # fmt: skip
    first = float(found.loc[found["step"] == 0, "held_out"].mean())
    axes.set_ylim(0, 1.1 * first)  # a run that diverges leaves the picture
    log_axis(axes, "x", 1, float(found["step"].max()))
    name_axes(axes, "step of training", "loss, nats")


EQUAL = (
    "Bold: means of seeds; thin: seeds; ring: the policy found, the best by a set of its own. Left: 0 is all equal; "
    "gap: how far the largest φ of any example is above the mean. Middle: the missing term (the bracket) is in what "
    "CT and the fall of φ differ; where φ stays equal, CT differs from example to example as it does, and 1 says that "
    "it explains CT wholly (cut off below −1). Right: unused examples weigh nothing, and the law wants their "
    "contribution below the mean of the others; the mean φ should be the target loss that is still to fall."
)
Lines = Mapping[str, tuple[str, str]]  # a column: its label and colour
SPREADS: Lines = {
    "ct_cv": ("cv of CT (printed law)", CT), "phi_cv": ("cv of φ (exact law)", PHI),
    "phi_kkt_gap": ("gap of the largest φ", GAP),
}  # fmt: skip
BRACKET: Lines = {"bracket_corr": ("correlation with CT", CT), "bracket_share": ("share of CT's variance", PHI)}
ONES: Lines = {
    "phi_ratio": ("mean φ / loss still to fall", PHI), "inactive_phi": ("unused below mean φ", GAP),
    "inactive_ct": ("unused below mean CT", CT),
}  # fmt: skip


def equal(found: Found) -> Section:
    some = found.first(MOST // 2)
    rows = {
        setting: pd.concat(searches.on_the_way(folder).assign(seed=place) for place, folder in enumerate(folders))
        for setting, folders in some.items()
    }
    missing = sum(int((one[list(SPREADS)] <= 0).to_numpy().sum()) for one in rows.values())
    lost = f" {missing} medians that are not positive cannot be drawn on the logarithmic axis." if missing else ""
    drawings = [one for setting, own in rows.items() for one in _equal(setting, own)]
    words = EQUAL + lost + left_out(some, found.named)
    return shown(Figures("law", "Which contributions become equal as the search goes on", words, drawings))


def _equal(setting: str, rows: pd.DataFrame) -> list[Drawing]:
    """Which spread falls towards 0, what explains the rest, and three numbers that should be 1."""
    spreads = "cv of CT and phi, and the largest phi's gap, against outer epoch"
    bracket = "correlation of CT with the bracket term, and share of its variance, against outer epoch"
    ones = "ratio of the mean phi to the loss that still falls, and share of inactive examples below the mean, against "
    return [
        panel("What becomes equal?", setting, spreads, _spreads, rows),
        panel("Does the missing term explain CT?", setting, bracket, _shares, rows, BRACKET, -1.0),
        panel("Three numbers that should be 1", setting, ones + "outer epoch", _shares, rows, ONES, 0.0),
    ]


def _spreads(rows: pd.DataFrame, axes: Axes) -> None:
    names = list(SPREADS)
    positive = rows.assign(**{name: rows[name].where(rows[name] > 0) for name in names})
    _along(axes, positive, SPREADS)
    log_axis(axes, "y", *limits(positive[names].to_numpy().ravel(), 1.3))
    axes.set_ylabel("distance from the mean / mean")


def _shares(rows: pd.DataFrame, lines: Lines, lowest: float, axes: Axes) -> None:
    _along(axes, rows, lines)
    axes.axhline(1, color=GREY, linewidth=1, linestyle=DASHED)
    values = rows[list(lines)].to_numpy().ravel()
    values = values[np.isfinite(values)]
    least, most = min([0.0, *values]), max([1.0, *values])
    axes.set_ylim(max(lowest, least) - 0.05, min(2.0, most) + 0.1)
    if not len(values):
        say(axes, "not measured\nwith momentum or weight decay")


def _along(axes: Axes, rows: pd.DataFrame, lines: Lines) -> None:
    """A line an epoch 0 (constant), 1, 2, 4, ...; thin: seeds; a ring: the policy found."""
    searched, found = rows[rows["policy"] != "found"], rows[rows["policy"] == "found"]
    for name, (label, colour) in lines.items():
        seeds = [(own["epoch"], own[name]) for _, own in searched.groupby("seed")]
        mean = searched.groupby("epoch")[name].mean()
        by_seed(axes, seeds, (mean.index, mean), colour, marker="o", markersize=3.5, label=label)
        axes.plot(found["epoch"].mean(), found[name].mean(), "o", color=colour, markersize=10, fillstyle="none")
    epochs = sorted(int(epoch) for epoch in searched["epoch"].unique())
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    crowded = {epoch for epoch, after in pairwise(epochs) if 0 < epoch > 0.7 * after}
    ticks = [epoch for epoch in epochs if epoch not in crowded]
    ticks = ticks if len(ticks) < 9 else [ticks[0], *ticks[-1:0:-2][::-1]]
    axes.set_xticks(ticks, [f"{epoch}" for epoch in ticks])
    axes.minorticks_off()
    axes.set_xlabel("outer epoch of the search (0: constant policy)")
    legend_below(axes)
