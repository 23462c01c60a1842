"""Which contributions become equal as the search goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import legend_below, limits, log_axis
from ...figures.panels import Drawing, Figures
from ...figures.style import GREY
from ...store.folders import Folder
from ..parts import Section, shown
from . import searches
from .found import Found
from .marks import CT, GAP, MOST, PHI, left_out, say

SPREADS = ["ct_cv", "phi_cv", "phi_kkt_gap"]
LOWEST = -1.0  # bracket_share has no lower end
WORDS = (
    "Bold: means of seeds; thin: seeds; ring: the policy found, the best by a set of its own. Left: 0 is all equal; "
    "gap: how far the largest φ of any example is above the mean. Middle: the missing term (the bracket) is in what "
    "CT and the fall of φ differ; where φ stays equal, CT differs from example to example as it does, and 1 says that "
    "it explains CT wholly (cut off below −1). Right: unused examples weigh nothing, and the law wants their "
    "contribution below the mean of the others; the mean φ should be the target loss that is still to fall."
)


def section(found: Found) -> Section:
    some = found.first(MOST // 2)
    rows = {setting: _rows(folders) for setting, folders in some.items()}
    missing = sum(int((one[SPREADS] <= 0).to_numpy().sum()) for one in rows.values())
    lost = f" {missing} medians that are not positive cannot be drawn on the logarithmic axis." if missing else ""
    drawings = [one for setting, own in rows.items() for one in _drawings(setting, own)]
    words = WORDS + lost + left_out(some, found.named)
    return shown(Figures("law", "Which contributions become equal as the search goes on", words, drawings))


def _rows(folders: Sequence[Folder]) -> pd.DataFrame:
    return pd.concat([searches.on_the_way(folder).assign(seed=place) for place, folder in enumerate(folders)])


def _drawings(setting: str, rows: pd.DataFrame) -> list[Drawing]:
    """Which spread falls towards 0, what explains the rest, and three numbers that should be 1."""
    spread = {"ct_cv": ("cv of CT (printed law)", CT), "phi_cv": ("cv of φ (exact law)", PHI)}
    spread |= {"phi_kkt_gap": ("gap of the largest φ", GAP)}
    bracket = {"bracket_corr": ("correlation with CT", CT), "bracket_share": ("share of CT's variance", PHI)}
    ones = {"phi_ratio": ("mean φ / loss still to fall", PHI), "inactive_phi": ("unused below mean φ", GAP)}
    ones |= {"inactive_ct": ("unused below mean CT", CT)}
    return [
        Drawing("What becomes equal?", setting, "cv of CT and phi, and the largest phi's gap, against outer epoch, "
                f"{setting}", partial(_spreads, rows, spread)),
        Drawing("Does the missing term explain CT?", setting, "correlation of CT with the bracket term, and share of "
                f"its variance, against outer epoch, {setting}", partial(_shares, rows, bracket, LOWEST)),
        Drawing("Three numbers that should be 1", setting, "ratio of the mean phi to the loss that still falls, and "
                f"share of inactive examples below the mean, against outer epoch, {setting}",
                partial(_shares, rows, ones, 0.0)),
    ]  # fmt: skip


def _spreads(rows: pd.DataFrame, lines: Mapping[str, tuple[str, str]], axes: Axes) -> None:
    positive = rows.assign(**{name: rows[name].where(rows[name] > 0) for name in lines})
    _along(axes, positive, lines)
    log_axis(axes, "y", *limits(positive[list(lines)].to_numpy().ravel(), 1.3), lambda value: f"{value:g}")
    axes.set_ylabel("distance from the mean / mean")


def _shares(rows: pd.DataFrame, lines: Mapping[str, tuple[str, str]], lowest: float, axes: Axes) -> None:
    _along(axes, rows, lines)
    axes.axhline(1, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
    values = rows[list(lines)].to_numpy().ravel()
    values = values[np.isfinite(values)]
    least, most = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    axes.set_ylim(max(lowest, min(0.0, least)) - 0.05, min(2.0, max(1.0, most)) + 0.1)
    if not len(values):
        say(axes, "not measured\nwith momentum or weight decay")


def _along(axes: Axes, rows: pd.DataFrame, lines: Mapping[str, tuple[str, str]]) -> None:
    """A line an epoch 0 (constant), 1, 2, 4, ...; thin: seeds; a ring: the policy found."""
    searched, found = rows[rows["policy"] != "found"], rows[rows["policy"] == "found"]
    for name, (label, colour) in lines.items():
        for _, seed in searched.groupby("seed"):
            axes.plot(seed["epoch"], seed[name], color=colour, linewidth=0.6, alpha=0.5)
        mean = searched.groupby("epoch")[name].mean()
        axes.plot(mean.index, mean, color=colour, linewidth=2, marker="o", markersize=3.5, label=label)
        end = (found["epoch"].mean(), found[name].mean())
        axes.plot(*end, "o", color=colour, markersize=10, fillstyle="none")
    epochs = sorted(int(epoch) for epoch in searched["epoch"].unique())
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    crowded = {epoch for epoch, after in pairwise(epochs) if 0 < epoch > 0.7 * after}
    ticks = [epoch for epoch in epochs if epoch not in crowded]
    ticks = ticks if len(ticks) < 9 else [ticks[0], *ticks[-1:0:-2][::-1]]
    axes.set_xticks(ticks, [f"{epoch}" for epoch in ticks])
    axes.minorticks_off()
    axes.set_xlabel("outer epoch of the search (0: constant policy)")
    legend_below(axes)
