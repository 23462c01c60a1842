"""How contributions are spread as training goes on, under the constant and the found policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import legend_below
from ...figures.panels import Drawing, Figures
from ...figures.style import GREY
from ...store.folders import Folder
from ..parts import Section, shown
from . import searches
from .found import Found
from .marks import LEVELS, MOST, POLICIES, left_out, level_ticks

WORDS = (
    "Line: the median of the examples that weigh something; dark band: half of them, pale band: 80 %; all over the "
    "mean, and means of seeds. Training goes from left to right; both panels have the same axis. Levels that a seed "
    "did not reach are left out."
)


def section(found: Found) -> Section:
    some = found.first(MOST // 2)
    drawings = [one for setting, folders in some.items() for one in _drawings(setting, folders)]
    heading, words = "How contributions are spread as training goes on", WORDS + left_out(some, found.named)
    return shown(Figures("distributions", heading, words, drawings, columns=2))


def _drawings(setting: str, folders: Sequence[Folder]) -> list[Drawing]:
    names = {"phi": "φ", "ct": "CT"}
    tables = {name: pd.concat(searches.bands(folder, name) for folder in folders) for name in names}
    words = f"over its mean, quantiles by level of loss, constant and found policy, {setting}"
    return [
        Drawing(f"{sign} of the used examples", setting, f"{name} {words}",
                partial(_bands, tables, name, len(folders), sign))
        for name, sign in names.items()
    ]  # fmt: skip


def _bands(tables: Mapping[str, pd.DataFrame], name: str, seeds: int, sign: str, axes: Axes) -> None:
    """Quantiles, means of seeds; all contributions on the same axis."""
    counts = tables[name].groupby("level").size()
    levels = [level for level in LEVELS if counts.get(level) == 2 * seeds]  # both policies of every seed reached it
    means = {key: table.groupby(["policy", "level"])[list(searches.QUANTILES)].mean() for key, table in tables.items()}
    places = np.arange(len(levels)) if len(levels) > 1 else np.array([-0.3, 0.3])  # a single level is a flat band
    for policy, faint, dense in (("constant", 0.13, 0.22), ("found", 0.3, 0.5)):
        own, colour = means[name].loc[policy].reindex(levels), POLICIES[policy]
        least, low, middle, high, most = (np.resize(own[quantile], len(places)) for quantile in searches.QUANTILES)
        axes.fill_between(places, least, most, color=colour, alpha=faint, linewidth=0)
        axes.fill_between(places, low, high, color=colour, alpha=dense, linewidth=0)
        axes.plot(places, middle, color=colour, linewidth=2, marker="o", markersize=4, label=f"{policy} policy")
    axes.axhline(1, color=GREY, linewidth=1, linestyle=(0, (4, 2)), label="all equal")
    shown = np.concatenate([mean[mean.index.isin(levels, "level")].to_numpy().ravel() for mean in means.values()])
    axes.set_ylim(min(0.0, float(np.nanmin(shown))) * 1.05, float(np.nanmax(shown)) * 1.05)
    level_ticks(axes, levels)
    axes.set_ylabel(f"{sign} of an example / mean {sign}")
    legend_below(axes)
