"""How the best number of parameters grows with compute, without a law of the loss: N = G C^a. numpy only.

Approaches 1 and 2 of arXiv:2203.15556, beside its approach 3 (chinchilla). Both look at levels of compute C, and at the
runs within `WITHIN` of each. The parabolas of approach 2 are biased where a level's sizes are not centred at the best
one or the curve is no parabola, noise or not (arXiv:2603.22339): look at both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..contracts import Floats
from ..errors import ConfigError
from .chinchilla import draws

WITHIN = 0.25  # in ln C, of a run from its level
Best = Callable[[Floats, Floats, Floats], float]  # ln N, L and weights of a level to the best ln N; NaN: none


@dataclass(frozen=True, slots=True)
class Growth:
    """N = G C^a, fitted to the best size of each level of compute."""

    exponent: float  # a
    scale: float  # G
    levels: Floats  # (K,) those that have a best size
    sizes: Floats  # (K,) the best size of each
    left_out: tuple[float, ...]  # levels without one
    _resampled: Callable[[int, int], Floats] = field(repr=False)

    def interval(self, level: float = 0.95, *, resamples: int = 300, seed: int = 0) -> tuple[float, float]:
        """Percentile interval of the exponent, by a bootstrap of runs."""
        low, high = np.quantile(self._resampled(resamples, seed), [0.5 - level / 2, 0.5 + level / 2])
        return float(low), float(high)


def lowest_losses(N: Floats, C: Floats, L: Floats, levels: Sequence[float]) -> Growth:
    """Approach 1: the size of the run with the lowest loss at each level of compute.

    Runs (n,) with N parameters and losses L at compute C; checkpoints of one run may be among them.
    """
    return _growth(N, C, L, levels, _lowest)


def parabolas(N: Floats, C: Floats, L: Floats, levels: Sequence[float]) -> Growth:
    """Approach 2: the minimum of a parabola of the loss in ln N at each level of compute.

    A level whose parabola has no minimum among its sizes is left out, and named.
    """
    return _growth(N, C, L, levels, _vertex)


def _lowest(sizes: Floats, losses: Floats, weights: Floats) -> float:
    there = weights > 0
    return float(sizes[there][np.argmin(losses[there])])


def _vertex(sizes: Floats, losses: Floats, weights: Floats) -> float:
    there = weights > 0
    if len(np.unique(sizes[there])) < 3:
        return np.nan
    middle = sizes[there].mean()
    curve, slope, _ = np.polyfit(sizes[there] - middle, losses[there], 2, w=np.sqrt(weights[there]))
    best = middle - slope / (2 * curve) if curve > 0 else np.nan
    return float(best) if sizes[there].min() <= best <= sizes[there].max() else np.nan


def _growth(N: Floats, C: Floats, L: Floats, levels: Sequence[float], best: Best) -> Growth:
    sizes, compute, losses = (np.asarray(one, dtype=float) for one in (N, C, L))
    there = np.isfinite(losses)
    sizes, compute, losses = np.log(sizes[there]), np.log(compute[there]), losses[there]
    steps = np.log(np.asarray(levels, dtype=float))
    rows = [np.flatnonzero(np.abs(compute - step) < WITHIN) for step in steps]

    def at_levels(weights: Floats) -> Floats:
        return np.array([best(sizes[at], losses[at], weights[at]) if weights[at].any() else np.nan for at in rows])

    def fitted(weights: Floats) -> tuple[float, float]:
        at = at_levels(weights)
        known = np.isfinite(at)
        if known.sum() < 2:
            return np.nan, np.nan
        exponent, offset = np.polyfit(steps[known], at[known], 1)
        return float(exponent), float(offset)

    ones = np.ones(len(losses))
    at = at_levels(ones)
    known = np.isfinite(at)
    if known.sum() < 3:
        raise ConfigError(
            f"{int(known.sum())} of {len(levels)} levels of compute have a best size: growth needs at least 3",
            "sizes on both sides of the best one",
        )
    exponent, offset = fitted(ones)

    def resampled(number: int, seed: int) -> Floats:
        drawn: Floats = np.array([fitted(weights)[0] for weights in draws(len(losses), number, None, seed)])
        return np.asarray(drawn[np.isfinite(drawn)])

    left_out = tuple(float(level) for level in np.asarray(levels)[~known])
    return Growth(exponent, float(np.exp(offset)), np.exp(steps[known]), np.exp(at[known]), left_out, resampled)
