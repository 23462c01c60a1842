"""How the report of equality draws: curves, the law along the search, distributions, Lorenz curves, policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from ..contracts import Floats
from ..contribution import findings
from ..figures.style import COLOURS, GRID, INK, MUTED, Drawing, legend_below, limits, log_axis, shade
from ..store.folders import Folder
from . import searches
from .table import mean_interval

CT, PHI, GAP = COLOURS["easy"], COLOURS["hard"], COLOURS["middle"]
POLICIES = {
    "constant": INK, "found": COLOURS["hard"], "by loss": COLOURS["middle"], "by gradient norm": COLOURS["beta"],
    "greedy by contribution": CT, "without the wrong labels": COLOURS["stratified"],
}  # fmt: skip
LEVELS = (1.0, *findings.LEVELS)  # of the first target loss
MIDDLE = 0.5  # the level at which Lorenz curves are compared
LOWEST = -1.0  # bracket_share has no lower end
Folders = Sequence[Folder]  # of one setting, one a seed
Lines = Mapping[str, tuple[str, Sequence[Floats]]]  # label -> colour, and a curve a seed


def name_of(policy: str) -> str:
    return policy.replace(" times the step", "× step")


# ---- loss curves -----------------------------------------------------------------------------------------------------


def loss_curves(setting: str, folders: Folders) -> Drawing:
    words = f"held-out target loss against step by policy, {setting}"
    return Drawing("Held-out target loss", setting, words, partial(_loss_curves, folders))


def _loss_curves(folders: Folders, axes: Axes) -> None:
    found = pd.concat(searches.curves(folder) for folder in folders)
    faster = [name for name in found["policy"].unique() if name.startswith("constant, ")]
    order = ["constant", "found", *faster, *list(POLICIES)[2:]]
    for policy in [name for name in order if (found["policy"] == name).any()]:
        colour = POLICIES.get(policy) or shade("rs2", len(faster) - 1 - faster.index(policy), len(faster))
        losses = found[(found["policy"] == policy) & (found["step"] > 0)].pivot_table(
            index="step", values="held_out", aggfunc=["mean", "min", "max"]
        )
        mean, low, high = (losses[name]["held_out"].to_numpy() for name in ("mean", "min", "max"))
        dashes = (0, (4, 1.5)) if policy in faster else "-"
        width = 2.2 if policy in ("constant", "found") else 1.3
        axes.plot(losses.index, mean, color=colour, linewidth=width, linestyle=dashes, label=name_of(policy))
        axes.fill_between(losses.index, low, high, color=colour, alpha=0.15, linewidth=0)
    first = float(found.loc[found["step"] == 0, "held_out"].mean())
    axes.set_ylim(0, 1.1 * first)  # a run that diverges leaves the picture
    log_axis(axes, "x", 1, float(found["step"].max()), lambda value: f"{value:g}")
    axes.set_xlabel("step of training")
    axes.set_ylabel("loss, nats")
    legend_below(axes)


# ---- the law along the search ----------------------------------------------------------------------------------------


def along_the_search(setting: str, folders: Folders) -> list[Drawing]:
    """Which spread falls towards 0, what explains the rest, and three numbers that should be 1."""
    rows = pd.concat([searches.on_the_way(folder).assign(seed=place) for place, folder in enumerate(folders)])
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


def undrawable(folders: Folders) -> int:
    """How many of the spreads are not positive, which a logarithmic axis cannot show."""
    names = ["ct_cv", "phi_cv", "phi_kkt_gap"]
    return sum(int((searches.on_the_way(folder)[names] <= 0).to_numpy().sum()) for folder in folders)


def _spreads(rows: pd.DataFrame, lines: Mapping[str, tuple[str, str]], axes: Axes) -> None:
    positive = rows.assign(**{name: rows[name].where(rows[name] > 0) for name in lines})
    _along(axes, positive, lines)
    log_axis(axes, "y", *limits(positive[list(lines)].to_numpy().ravel(), 1.3), lambda value: f"{value:g}")
    axes.set_ylabel("distance from the mean / mean")


def _shares(rows: pd.DataFrame, lines: Mapping[str, tuple[str, str]], lowest: float, axes: Axes) -> None:
    _along(axes, rows, lines)
    axes.axhline(1, color=COLOURS["random"], linewidth=1, linestyle=(0, (4, 2)))
    values = rows[list(lines)].to_numpy().ravel()
    values = values[np.isfinite(values)]
    least, most = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    axes.set_ylim(max(lowest, min(0.0, least)) - 0.05, min(2.0, max(1.0, most)) + 0.1)
    if not len(values):
        _say(axes, "not measured\nwith momentum or weight decay")


def _say(axes: Axes, words: str) -> None:
    """Why a panel is empty."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=MUTED)


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


# ---- distributions ---------------------------------------------------------------------------------------------------


def distributions(setting: str, folders: Folders) -> list[Drawing]:
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
    axes.axhline(1, color=COLOURS["random"], linewidth=1, linestyle=(0, (4, 2)), label="all equal")
    shown = np.concatenate([mean[mean.index.isin(levels, "level")].to_numpy().ravel() for mean in means.values()])
    axes.set_ylim(min(0.0, float(np.nanmin(shown))) * 1.05, float(np.nanmax(shown)) * 1.05)
    _level_ticks(axes, levels)
    axes.set_ylabel(f"{sign} of an example / mean {sign}")
    legend_below(axes)


def _level_ticks(axes: Axes, levels: Sequence[float]) -> None:
    axes.set_xticks(np.arange(len(levels)), ["start" if level == 1 else f"{100 * level:g} %" for level in levels])
    axes.set_xlabel("target loss, of that at the start")


