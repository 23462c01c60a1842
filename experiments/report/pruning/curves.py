"""The loss curves behind the points: dev loss while training, of the largest pool, the mean of seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures import hover
from ...figures.axes import name_axes
from ...figures.panels import Drawing
from ...figures.style import GREY, INK, MARKERS, in_order, name_of, paler, shade
from ...store.folders import Store
from ..parts import Section, details, grid, note
from .layout import Panel

FILE = "epochs.parquet"  # of a train folder
LOOKS = 60  # of a curve at most
WORDS = (
    "Loss on the dev split while training, in nats, the mean of the seeds; the largest pool alone. A curve that still "
    "falls at its end was cut short, and one that rises fits what it was trained on alone."
)


def section(store: Store, panels: Sequence[Panel]) -> Section | None:
    drawings = [one for panel in panels for one in _drawings(store, panel)]
    if not drawings:
        return None
    shown = [note(WORDS), details(f"{len(drawings)} panels", grid(drawings, "l"), opened=len(drawings) < 4)]
    return Section("Loss curves", shown)


def _drawings(store: Store, panel: Panel) -> Iterator[Drawing]:
    pool = panel.runs["pool"].max()
    runs = panel.runs[panel.runs["pool"] == pool]
    curves = pd.concat([_curves(store, runs), pd.DataFrame(columns=["rule", "keep", "step", "dev_loss", "seeds"])])
    if len(curves):
        words = f"dev loss against training steps by rule and fraction kept, {panel.title}, pool of {pool:,.0f}"
        yield Drawing("Dev loss", f"{panel.subtitle} · pool of {pool:,.0f}", words, partial(_draw, curves), data=curves)


def _curves(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    """(rule, keep, step, dev_loss, seeds) of every point, the mean of the seeds that have a step."""
    found = []
    for (rule, keep), own in runs.groupby(["rule", "keep"], sort=True):
        paths = (store.path("train", str(key)) / FILE for key in own["train"])
        tables = [pd.read_parquet(path) for path in paths if path.is_file()]
        tables = [one[["step", "dev_loss"]] for one in tables if "dev_loss" in one and one["dev_loss"].notna().any()]
        if tables:
            means = pd.concat(tables).groupby("step")["dev_loss"].agg(["mean", "size"]).reset_index()
            means.columns = pd.Index(["step", "dev_loss", "seeds"])
            rows = np.unique(np.linspace(0, len(means) - 1, min(LOOKS, len(means))).round().astype(int))
            found.append(means.iloc[rows].assign(rule=str(rule), keep=float(str(keep))))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _draw(curves: pd.DataFrame, axes: Axes) -> None:
    for rule in in_order(curves["rule"]):
        lines: list[tuple[Any, pd.DataFrame]] = list(curves[curves["rule"] == rule].groupby("keep", sort=True))
        for place, (keep, line) in enumerate(lines):
            random = rule == "random"
            colour = paler(GREY, place, len(lines)) if random else shade(rule, place, len(lines))
            label = "unpruned" if rule == "none" else f"{name_of(rule)}, keep {keep:g}"
            axes.plot(
                line["step"], line["dev_loss"], color=INK if rule == "none" else colour, linewidth=1.4, label=label
            )
            (end,) = axes.plot(line["step"].iloc[-1:], line["dev_loss"].iloc[-1:], MARKERS[place % 6], color=colour,
                               markersize=4)  # fmt: skip
            last = line.iloc[-1]
            hover.say(end, [f"{label}: {last['dev_loss']:.4g} after {last['step']:,.0f} steps, {last['seeds']} seeds"])
    name_axes(axes, "training steps", "dev loss (nats)")
