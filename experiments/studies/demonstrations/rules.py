"""Rules that choose a whole set before any label is seen: each takes pool (n, d), test (K, d) and a budget."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...contracts import Floats, Indices
from .design import Posterior, grown


class Rule(Protocol):
    def __call__(self, pool: Floats, test: Floats, budget: int, *, noise: float, draw: np.random.Generator) -> Indices:
        """(budget,) places in the pool, in the order of picks."""


def uniform(pool: Floats, test: Floats, budget: int, *, noise: float, draw: np.random.Generator) -> Indices:
    return draw.permutation(len(pool))[:budget]


def nearest(pool: Floats, test: Floats, budget: int, *, noise: float, draw: np.random.Generator) -> Indices:
    """Those nearest to any test point."""
    return np.argsort(_squared(pool, test).min(1), kind="stable")[:budget]


def nearest_in_turns(pool: Floats, test: Floats, budget: int, *, noise: float, draw: np.random.Generator) -> Indices:
    """The nearest to the first test point, then the nearest to the second of the rest, and so on, round and round."""
    distance, picks = _squared(pool, test), list[int]()
    for turn in range(budget):
        picks.append(int(distance[:, turn % len(test)].argmin()))
        distance[picks[-1]] = np.inf
    return np.array(picks)


def own_variance(pool: Floats, test: Floats, budget: int, *, noise: float, draw: np.random.Generator) -> Indices:
    """Again and again the point of the pool of largest variance: uncertainty sampling, which ignores the test points.

    In this model it is the point of largest predictive entropy, too.
    """
    posterior = Posterior(pool, test[:1], noise=noise)
    return grown(posterior, budget, lambda: -posterior.own)


def go(pool: Floats, test: Floats, budget: int, *, noise: float, draw: np.random.Generator) -> Indices:
    """Greedy design for the largest variance over the test points: `design.greedy` of inputs that need no check."""
    posterior = Posterior(pool, test, noise=noise)
    return grown(posterior, budget, lambda: posterior.after("max"))


def v_optimal(pool: Floats, test: Floats, budget: int, *, noise: float, draw: np.random.Generator) -> Indices:
    """Greedy design for the mean variance over the test points."""
    posterior = Posterior(pool, test, noise=noise)
    return grown(posterior, budget, lambda: posterior.after("mean"))


RULES: dict[str, Rule] = {
    one.__name__: one for one in (uniform, nearest, nearest_in_turns, own_variance, go, v_optimal)
}


def _squared(pool: Floats, test: Floats) -> Floats:
    """(n, K) squared distances."""
    found: Floats = np.square(pool[:, None] - test[None]).sum(-1)
    return found
