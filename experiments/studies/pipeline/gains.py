"""The rows that claims are judged on: the loss of each run, what each stage gains, and how gains change with others.

A gain is a fall of ln L, L being the test error of images and the test loss of text, at equal total compute: 0.01 is
one percent of the error. Each row is of one seed, which all eight combinations share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...contracts import Floats
from ...laws.factorial import effects, gains
from ...laws.intervals import interval_of
from . import FACTORS

KEYS = ["task", "compute"]
Row = dict[str, object]


def rows(table: pd.DataFrame) -> pd.DataFrame:
    """measure, value, seed, task, compute, and stage (of an effect or gain) or the stages (of a run)."""
    runs = losses(table)
    each = runs.assign(measure="ln_loss", value=-runs["outcome"])[["measure", "value", "seed", *KEYS, *FACTORS]]
    found = [each, pd.DataFrame(_of_designs(runs))]
    return pd.concat([one for one in found if len(one)], ignore_index=True)


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """The runs with `outcome`, which is better where it is higher: less the ln of the error, or of the loss."""
    error = table["error"] if "error" in table else pd.Series(math.nan, index=table.index)
    measured = error.astype(float).fillna(table["loss"].astype(float))
    return table.assign(outcome=-measured.map(math.log), task=table["task.name"])


def designs(runs: pd.DataFrame) -> Iterator[tuple[Row, list[int], Floats]]:
    """Each task and compute with all eight combinations: which it is, its seeds, and (S, 2, 2, 2) outcomes."""
    for key, own in runs.groupby(KEYS, sort=True):
        wide = own.pivot_table(index="seed", columns=list(FACTORS), values="outcome", sort=True).dropna()
        if wide.shape[1] == 2 ** len(FACTORS) and len(wide):
            values = wide.to_numpy(dtype=float).reshape(-1, *(2,) * len(FACTORS))
            yield dict(zip(KEYS, key, strict=True)), [int(seed) for seed in wide.index], values


def _of_designs(runs: pd.DataFrame) -> Iterator[Row]:
    for about, seeds, values in designs(runs):
        found = [("effect", name, one) for name, one in effects(values, FACTORS).items()]
        for name, (alone, after) in gains(values, FACTORS).items():
            found += [("gain_alone", name, alone), ("gain_after", name, after), ("gain_grows", name, after - alone)]
        found.append(("gain_of_all", "all", values[:, 1, 1, 1] - values[:, 0, 0, 0]))
        for measure, stage, own in found:
            for seed, value in zip(seeds, own, strict=True):
                yield about | {"measure": measure, "stage": stage, "seed": seed, "value": float(value)}


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and intervals over seeds."""
    found = []
    keys = [name for name in ("measure", *KEYS, "stage", *FACTORS) if name in runs]
    for key, group in runs.groupby(keys, dropna=False, sort=False):
        one = interval_of(group["value"])
        row = dict(zip(keys, key, strict=True)) | {"seeds": len(group), "value": one.value}
        found.append(row | {"low": one.low, "high": one.high})
    return pd.DataFrame(found)


def over_computes(runs: pd.DataFrame, measure: str, stage: str, task: str) -> Floats:
    """(S,) of each seed the mean over levels of compute."""
    own = runs[(runs["measure"] == measure) & (runs["stage"] == stage) & (runs["task"] == task)]
    return np.asarray(own.groupby("seed")["value"].mean().to_numpy(dtype=float))
