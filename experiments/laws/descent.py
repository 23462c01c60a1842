"""Least squares and Huber's loss on many small problems at once: from many starts, or of many resamples. numpy only.

Damped Gauss-Newton (Levenberg 1944, Marquardt 1963). Huber's loss is flat in second order beyond `delta`, where its
curvature is zero and Newton's method fails; its majoriser, squares weighted by delta / |residual|, is never flat but
slow (Huber 1981, chapter 7). The step solves (curvature + damping x majoriser) step = -gradient: the majoriser far from
the minimum, Newton's method near it. A problem has converged when the majoriser promises no further decrease, so that
a search that stopped early never passes for a minimum (arXiv:2404.10102).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..contracts import Floats

Model = Callable[[Floats], tuple[Floats, Floats]]  # (S, k) parameters to (S, n) residuals, (S, n, k) their derivatives
PROMISE = 1e-10  # a converged cost falls by less than this share of itself
RIDGE = 1e-12  # of the mean curvature, where a parameter has no influence


@dataclass(frozen=True, slots=True)
class Minima:
    """Where each of S problems ended."""

    parameters: Floats  # (S, k)
    cost: Floats  # (S,) sum of weight x Huber(residual): half the square up to delta, linear beyond
    converged: NDArray[np.bool_]  # (S,)


def minimise(model: Model, starts: Floats, weights: Floats, *, delta: float = np.inf, steps: int = 100) -> Minima:
    """The minimum from each row of `starts` (S, k), with weights (n,) or (S, n) of the residuals."""
    with np.errstate(all="ignore"):  # a step that overflows has no finite cost and is not taken
        return _minimise(model, np.array(starts, dtype=float), weights, delta, steps)


def _minimise(model: Model, parameters: Floats, weights: Floats, delta: float, steps: int) -> Minima:
    number, size = parameters.shape
    residuals, slopes = model(parameters)
    weights = np.broadcast_to(weights, residuals.shape)
    cost = _cost(residuals, weights, delta)
    damping, converged = np.ones(number), np.zeros(number, dtype=bool)
    left = np.flatnonzero(np.isfinite(cost))
    for _ in range(steps):
        if not len(left):
            break
        residual, slope, weight = residuals[left], slopes[left], weights[left]
        distance = np.abs(residual)
        pull = weight * np.minimum(1, delta / np.maximum(distance, 1e-300))
        gradient = np.einsum("snk,sn->sk", slope, pull * residual)
        majoriser = _products(slope, pull)
        majoriser += RIDGE * np.trace(majoriser, axis1=1, axis2=2)[:, None, None] * np.eye(size) + 1e-300 * np.eye(size)
        curvature = _products(slope, weight * (distance <= delta))
        promised = (gradient * _solved(majoriser, gradient)).sum(1) / 2
        converged[left] = promised <= PROMISE * cost[left] + 1e-30
        tried = parameters[left] - _solved(curvature + damping[left, None, None] * majoriser, gradient)
        residual, slope = model(tried)
        found = _cost(residual, weight, delta)
        better = found < cost[left]
        rows = left[better]
        parameters[rows], residuals[rows], slopes[rows] = tried[better], residual[better], slope[better]
        cost[rows] = found[better]
        damping[left] *= np.where(better, 0.2, 4)
        left = left[~converged[left] & (damping[left] < 1e15)]
    return Minima(parameters, cost, converged)


def _products(slope: Floats, weight: Floats) -> Floats:
    """(S, k, k) sum over residuals of weight x slope x slope."""
    product: Floats = (slope * weight[..., None]).transpose(0, 2, 1) @ slope
    return product


def _solved(matrices: Floats, right: Floats) -> Floats:
    """(S, k) solutions; NaN where there is none."""
    try:
        return np.asarray(np.linalg.solve(matrices, right[..., None])[..., 0])
    except np.linalg.LinAlgError:
        return np.stack([np.linalg.lstsq(a, b)[0] if np.isfinite(a).all() else b * np.nan
                         for a, b in zip(matrices, right, strict=True)])  # fmt: skip


def _cost(residual: Floats, weight: Floats, delta: float) -> Floats:
    distance = np.abs(residual)
    linear = delta * (distance - delta / 2) if np.isfinite(delta) else distance
    total: Floats = (weight * np.where(distance <= delta, residual**2 / 2, linear)).sum(-1)
    return total
