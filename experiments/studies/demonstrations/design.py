"""Which points of a pool to label, for given test points: greedy optimal design (GO, arXiv:2404.08846).

The model is linear with a Gaussian prior: y = x·θ + ε, θ ~ N(0, prior), ε ~ N(0, noise). The posterior covariance S of
θ after some labels is (prior⁻¹ + Σ x xᵀ / noise)⁻¹. It does not depend on what the labels say, so that the whole design
is known before any is bought. The variance of a test point q is qᵀSq; one more label at x lowers it to

    qᵀSq - (xᵀSq)² / (noise + xᵀSx)        (Sherman and Morrison)

`greedy` takes, again and again, the point after which the largest of these variances over the test points is least
(`reduce="max"`, G-optimal, GO), or their mean (`reduce="mean"`, V-optimal; with these test points the sequential design
of Yu, Bi and Tresp, ICML 2006). A step takes O(n (d + K)) for n points, d features and K test points.
`reduce="information"` takes the point whose label says most about the labels of all test points together (ITL,
arXiv:2402.15898), which makes the determinant of their covariance least; a step takes O(n K (d + K)).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import combinations, islice
from math import comb
from typing import Any, Literal, get_args

import numpy as np
from scipy.linalg import solve_triangular

from ...contracts import Floats, Indices
from ...errors import ConfigError

Reduce = Literal["max", "mean", "information"]
EXACT = 1e-12  # a noise that is a smaller share of a point's variance leaves the picks to rounding
TIE = 1e-10  # values that differ by less, as a share of the least, are equal: rounding decides nothing
MOST_SUBSETS = 2_000_000  # that brute force tries
CHUNK = 20_000  # subsets at once


def greedy(
    pool: Any, test: Any, budget: int, *, noise: float = 0.25, prior: Any = None, reduce: Reduce = "max"
) -> Indices:
    """(budget,) places of the points of the pool (n, d) to label for the test points (K, d), in the order of picks.

    `noise` is the variance of a label, `prior` (d, d) the covariance of θ (the identity by default), `reduce` what is
    made small: the `max` or the `mean` variance over the test points, or by `information` the entropy of their labels.
    Of equal points the first one is taken.
    ConfigError where the inputs allow no design; a warning where a test point is outside of the span of the pool.
    """
    points, targets, covariance = checked(pool, test, noise, prior)
    budget = _checked_budget(budget, len(points), reduce)
    if said := outside(points, targets, prior=covariance):
        warnings.warn(said, stacklevel=2)
    posterior = Posterior(points, targets, noise=noise, prior=covariance)
    if noise < (least := EXACT * posterior.own.max()):
        raise ConfigError(
            f"noise={noise:g} is nothing beside the largest variance of a point, {posterior.own.max():.3g}: rounding "
            "would choose the picks",
            f"noise of at least {least:.1g}, or a smaller prior",
        )
    return grown(posterior, budget, lambda: posterior.after(reduce))


def posterior_variance(pool: Any, picked: Any, test: Any, *, noise: float = 0.25, prior: Any = None) -> Floats:
    """(K,) variances of the test points (K, d) after the picked points of the pool (n, d) were labelled.

    A point that is picked twice is labelled twice.
    """
    points, targets, covariance = checked(pool, test, noise, prior)
    places = _places(picked, len(points))
    rows = points[places]
    root = np.linalg.cholesky(np.linalg.inv(covariance) + rows.T @ rows / noise)
    found: Floats = np.square(solve_triangular(root, targets.T, lower=True)).sum(0)
    return found


def best_subset(
    pool: Any, test: Any, budget: int, *, noise: float = 0.25, prior: Any = None, reduce: Reduce = "max"
) -> Indices:
    """(budget,) places of the best points to label, in ascending order, by trying every subset of that size."""
    points, targets, covariance = checked(pool, test, noise, prior)
    budget = _checked_budget(budget, len(points), reduce)
    if (number := comb(len(points), budget)) > MOST_SUBSETS:
        raise ConfigError(
            f"{budget} of {len(points)} points are {number:,} subsets, and at most {MOST_SUBSETS:,} are tried",
            "design.greedy, or a smaller pool",
        )
    precision, squares = np.linalg.inv(covariance), points[:, :, None] * points[:, None, :] / noise
    subsets, best, least = combinations(range(len(points)), budget), np.arange(budget), np.inf
    while part := list(islice(subsets, CHUNK)):
        places = np.array(part, np.int64)
        inverses = np.linalg.inv(precision + squares[places].sum(1))
        if reduce == "information":
            between = targets @ inverses @ targets.T + noise * np.eye(len(targets))
            values = np.exp(np.linalg.slogdet(between)[1] / len(targets))
        else:
            variances = np.einsum("kd,sde,ke->sk", targets, inverses, targets, optimize=True)
            values = variances.max(1) if reduce == "max" else variances.mean(1)
        place = first_least(values)
        if values[place] < least * (1 - TIE):
            best, least = places[place], values[place]
    return np.asarray(best, np.int64)


class Posterior:
    """The variances of the pool and of the test points as one point of the pool after another is labelled."""

    def __init__(self, pool: Floats, test: Floats, *, noise: float, prior: Floats | None = None) -> None:
        """With pool (n, d), test (K, d) and prior (d, d), which are taken to be valid: see `checked`."""
        self.pool, self.test, self.noise = pool, test, noise
        self.covariance = np.eye(pool.shape[1]) if prior is None else prior.copy()  # (d, d) of θ
        spread = pool @ self.covariance
        self.own = (spread * pool).sum(1)  # (n,) xᵀSx
        self.cross = spread @ test.T  # (n, K) xᵀSq
        self.variances = ((test @ self.covariance) * test).sum(1)  # (K,) qᵀSq
        self._room = np.empty_like(self.cross)

    def after(self, reduce: Reduce) -> Floats:
        """(n,) the largest or the mean variance of the test points if this point of the pool were labelled next.

        By `information`: minus what its label would tell about theirs, in nats.
        """
        if reduce == "information":
            told: Floats = 0.5 * np.log((self.noise + self.known()) / (self.noise + self.own))
            return told
        if reduce == "mean":
            saved = np.einsum("nk,nk->n", self.cross, self.cross) / (self.noise + self.own)
            mean: Floats = self.variances.mean() - saved / len(self.variances)
            return mean
        largest: Floats = self.each(self._room).max(1)
        return largest

    def each(self, out: Floats | None = None) -> Floats:
        """(n, K) the variance of each test point if this point of the pool were labelled next."""
        found: Floats = np.square(self.cross, out=out)
        found /= (self.noise + self.own)[:, None]
        np.subtract(self.variances, found, out=found)
        return found

    def known(self) -> Floats:
        """(n,) the variance of each point of the pool if every test point were labelled, too."""
        between = self.test @ self.covariance @ self.test.T + self.noise * np.eye(len(self.test))
        found: Floats = self.own - np.einsum("nk,kn->n", self.cross, np.linalg.solve(between, self.cross.T))
        return found

    def label(self, pick: int) -> None:
        """Go on with this point of the pool labelled."""
        direction = self.covariance @ self.pool[pick] / np.sqrt(self.noise + self.own[pick])
        ours = self.pool @ direction  # (n,)
        theirs = self.cross[pick] / np.sqrt(self.noise + self.own[pick])  # (K,)
        self.cross -= np.multiply.outer(ours, theirs, out=self._room)
        self.own -= ours**2
        self.variances -= theirs**2
        self.covariance -= np.outer(direction, direction)


def grown(posterior: Posterior, budget: int, values: Callable[[], Floats], *, replace: bool = False) -> Indices:
    """(budget,) picks: the point of least value (n,) among those not yet picked, which is then labelled; and again."""
    picks: list[int] = []
    for _ in range(budget):
        now = values()
        if not replace:
            now[picks] = np.inf
        picks.append(first_least(now))
        posterior.label(picks[-1])
    return np.array(picks, np.int64)


def first_least(values: Floats) -> int:
    """The first place of the least value, up to rounding."""
    least = values.min()
    return int(np.argmax(values <= least + TIE * abs(least)))


def outside(pool: Floats, test: Floats, *, prior: Floats | None = None) -> str:
    """A sentence on the test points that are outside of the span of the pool, where there are any; see `floor`."""
    least = floor(pool, test, prior=prior)
    number = int((least > 1e-8 * max(1.0, float(least.max()))).sum())
    if not number:
        return ""
    return (
        f"{number} of {len(test)} test points are outside of the span of the pool: whatever is labelled, their largest "
        f"variance stays above {least.max():.3g}. More varied points in the pool, or fewer features, would mend it"
    )


def floor(pool: Floats, test: Floats, *, prior: Floats | None = None) -> Floats:
    """(K,) the variances that stay however often the points of the pool are labelled."""
    root = np.linalg.cholesky(np.eye(pool.shape[1]) if prior is None else prior)
    points, targets = pool @ root, test @ root
    values, vectors = np.linalg.eigh(points.T @ points)
    never = vectors[:, values <= 1e-10 * max(values[-1], 1e-300)]  # directions that no point of the pool has
    found: Floats = np.square(targets @ never).sum(1)
    return found


def checked(pool: Any, test: Any, noise: float, prior: Any) -> tuple[Floats, Floats, Floats]:
    """The pool (n, d), the test points (K, d) and the prior (d, d) as float64; ConfigError with what mends them."""
    points, targets = (_table(values, name) for values, name in ((pool, "pool"), (test, "test")))
    width = points.shape[1]
    if targets.shape[1] != width:
        raise ConfigError(f"test points have {targets.shape[1]} features, and those of the pool {width}", "the same")
    if np.ndim(noise) or not isinstance(noise, int | float | np.number) or not (np.isfinite(noise) and noise > 0):
        raise ConfigError(f"noise={noise}: the variance of a label is above zero", "noise=0.25")
    covariance = np.eye(width) if prior is None else np.asarray(prior, dtype=float)
    if covariance.shape != (width, width) or not np.isfinite(covariance).all():
        raise ConfigError(f"prior is a finite covariance of {width} x {width} numbers", "prior=None for the identity")
    if not np.allclose(covariance, covariance.T, rtol=1e-8, atol=1e-12):
        raise ConfigError("prior is no covariance: it is not symmetric", "prior = (prior + prior.T) / 2")
    values = np.linalg.eigvalsh(covariance)
    if values[0] <= 1e-12 * max(values[-1], 0) or values[-1] <= 0:
        raise ConfigError(
            f"prior is singular: its eigenvalues are from {values[0]:.3g} to {values[-1]:.3g}",
            f"prior + {max(0.0, -values[0]) + max(1e-6 * abs(values[-1]), 1e-6):.4g} * numpy.eye({width})",
        )
    return points, targets, covariance


def _table(values: Any, name: str) -> Floats:
    try:
        table = np.asarray(values)
        if np.iscomplexobj(table):
            raise TypeError
        table = table.astype(float)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{name} is no table of numbers", f"{name} of shape (points, features), with rows of one length"
        ) from error
    if table.ndim != 2 or 0 in table.shape:
        raise ConfigError(f"{name} has the shape {table.shape}", f"{name} of shape (points, features), none of them 0")
    wrong = np.flatnonzero(~np.isfinite(table).all(1))
    if len(wrong):
        raise ConfigError(
            f"{name} has NaN or infinite features in {len(wrong)} of {len(table)} rows, the first in row {wrong[0]}",
            f"drop these rows or fill them in: {name}[numpy.isfinite({name}).all(1)]",
        )
    return table


def _places(picked: Any, size: int) -> Indices:
    try:
        places = np.asarray(picked)
    except ValueError:  # rows of several lengths
        places = np.empty(1)
    if places.ndim != 1 or (places.size and not np.issubdtype(places.dtype, np.integer)):
        raise ConfigError(
            "picked is no list of whole numbers", "the places of the picked points: [0, 3] or numpy.flatnonzero(mask)"
        )
    wrong = places[(places < 0) | (places >= size)]
    if len(wrong):
        raise ConfigError(f"picked={wrong[0]} is no place in a pool of {size}", f"places from 0 to {size - 1}")
    return places.astype(np.int64)


def _checked_budget(budget: Any, size: int, reduce: Any) -> int:
    if reduce not in get_args(Reduce):
        raise ConfigError(f"reduce={reduce!r} is no criterion", 'reduce="max", reduce="mean" or reduce="information"')
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or not 0 <= budget <= size:
        raise ConfigError(
            f"budget={budget!r}: a pool of {size} points has at most {size} to label",
            f"budget a whole number from 0 to {size}",
        )
    return int(budget)
