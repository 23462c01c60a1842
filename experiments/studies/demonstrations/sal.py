"""SAL (arXiv:2404.08846): simulate the labels of each candidate, and ask how uncertain the test points would be.

How uncertain a test point would be is estimated in one of three ways.

two_samples  half the squared difference of two labels that the model draws for it, anew for each candidate; its
             expectation is the predictive variance
common       the same with the random numbers of a simulation shared by all candidates
read         the variance (or the entropy) that the model itself states, without drawing

In the linear model with Gaussian noise the predictive variance after a label is that of `Posterior.each` plus the
noise, whatever the label: `read` is GO, and `two_samples` of m simulations is the variance times chi²(m) / m.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from ...contracts import Floats, Indices
from .design import Posterior, grown

Estimator = Literal["two_samples", "common", "read"]


def estimated(
    variances: Floats, simulations: int, draw: np.random.Generator, *, estimator: Estimator = "two_samples"
) -> Floats:
    """(..., n, K) estimates of Gaussian predictive variances, n candidates and K test points, from so many simulations.

    The mean of half the squared difference of two draws from N(·, variance) over m pairs is variance · chi²(m) / m.
    """
    if estimator == "read":
        return variances
    shape = variances.shape if estimator == "two_samples" else (*variances.shape[:-2], 1, variances.shape[-1])
    found: Floats = variances * (draw.chisquare(simulations, size=shape) / simulations)
    return found


def sal(
    pool: Floats, test: Floats, budget: int, *, noise: float, draw: np.random.Generator,
    estimator: Estimator = "read", simulations: int = 1, reduce: Literal["max", "mean"] = "max",
) -> Indices:  # fmt: skip
    """(budget,) places in the order of picks, in the linear model: `simulations` for each candidate and test point."""
    posterior = Posterior(pool, test, noise=noise)

    def values() -> Floats:
        each = estimated(posterior.each() + noise, simulations, draw, estimator=estimator)
        found: Floats = each.max(1) if reduce == "max" else each.mean(1)
        return found

    return grown(posterior, budget, values)
