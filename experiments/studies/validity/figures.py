"""What the study shows: LDS by estimator, and against metasmoothness."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contribution.settings import READABLE
from ...figures.axes import log_axis, name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREEN, GREY, INK, MARKERS, ORANGE
from ...laws.intervals import Interval, crossed, interval_of
from . import Validity, setup_of

NAMES = {
    "phi": "φ, whole run",
    "ct": "CT, summed",
    "ct_update": "CT in the update",
    "tracin": "TracIn",
    "dot": "gradient product",
    "cosine": "gradient cosine",
    "trak": "TRAK, one model",
    "el2n": "EL2N",
    "random": "random",
}
COLOURS = {"sgd": BLUE, "momentum": GREEN, "adamw": ORANGE}
POINT = ["setup", "optimizer", "learning_rate", "removed"]
PER_RUN = ["metasmoothness", "readable", "ceiling", "spread", "loss", "replay_error", "steps", "examples"]
Tables = Mapping[str, pd.DataFrame]


def runs(tables: Tables) -> pd.DataFrame:
    """A row for each run and estimator: its LDS, the mean over targets with its 95 % interval in this run, and `fresh`.

    `lds_low` and `lds_high` count targets and removals, which the targets share (none where an older run did not
    measure the second); claims and the page's intervals are over seeds. `readable`: all seeds of the setting are.
    """
    by_run, by_target = (_with_setup(tables[name]) for name in ("runs", "lds"))
    by_run["readable"] = by_run.groupby(POINT)["readable"].transform("min")
    rows = []
    for key, group in by_target.groupby([*POINT, "seed", "estimator"], sort=False):
        over = interval_of(group["lds"])
        if "removal_error" in group:
            errors, numbers = (over.error, group["removal_error"].iloc[0]), (len(group), group["removals"].iloc[0])
            over = crossed(over.value, errors, numbers)
        else:
            over = Interval(over.value, math.nan, math.nan, math.nan)
        row = dict(zip([*POINT, "seed", "estimator"], key, strict=True)) | {"fresh": float(group["fresh"].mean())}
        row |= {"setting": ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in key[:-2])}
        rows.append(row | {"lds": over.value, "lds_low": over.low, "lds_high": over.high})
    found = pd.DataFrame(rows)
    kept = by_run[[*POINT, "seed", *(name for name in PER_RUN if name in by_run)]]
    return found.merge(kept, on=[*POINT, "seed"], how="left")


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and intervals over seeds, a row for each setting and estimator."""
    rows = []
    for key, group in runs.groupby([*POINT, "estimator"], sort=False):
        row = dict(zip([*POINT, "estimator"], key, strict=True)) | {"seeds": len(group)}
        over = interval_of(group["lds"])
        in_a_run = (group["lds_high"] - group["lds_low"]).mean() / 2
        row |= {"lds": over.value, "low": over.low, "high": over.high}
        row |= {"interval over targets and removals, ±": in_a_run} if math.isfinite(in_a_run) else {}
        row |= {name: float(group[name].mean()) for name in ("fresh", "ceiling", "metasmoothness")}
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(runs: pd.DataFrame) -> str:
    """What phi predicts in settings where it can be read, and what the printed contribution does there."""
    readable = runs[runs["readable"] == 1]
    parts = []
    for name in ("phi", "ct", "cosine"):
        by_setting = readable[readable["estimator"] == name].groupby(POINT)["lds"].mean()
        if len(by_setting):
            ends = f"(from {by_setting.min():.2f} to {by_setting.max():.2f})"
            parts.append(f"{NAMES[name]} {by_setting.median():.2f} {ends}")
    if not parts:
        return "In no setting are the runs of all seeds smooth enough for φ to be read."
    return (
        f"Where the runs of all seeds are metasmooth (in {len(readable.groupby(POINT))} of {len(runs.groupby(POINT))} "
        "settings), the rank correlation of predicted and measured losses after retraining without some examples is, "
        f"as the median of settings: {'; '.join(parts)}."
    )


def caveat(tables: Tables) -> str:
    by_run = tables["runs"]
    seeds = sorted(set(_with_setup(by_run).groupby(POINT)["seed"].nunique()))
    return (
        f"LDS: Spearman over {_one(by_run, 'removals')} random removals, the mean over {_one(by_run, 'targets')} "
        f"target examples, of retrainings with the run's own seed; 'fresh' is that of retrainings with another seed. "
        f"{' or '.join(map(str, seeds))} seeds a setting; 95 % t intervals over seeds."
    )


