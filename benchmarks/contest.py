"""A contest: ours and a plain baseline do the same work; and a comparison, what came of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from prune_lab.experiments import devices

DEVICE = torch.device(os.environ.get("BENCHMARK_DEVICE", "cpu"))  # of both sides; a child inherits it
AMX = "the target was stated for a CPU with AMX, where bfloat16 is fast"
Lap = Callable[[], float]  # does some work and returns how much: images or tokens


def settle() -> None:
    """Wait for what a GPU still has to do: only then is a lap over."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


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
    arithmetic: Callable[[Any], Arithmetic] | None = None


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The matrix products and convolutions that a unit of ours cannot do without."""

    flops: float  # a unit
    precision: torch.dtype


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
    bound: float | None  # the ratio if ours took only the time of its arithmetic, at this machine's rate
    note: str
    machine: dict[str, Any]


def compare(
    name: str,
    ours: float,
    baseline: float,
    unit: str,
    *,
    target: float | None,
    note: str,
    more_is_better: bool,
    bound: float | None = None,
) -> Comparison:
    """The two figures, their ratio and whether it reaches the target; no target, no verdict."""
    ratio = ours / baseline if more_is_better else baseline / ours
    met = None if target is None else ratio >= target
    return Comparison(name, ours, baseline, unit, ratio, target, met, bound, note, machine())


def machine() -> dict[str, Any]:
    """What was measured on, whether it multiplies bfloat16 fast, and how busy it was (processes, over a minute)."""
    return devices.machine(DEVICE) | {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_fast": devices.fast_bfloat16(DEVICE),
        "load": round(os.getloadavg()[0], 2),
    }
