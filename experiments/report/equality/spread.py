"""How contributions and weights are spread over the examples, and over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from ...contracts import Floats
from ...figures.axes import legend_below, name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import GREY, GRID
from ...store.folders import Folder
from ..parts import Section, shown
from . import searches
from .marks import DASHED, LEVELS, MOST, POLICIES, by_seed, colours, left_out, level_ticks, panel
from .searches import Found

QUANTILES = (
    "Line: the median of the examples that weigh something; dark band: half of them, pale band: 80 %; all over the "
    "mean, and means of seeds. Training goes from left to right; both panels have the same axis. Levels that a seed "
    "did not reach are left out."
)


def distributions(found: Found) -> Section:
    some = found.first(MOST // 2)
    drawings = [one for setting, folders in some.items() for one in _distributions(setting, folders)]
    heading, words = "How contributions are spread as training goes on", QUANTILES + left_out(some, found.named)
    return shown(Figures("distributions", heading, words, drawings, columns=2))


def _distributions(setting: str, folders: Sequence[Folder]) -> Iterator[Drawing]:
    names = {"phi": "φ", "ct": "CT"}
    tables = {name: pd.concat(searches.bands(folder, name) for folder in folders) for name in names}
    for name, sign in names.items():
        words = f"{name} over its mean, quantiles by level of loss, constant and found policy"
        yield panel(f"{sign} of the used examples", setting, words, _bands, tables, name, len(folders), sign)


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
    axes.axhline(1, color=GREY, linewidth=1, linestyle=DASHED, label="all equal")
    drawn = np.concatenate([mean[mean.index.isin(levels, "level")].to_numpy().ravel() for mean in means.values()])
    axes.set_ylim(min(0.0, float(np.nanmin(drawn))) * 1.05, float(np.nanmax(drawn)) * 1.05)
    level_ticks(axes, levels)
    axes.set_ylabel(f"{sign} of an example / mean {sign}")
    legend_below(axes)


MIDDLE = 0.5  # the level at which Lorenz curves are compared
Lines = Mapping[str, tuple[str, Sequence[Floats]]]  # label -> colour, and a curve a seed
LORENZ = (
    "The nearer to the diagonal, the more equal. Bold: means of seeds; thin: seeds. Examples with a negative φ count "
    "as zero; those that weigh nothing are left out."
)


def lorenz(found: Found) -> Section:
    drawings: list[Drawing] = []
    for setup, group in found.runs.groupby("setup", sort=False):
        subsets = {kept: found.settings[str(setup), kept] for kept in group["kept"].unique()}
        drawings += _lorenz(str(setup), subsets, colours(group))
    return shown(Figures("lorenz", "How few examples carry the loss that is still to fall", LORENZ, drawings))


def _lorenz(setup: str, subsets: Mapping[str, Sequence[Folder]], shades: Mapping[str, str]) -> Iterator[Drawing]:
    """Before and after pruning under the constant policy, and constant against found on the first subset."""
    curves = {kept: [searches.lorenz(folder) for folder in folders] for kept, folders in subsets.items()}
    if len(subsets) > 1:
        level = _level([one for found in curves.values() for one in found], ("constant",))
        lines = {kept: (shades[kept], [one["constant", level] for one in found]) for kept, found in curves.items()}
        yield _lorenz_panel("Pruned and unpruned, constant policy", setup, level, lines)
    kept, found = next(iter(curves.items()))
    level = _level(found, ("constant", "found"))
    lines = {f"{name} policy": (POLICIES[name], [one[name, level] for one in found]) for name in ("constant", "found")}
    yield _lorenz_panel("Constant and found policy", f"{setup}, {kept}", level, lines)


def _level(found: Sequence[Mapping[tuple[str, float], Floats]], policies: Sequence[str]) -> float:
    """The middle level, or the lowest above it that every run reached."""
    levels = (level for level in sorted(LEVELS) if level >= MIDDLE)
    return next(level for level in levels if all((name, level) in one for one in found for name in policies))


def _lorenz_panel(title: str, subtitle: str, level: float, lines: Lines) -> Drawing:
    at = "the start" if level == 1 else f"{100 * level:g} % of first loss"
    words = f"Lorenz curves of the positive part of phi at {at}: {', '.join(lines)}; {subtitle}"
    return Drawing(title, subtitle, words, partial(_lorenz_curves, lines, at))


def _lorenz_curves(lines: Lines, at: str, axes: Axes) -> None:
    x = 100 * searches.SHARES
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=DASHED, label="all equal")
    for name, (colour, curves) in lines.items():
        mean = np.mean(curves, axis=0)
        label = f"{name}, Gini {searches.gini_of(mean):.2f}"
        by_seed(axes, [(x, 100 * one) for one in curves], (x, 100 * mean), colour, label=label)
    axes.set(xlim=(0, 100), ylim=(0, 100))
    name_axes(axes, f"% of used examples, least φ first, at {at}", "% of all positive φ that they have")


WEIGHTS = (
    "Examples ordered by their mean loss under the constant policy, in equal parts; time likewise. Means of seeds. "
    "White: as the constant policy; brown: more; violet: less."
)


def picture(found: Found) -> Section:
    some = dict(list(found.named.items())[:MOST])
    means = {name: np.mean([_weights(one) for one in own], 0) for name, own in some.items()}
    most = max(1.5, *(float(np.quantile(mean, 0.99)) for mean in means.values()))  # one scale of colours for all
    title, words = "Weight of examples over time", "weight in the found policy by difficulty and time"
    drawings = [panel(title, name, words, _picture, mean, most) for name, mean in means.items()]
    words = WEIGHTS + left_out(some, found.named)
    return shown(Figures("picture", "What the found policy looks at, and when", words, drawings))


def _weights(folder: Folder) -> Floats:
    """Difficulty from the easiest by time: mean weight in the found policy in units of 1/N."""
    weights = folder.table("picture.parquet")
    return weights.pivot(index="difficulty", columns="time", values="weight").to_numpy()


def _picture(mean: Floats, most: float, axes: Axes) -> None:
    image = axes.imshow(
        mean, origin="lower", aspect="auto", cmap="PuOr_r", norm=TwoSlopeNorm(1.0, 0.0, most), extent=(0, 100, 0, 100),
        interpolation="nearest",
    )  # fmt: skip
    axes.grid(visible=False)
    axes.set(xlabel="% of training done", ylabel="difficulty: 0 easiest, 100 hardest")
    bar = axes.figure.colorbar(image, ax=axes, ticks=[0, 1, most], pad=0.02)
    bar.ax.set_yticklabels(["0", "1", f"{most:.1f}+"])
    bar.set_label("weight × number of examples")
    bar.outline.set_edgecolor(GRID)