def figures(tables: Tables) -> Iterator[Figures]:
    found = runs(tables)
    usual = found[found["learning_rate"] == found.groupby(["setup", "optimizer"])["learning_rate"].transform(_usual)]
    yield Figures(
        "lds", "Does a contribution predict the loss without the example?",
        "Each dot: the rank correlation (LDS) of predicted and measured losses after retraining without a random part "
        "of the examples, with the run's own seed. Vertical dashes: how well two retrainings of the same sets under "
        "different seeds agree (the ceiling). What does not know the seed reaches at most about its square root in "
        "retrainings with any one seed. Means and 95 % intervals over seeds.",
        [Drawing(str(setup), "by estimator; optimiser and learning rate", f"LDS of each estimator, {setup}",
                 partial(_by_estimator, own), height=4.6) for setup, own in usual.groupby("setup", sort=False)],
    )  # fmt: skip
    yield Figures(
        "metasmoothness", "When can φ be read?",
        "Each dot is a run. Metasmoothness is measured by five trainings, before any contribution. The line: below it "
        "prune-lab says that φ is not to be read.",
        [
            Drawing("φ by metasmoothness", "a dot a run", "LDS of phi against metasmoothness",
                    lambda axes: _against(axes, found, "phi", "metasmoothness")),
            Drawing("φ by learning rate", "a dot a run", "LDS of phi against the learning rate",
                    lambda axes: _against(axes, found, "phi", "learning_rate")),
            Drawing("CT by learning rate", "summed over steps, a dot a run", "LDS of CT against the learning rate",
                    lambda axes: _against(axes, found, "ct", "learning_rate")),
        ],
    )  # fmt: skip


def _by_estimator(own: pd.DataFrame, axes: Axes) -> None:
    names = [name for name in NAMES if (own["estimator"] == name).any()][::-1]
    optimizers = [name for name in COLOURS if (own["optimizer"] == name).any()]
    for place, optimizer in enumerate(optimizers):
        rows = own[own["optimizer"] == optimizer]
        each = [interval_of(rows[rows["estimator"] == name]["lds"]) for name in names]
        means = np.array([one.value for one in each])
        heights = np.arange(len(names)) + 0.22 * ((len(optimizers) - 1) / 2 - place)
        reach = np.nan_to_num([[one.value - one.low for one in each], [one.high - one.value for one in each]])
        rate = f"{optimizer}, {rows['learning_rate'].iloc[0]:g}"
        axes.errorbar(means, heights, xerr=reach, fmt="o", markersize=4, color=COLOURS[optimizer], label=rate)
        axes.axvline(rows["ceiling"].mean(), color=COLOURS[optimizer], linewidth=1, linestyle=(0, (3, 2)))
    axes.set_yticks(range(len(names)), [NAMES[name] for name in names])
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlim(min(-0.3, axes.get_xlim()[0]), 1.02)
    name_axes(axes, "LDS", "")


def _against(axes: Axes, found: pd.DataFrame, estimator: str, name: str) -> None:
    """A dot for each run; colours are optimisers, and forms are networks with their data."""
    rows = found[found["estimator"] == estimator]
    setups = list(dict.fromkeys(found["setup"]))
    for (optimizer, setup), own in rows.groupby(["optimizer", "setup"], sort=False):
        form = MARKERS[setups.index(setup) % len(MARKERS)]
        axes.plot(own[name], own["lds"], form, markersize=4.5, alpha=0.75, color=COLOURS[str(optimizer)])
    for optimizer in [one for one in COLOURS if (rows["optimizer"] == one).any()]:
        axes.plot([], [], "o", color=COLOURS[optimizer], label=optimizer)
    for place, setup in enumerate(setups):
        axes.plot([], [], MARKERS[place % len(MARKERS)], color=GREY, label=setup)
    axes.axhline(0, color=INK, linewidth=0.8)
    if name == "metasmoothness":
        axes.axvline(READABLE, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
    else:
        log_axis(axes, "x", float(rows[name].min()) / 1.3, float(rows[name].max()) * 1.3)
    axes.set_ylim(min(-0.3, float(rows["lds"].min()) - 0.05), 1.03)
    name_axes(axes, name.replace("_", " "), "LDS")


def _usual(rates: pd.Series[float]) -> float:
    """The rate in the middle of those that were run."""
    ordered = sorted(set(rates))
    return ordered[(len(ordered) - 1) // 2]


def _with_setup(table: pd.DataFrame) -> pd.DataFrame:
    """With what a run is but for POINT's other columns and the seed: networks, data, and each setting that differs."""
    bodies = table["body.name"] if "body.name" in table else pd.Series(None, index=table.index, dtype=object)
    triples = zip(table["task.name"], table["model.name"], bodies, strict=True)
    table = table.assign(setup=[setup_of(*map(_text, triple)) for triple in triples])  # type: ignore[arg-type]
    names = [str(name) for name in table if name not in POINT]
    settings = [name for name in names if name.split(".")[0] in Validity.model_fields]
    words = table["setup"].copy()
    for _, same in table.groupby("setup"):
        for name in settings:
            if same[name].nunique(dropna=False) > 1:
                words[same.index] += [f", {name} {_plain(value)}" for value in same[name]]
    return table.assign(setup=words)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _one(table: pd.DataFrame, name: str) -> str:
    return " or ".join(str(value) for value in sorted(table[name].unique()))
