"""Linear worlds: a pool, test points of three kinds, and labels by a random linear function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...contracts import Floats, Indices

Kind = Literal["iid", "shifted", "one"]  # test points like the pool, spread along one direction, or a single one
KINDS: tuple[Kind, ...] = ("iid", "shifted", "one")


@dataclass(frozen=True, slots=True)
class World:
    """y = x·θ + ε with θ ~ N(0, 1) and ε ~ N(0, noise)."""

    pool: Floats  # (n, d)
    labels: Floats  # (n,)
    test: Floats  # (K, d)
    truth: Floats  # (K,) without noise
    noise: float


def world(
    draw: np.random.Generator, kind: Kind, *, dimension: int, pool: int, tests: int, shift: float, noise: float,
    signal: float | None = None,
) -> World:  # fmt: skip
    """A world whose points have the mean prior variance `signal`, d where none is given (features of variance one).

    `shift` is the share of a shifted test point that is along one direction, the same for all of them, at a distance of
    N(0, 1).
    """
    scale = 1.0 if signal is None else np.sqrt(signal / dimension)
    theta = draw.normal(size=dimension)
    points = scale * draw.normal(size=(pool, dimension))
    labels = points @ theta + np.sqrt(noise) * draw.normal(size=pool)
    test = scale * draw.normal(size=(1 if kind == "one" else tests, dimension))
    if kind == "shifted":
        along = draw.normal(size=dimension)
        along /= np.linalg.norm(along)
        test = (1 - shift) * test + shift * draw.normal(size=(len(test), 1)) * along
    return World(points, labels, test, test @ theta, noise)


def predicted(given: World, picks: Indices) -> Floats:
    """(K,) posterior means of the test points after the picked labels, from the exact posterior."""
    rows = given.pool[picks]
    information = np.eye(rows.shape[1]) + rows.T @ rows / given.noise
    mean: Floats = given.test @ np.linalg.solve(information, rows.T @ given.labels[picks] / given.noise)
    return mean
