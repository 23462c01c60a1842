"""A contest: ours and a plain baseline do the same work in turn; the median of each, and the ratio."""

from __future__ import annotations

import importlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from prune_lab.experiments import devices

CPU = torch.device("cpu")
AMX = "the target was stated for a CPU with AMX, where bfloat16 is fast"
Lap = Callable[[], float]  # does some work and returns how much: images or tokens


@dataclass(frozen=True, slots=True)
class Contest:
    """What is raced. `prepare` makes the data that both sides are given; each side then sets itself up for its laps."""

    name: str
    unit: str
    prepare: Callable[[], Any]
    ours: Callable[[Any], Lap]
    baseline: Callable[[Any], Lap]
    repeats: int
    note: str
    target: float | None = None  # ratio
    amount: float | None = None  # None: units a second are compared; else the seconds that so many units take


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the table, one JSON object. `ratio` is how many times better ours is."""

    benchmark: str
    ours: float
    baseline: float
    unit: str
    ratio: float
    target: float | None
    met: bool | None
    note: str
    machine: dict[str, Any]


def compare(
    name: str, ours: float, baseline: float, unit: str, *, target: float | None, note: str, more_is_better: bool
) -> Comparison:
    """The two figures, their ratio and whether it reaches the target; no target, no verdict."""
    ratio = ours / baseline if more_is_better else baseline / ours
    return Comparison(
        name, ours, baseline, unit, ratio, target, None if target is None else ratio >= target, note, machine()
    )


def race(contest: Contest) -> Comparison:
    """Alternate the laps, so that a busy minute slows both, and compare medians."""
    import_compiler()
    given = contest.prepare()
    laps = {"ours": contest.ours(given), "baseline": contest.baseline(given)}
    rates: dict[str, list[float]] = {side: [] for side in laps}
    for _ in range(contest.repeats):
        for side, lap in laps.items():
            begin = time.perf_counter()
            done = lap()
            rates[side].append(done / (time.perf_counter() - begin))
    ours, baseline = (statistics.median(rates[side]) for side in ("ours", "baseline"))
    if contest.amount is not None:
        ours, baseline = contest.amount / ours, contest.amount / baseline
    return compare(
        contest.name,
        ours,
        baseline,
        contest.unit,
        target=contest.target,
        note=f"median of {contest.repeats}; {contest.note}",
        more_is_better=contest.amount is None,
    )


def import_compiler() -> None:
    """torch imports its compiler at an optimiser's first step: seconds and 150 MiB that belong to no lap."""
    for name in ("torch._dynamo", "torch._inductor.config"):
        importlib.import_module(name)


def machine() -> dict[str, Any]:
    """What was measured on, whether it multiplies bfloat16 fast, and how busy it was (processes, over a minute)."""
    return devices.machine(CPU) | {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_fast": devices.fast_bfloat16(CPU),
        "load": round(os.getloadavg()[0], 2),
    }
