"""Finished runs and pages as trackers of experiments take them: settings, metrics, curves, claims."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import Floats, Indices, Sent
from ..store.folders import Folder, Store
from .table import completed, dotted, without

CURVES = {"epochs.parquet": "step", "curves.parquet": "step"}  # a table of a run -> its column of steps


def of_run(store: Store, phase: str, key: str) -> Sent:
    """A published run, with the settings of what it was made from (train., prune., score.) and their curves."""
    folder = store.get(phase, key)
    settings: dict[str, Any] = {}
    curves: dict[str, tuple[Indices, Floats]] = {}
    for place, one in _family(store, phase, folder):
        recipe = without(completed(one.record["recipe"]), "proxy")
        settings |= {place + name: value for name, value in dotted(recipe) if value is not None}
        if not place or place == "train.":
            curves |= _curves(one)
    return Sent(key, str(folder.record.get("name", key)), settings, _numbers(folder.record["metrics"]), curves)


def of_page(folder: Path, title: str, metrics: Mapping[str, Any]) -> Sent:
    """A page, with its claims."""
    claims = json.loads((folder / "claims.json").read_text())["expectations"]
    record = json.loads((folder / "record.json").read_text())
    counted = _numbers(metrics) | {f"claims_{name}": float(n) for name, n in metrics.get("claims", {}).items()}
    effects = {f"claim_{n}": float(c["effect"]) for n, c in enumerate(claims, 1) if c["effect"] is not None}
    settings = {"command": record.get("command"), "verdict": metrics.get("verdict")}
    return Sent(folder.name, title, settings, counted | effects, {}, claims, folder)


def _family(store: Store, phase: str, folder: Folder) -> Iterator[tuple[str, Folder]]:
    """The run, and of what it needs one folder a phase: what stands before the names of their settings, and each."""
    yield "", folder
    todo, seen = [folder], {phase}
    while todo:
        for name, key in todo.pop().record["inputs"].items():
            of = "train" if name.partition("_")[0] in ("train", "features", "start") else name
            if of not in seen:
                seen.add(of)
                found = store.get(of, str(key))
                todo.append(found)
                yield f"{of}.", found


def _curves(folder: Folder) -> dict[str, tuple[Indices, Floats]]:
    found: dict[str, tuple[Indices, Floats]] = {}
    for name, axis in CURVES.items():
        if not folder.has(name):
            continue
        table = folder.table(name)
        groups = table.groupby("policy") if "policy" in table else [("", table)]
        for policy, rows in groups:
            steps = rows[axis].to_numpy(np.int64)
            for column in rows.select_dtypes("number").columns.drop(axis):
                found[f"{policy} {column}".strip()] = steps, rows[column].to_numpy(float)
    return found


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
