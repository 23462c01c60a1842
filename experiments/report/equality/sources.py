"""Equal contribution across sources: what each source of a text weighs under the found policy, and contributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contribution.findings import LAST
from ...figures.axes import name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREEN, INK, OCHRE, ORANGE, PURPLE, SKY, TEAL, VIOLET
from ...store.folders import Folder
from ..parts import Section, cells, note, shown
from ..table import fact
from .marks import DASHED, interval, over_seeds, panel
from .searches import Found

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
Tables = dict[tuple[str, str], pd.DataFrame]  # by setting: a row for each policy, step, source and seed
NONE: pd.Series[float] = pd.Series(dtype=float)
GROUPS = "groups.parquet"
SHOWN = (-1.0, 3.0)  # of the mean phi of a source over that of all
COLOURS_OF_SOURCES = (ORANGE, BLUE, GREEN, PURPLE, OCHRE, SKY, VIOLET, TEAL)


def section(tables: Tables) -> Section | None:
    panels = [one for setting, rows in tables.items() for one in drawings(", ".join(setting), rows)]
    return shown(Figures("sources", "Do the sources contribute equally?", WORDS, panels, columns=2)) if panels else None


def by_source(rows: Sequence[dict[str, Any]]) -> Section | None:
    """The table beside the figures."""
    return Section("Weight and contribution by source", [note(BY_SOURCE), cells(rows)]) if rows else None


def tables(found: Found) -> Tables:
    """Of the settings with several sources."""
    return {setting: rows for setting, own in found.settings.items() if (rows := table(own)) is not None}


def table(folders: Sequence[Folder]) -> pd.DataFrame | None:
    """A row for every policy, step, source and seed; None where the examples are not of several sources."""
    tasks = [one.record["recipe"]["task"]["name"] for one in folders]
    if not all(fact("task", name, "reads") == "text" for name in tasks):
        return None
    if not all((one.path / GROUPS).exists() for one in folders):
        return None
    rows = pd.concat([one.table(GROUPS).assign(seed=seed) for seed, one in enumerate(folders)], ignore_index=True)
    whole = (rows["weight"] * rows["phi"]).groupby([rows[name] for name in ("seed", "policy", "step")]).transform("sum")
    return rows.assign(relative=rows["phi"] / whole)


def drawings(setting: str, rows: pd.DataFrame) -> list[Drawing]:
    weigh, contribute = "share of the weight by source and step", "mean phi of a source over the mean by step"
    return [
        panel("What each source weighs", setting, weigh, _weights, rows),
        panel("What each source contributes", setting, contribute, _contributions, rows),
    ]


def rows(tables: Tables, runs: Mapping[tuple[str, str], pd.DataFrame]) -> list[dict[str, Any]]:
    return [row for setting, found in tables.items() for row in weights(", ".join(setting), found, runs[setting])]


def weights(setting: str, rows: pd.DataFrame, runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """A row for each source; phi at the looks of the first three quarters, medians, then means of seeds."""
    for source, own in _early(rows).groupby("group", sort=False):
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
    for colour, source, own in _sources(rows[rows["policy"] == "found"]):
        over_seeds(axes, own, "weight", "median", colour, linewidth=2, label=source)
        axes.axhline(own["examples"].mean(), color=colour, linewidth=1, linestyle=":")
    axes.set_ylim(0, 1)
    name_axes(axes, "step of training", "share of the weight")


def _contributions(rows: pd.DataFrame, axes: Axes) -> None:
    early = _early(rows)
    for colour, source, own in _sources(early):
        over_seeds(axes, own[own["policy"] == "found"], "relative", "median", colour, linewidth=2, label=source)
        middle = own[own["policy"] == "constant"].groupby("step")["relative"].median()
        axes.plot(middle.index, middle, color=colour, linewidth=1.2, linestyle=DASHED)
    axes.axhline(1, color=INK, linewidth=0.8)
    low, high = np.nanquantile(early["relative"], [0.02, 0.98])
    axes.set_ylim(max(SHOWN[0], min(0.0, low)), min(SHOWN[1], max(2.0, high)))
    name_axes(axes, "step of training", "mean φ of the source / mean φ")


def _early(rows: pd.DataFrame) -> pd.DataFrame:
    early: pd.DataFrame = rows[rows["step"] <= LAST * rows["step"].max()]
    return early


def _sources(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """A colour, its source and the rows of that."""
    for colour, (source, own) in zip(cycle(COLOURS_OF_SOURCES), rows.groupby("group", sort=False), strict=False):
        yield colour, str(source), own
