"""Greedy optimal design, against the version that inverts a matrix for each candidate. Both pick the same points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from prune_lab.experiments.contracts import Floats, Indices
from prune_lab.experiments.studies.demonstrations.design import greedy

from .contest import Contest, Lap

POINTS, WIDTH, TESTS, PICKS = 10_000, 64, 100, 50
PLAIN_PICKS = 2  # of the baseline a lap: each takes as long as the one before
TARGET = 100.0


def contests(quick: bool) -> list[Contest]:
    points, number = (200, 2) if quick else (POINTS, PICKS)
    return [
        Contest(
            "design.greedy",
            f"s for {number} picks",
            lambda: drawn(points),
            lambda given: lap(greedy, given, number),
            lambda given: lap(picks, given, min(number, PLAIN_PICKS)),
            1 if quick else 5,
            f"{number} of {points:,} points in {WIDTH} dimensions for {TESTS} test points; baseline: a matrix inverted "
            f"for each candidate, measured on {PLAIN_PICKS} picks",
            TARGET,
            number,
        )
    ]


def drawn(points: int) -> tuple[Floats, Floats]:
    draw = np.random.default_rng(0)
    return draw.normal(size=(points, WIDTH)), draw.normal(size=(TESTS, WIDTH))


def lap(design: Callable[..., Indices], given: tuple[Floats, Floats], number: int) -> Lap:
    return lambda: float(len(design(*given, number)))


def picks(
    pool: Floats, test: Floats, budget: int, *, noise: float = 0.25, prior: Any = None, reduce: str = "max"
) -> Indices:
    """The baseline: for each candidate the posterior covariance is inverted, and every test point's variance taken."""
    information = np.linalg.inv(np.eye(pool.shape[1]) if prior is None else prior)
    chosen: list[int] = []
    for _ in range(budget):
        best, least = -1, np.inf
        for candidate in range(len(pool)):
            if candidate in chosen:
                continue
            point = pool[candidate]
            covariance = np.linalg.inv(information + np.outer(point, point) / noise)
            variances = ((test @ covariance) * test).sum(1)
            value = variances.max() if reduce == "max" else variances.mean()
            if value < least:
                best, least = candidate, value
        chosen.append(best)
        information = information + np.outer(pool[best], pool[best]) / noise
    return np.array(chosen, np.int64)
