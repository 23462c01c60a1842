"""Equal contribution across sources: what each source of a text weighs under the found policy, and contributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contribution.findings import LAST
from ...figures.axes import name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREEN, INK, OCHRE, ORANGE, PURPLE, SKY, TEAL, VIOLET
from ...store.folders import Folder
from ..parts import Section, cells, note, shown
from ..recorded import reads_text
from .changes import interval

if TYPE_CHECKING:
    from .found import Found

WORDS = (
    "Left: the share of all weight that the found policy gives to each source as training goes on; dotted: its share "
    "of the examples, which is what mixing in proportion gives. Right: the mean φ of a source over that of all; 1 "
    "means that the sources contribute equally. Bold: the found policy; dashed: the constant one. Medians of seeds; "
    "bands: from the lowest to the highest seed. Right, what lies outside of -1 and 3 is cut off: where steps are too "
    "large, φ of both policies is wild for a while."
)
BY_SOURCE = (
    "Weight over share: of all steps; 1 is mixing in proportion. φ over the mean: medians over the looks of the first "
    "three quarters. Of φ's variance over the examples that weigh something, the part that lies between the sources' "
    "means: 0 where sources contribute equally. Means and 95 % t intervals over seeds."
)
NONE: pd.Series[float] = pd.Series(dtype=float)
SHOWN = (-1.0, 3.0)  # of the mean phi of a source over that of all
COLOURS_OF_SOURCES = (ORANGE, BLUE, GREEN, PURPLE, OCHRE, SKY, VIOLET, TEAL)


def section(found: Found) -> Section | None:
    panels = [one for setting, rows in found.sources.items() for one in drawings(setting, rows)]
    figures = Figures("sources", "Do the sources contribute equally?", WORDS, panels, columns=2)
    return shown(figures) if panels else None


def by_source(found: Found) -> Section | None:
    """The table beside the figures."""
    rows = source_rows(found)
    return Section("Weight and contribution by source", [note(BY_SOURCE), cells(rows)]) if rows else None


def source_rows(found: Found) -> list[dict[str, Any]]:
    own = {f"{setup}, {kept}": runs for (setup, kept), runs in found.runs.groupby(["setup", "kept"], sort=False)}
    return [row for setting, rows in found.sources.items() for row in weights(setting, rows, own[setting])]


def table(folders: Sequence[Folder]) -> pd.DataFrame | None:
    """A row for every policy, step, source and seed; None where the examples are not of several sources."""
    found = []
    for seed, folder in enumerate(folders):
        file = folder.path / "groups.parquet"
        if not reads_text(folder.record["recipe"]["task"]) or not file.exists():
            return None
        rows = pd.read_parquet(file)
        whole = rows.assign(part=rows["weight"] * rows["phi"]).groupby(["policy", "step"])["part"].transform("sum")
        found.append(rows.assign(seed=seed, relative=rows["phi"] / whole))
    return pd.concat(found, ignore_index=True)


def drawings(setting: str, rows: pd.DataFrame) -> list[Drawing]:
    return [
        Drawing("What each source weighs", setting, f"share of the weight by source and step, {setting}",
                partial(_weights, rows)),
        Drawing("What each source contributes", setting, f"mean phi of a source over the mean by step, {setting}",
                partial(_contributions, rows)),
    ]  # fmt: skip


def weights(setting: str, rows: pd.DataFrame, runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for each source; phi at the looks of the first three quarters, medians, then means of seeds."""
    early = rows[rows["step"] <= LAST * rows["step"].max()]
    for source, own in early.groupby("group", sort=False):
        middle = own.groupby(["policy", "seed"])["relative"].median()
        yield {
            "setting": setting,
            "source": source,
            "share of the examples": interval(own.groupby("seed")["examples"].first()),
            "weight / share, found": interval(runs.get(f"lift_{source}", NONE)),  # none: pruned altogether
            "φ / mean φ, constant": interval(middle["constant"]),
            "φ / mean φ, found": interval(middle["found"]),
            "φ's variance between sources, constant": interval(runs["constant_between_phi"]),
            "found": interval(runs["found_between_phi"]),
        }


def _weights(rows: pd.DataFrame, axes: Axes) -> None:
    found = rows[rows["policy"] == "found"]
    for colour, (source, own) in zip(cycle(COLOURS_OF_SOURCES), found.groupby("group", sort=False), strict=False):
        _band(axes, own, "weight", colour, str(source))
        axes.axhline(own["examples"].mean(), color=colour, linewidth=1, linestyle=":")
    axes.set_ylim(0, 1)
    name_axes(axes, "step of training", "share of the weight")


def _contributions(rows: pd.DataFrame, axes: Axes) -> None:
    early = rows[rows["step"] <= LAST * rows["step"].max()]
    for colour, (source, own) in zip(cycle(COLOURS_OF_SOURCES), early.groupby("group", sort=False), strict=False):
        _band(axes, own[own["policy"] == "found"], "relative", colour, str(source))
        middle = own[own["policy"] == "constant"].groupby("step")["relative"].median()
        axes.plot(middle.index, middle, color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.axhline(1, color=INK, linewidth=0.8)
    low, high = np.nanquantile(early["relative"], [0.02, 0.98])
    axes.set_ylim(max(SHOWN[0], min(0.0, low)), min(SHOWN[1], max(2.0, high)))
    name_axes(axes, "step of training", "mean φ of the source / mean φ")


def _band(axes: Axes, own: pd.DataFrame, name: str, colour: str, label: str) -> None:
    seeds = own.pivot_table(index="step", columns="seed", values=name)
    axes.plot(seeds.index, seeds.median(axis=1), color=colour, linewidth=2, label=label)
    axes.fill_between(seeds.index, seeds.min(axis=1), seeds.max(axis=1), color=colour, alpha=0.15, linewidth=0)