# ---- Lorenz curves ---------------------------------------------------------------------------------------------------


def lorenz(setup: str, subsets: Mapping[str, Folders], colours: Mapping[str, str]) -> list[Drawing]:
    """Before and after pruning under the constant policy, and constant against found on the first subset."""
    curves = {kept: [searches.lorenz(folder) for folder in folders] for kept, folders in subsets.items()}
    drawings = []
    if len(subsets) > 1:
        level = _level([one for found in curves.values() for one in found], ("constant",))
        lines = {kept: (colours[kept], [one["constant", level] for one in found]) for kept, found in curves.items()}
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
    axes.plot([0, 100], [0, 100], color=COLOURS["random"], linewidth=1, linestyle=(0, (4, 2)), label="all equal")
    for name, (colour, curves) in lines.items():
        for curve in curves:
            axes.plot(100 * searches.SHARES, 100 * curve, color=colour, linewidth=0.6, alpha=0.5)
        mean = np.mean(curves, axis=0)
        label = f"{name}, Gini {searches.gini_of(mean):.2f}"
        axes.plot(100 * searches.SHARES, 100 * mean, color=colour, linewidth=2, label=label)
    axes.set(xlim=(0, 100), ylim=(0, 100))
    axes.set_xlabel(f"% of used examples, least φ first, at {_at(level)}")
    axes.set_ylabel("% of all positive φ that they have")
    legend_below(axes)


# ---- the policy as a picture -----------------------------------------------------------------------------------------


def pictures(settings: Mapping[str, Folders]) -> list[Drawing]:
    """The found policy's weights by difficulty and time, one scale of colours for all."""
    means = {name: np.mean([searches.picture(one).to_numpy() for one in found], 0) for name, found in settings.items()}
    most = max(1.5, max(float(np.quantile(mean, 0.99)) for mean in means.values()))
    return [
        Drawing("Weight of examples over time", name, f"weight in the found policy by difficulty and time, {name}",
                partial(_picture, mean, most))
        for name, mean in means.items()
    ]  # fmt: skip


def _picture(mean: Floats, most: float, axes: Axes) -> None:
    norm = TwoSlopeNorm(1.0, 0.0, most)
    image = axes.imshow(
        mean, origin="lower", aspect="auto", cmap="PuOr_r", norm=norm, extent=(0, 100, 0, 100), interpolation="nearest"
    )
    axes.grid(visible=False)
    axes.set_xlabel("% of training done")
    axes.set_ylabel("difficulty: 0 easiest, 100 hardest")
    bar = axes.figure.colorbar(image, ax=axes, ticks=[0, 1, most], pad=0.02)
    bar.ax.set_yticklabels(["0", "1", f"{most:.1f}+"])
    bar.set_label("weight × number of examples")
    bar.outline.set_edgecolor(GRID)


# ---- rules and fractions kept ----------------------------------------------------------------------------------------


def by_subset(setup: str, runs: pd.DataFrame, colours: Mapping[str, str]) -> list[Drawing]:
    """Equality of phi at equal loss, by what is kept."""
    return [
        Drawing("How equal is φ? (ESS)", setup, f"ESS of phi by level, {setup}",
                partial(_levels, runs, colours, "ess", "effective share of the examples")),
        Drawing("How equal is φ? (signal)", setup, f"signal by level, {setup}",
                partial(_levels, runs, colours, "signal", "mean² / mean square")),
    ]  # fmt: skip


def gain(setup: str, runs: pd.DataFrame, colours: Mapping[str, str]) -> Drawing:
    """What searching still gains over uniform weights, by what is kept."""
    words = f"gain of the found policy by what is kept, {setup}"
    return Drawing("What a search still gains", setup, words, partial(_gains, runs, colours))


def _levels(runs: pd.DataFrame, colours: Mapping[str, str], name: str, words: str, axes: Axes) -> None:
    names = {level: f"constant_phi_{name}@{level:g}" for level in LEVELS[1:]}
    levels = [level for level, metric in names.items() if metric in runs and runs[metric].notna().all()]
    subsets = [kept for kept in colours if (runs["kept"] == kept).any()]
    for place, kept in enumerate(subsets):
        own = runs[runs["kept"] == kept]
        shift = 0.08 * (place - (len(subsets) - 1) / 2)
        _intervals(
            axes,
            shift + np.arange(len(levels), dtype=np.float64),
            [own[names[level]] for level in levels],
            colours[kept],
            kept,
        )
    _level_ticks(axes, levels)
    if not levels:
        axes.set_yticks([])
        _say(axes, "some run does not fall to 75 % of its first loss:\nthere is no equal loss to compare at")
    axes.set_ylabel(words)
    legend_below(axes)


def _gains(runs: pd.DataFrame, colours: Mapping[str, str], axes: Axes) -> None:
    subsets = [kept for kept in colours if (runs["kept"] == kept).any()]
    for place, kept in enumerate(subsets):
        values = 100 * runs.loc[runs["kept"] == kept, "gain"]
        _intervals(axes, np.array([float(place)]), [values], colours[kept], kept)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xticks([])
    axes.set_xlim(-0.5, len(subsets) - 0.5)
    axes.set_ylabel("area under the held-out loss saved, %")
    legend_below(axes)


def _intervals(axes: Axes, places: Floats, values: Sequence[Any], colour: str, label: str) -> None:
    """Means with 95 % t intervals over seeds."""
    found = np.array([mean_interval(one.dropna().to_numpy(dtype=float)) for one in values]).reshape(-1, 4)
    reach = np.nan_to_num(np.abs(found[:, 2:] - found[:, :1]).T)
    axes.errorbar(places, found[:, 0], yerr=reach, color=colour, marker="o", linewidth=1.6, capsize=3, label=label)
