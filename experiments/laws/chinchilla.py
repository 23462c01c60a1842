"""Chinchilla's parametric law L(N, D) = E + A / N^alpha + B / D^beta (arXiv:2203.15556, approach 3). numpy only.

The sum of Huber's losses (delta 1e-3) of the error in ln L is minimised from 432 starts. The published fit averaged
them and kept an optimiser's default tolerances: it stopped early, and so did each fit of its intervals, which came out
40 times too narrow (arXiv:2404.10102). Hence: the sum; variables centred at the mean of ln N and of ln D, where A and
alpha are nearly independent; analytic derivatives; a test of convergence that knows the objective's scale (descent);
resamples that start from several places and are each tested. `profiled` finds the same minimum in another way.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..contracts import Floats, Indices
from ..errors import ConfigError
from ..seeds import numpy_stream
from .descent import Minima, minimise

DELTA = 1e-3  # of Huber's loss, in ln L
FLOORS = (0.1, 0.5, 0.9)  # of the starts: E / the lowest loss
TERMS = (0.05, 0.3, 1)  # of the starts: A / N^alpha, and B / D^beta, of the middle / the lowest loss
EXPONENTS = (0.1, 0.3, 0.6, 1.2)  # of the starts: alpha, and beta
COLLINEAR = 0.05  # spread of ln D that ln N does not explain below which a design has one dimension
AT_BOUND = 1e-3  # a term that is a smaller share of every loss is at its bound of 0
UNCONVERGED = 0.05  # share of unconverged resamples above which there is no interval
SHIFTS = ((0, 0, 0, 0, 0), (0.1, -0.3, -0.3, 0.1, 0.1), (-0.2, 0.3, 0.3, -0.1, -0.1), (0, 0, 0, 0.2, -0.2),
          (0, 0, 0, -0.2, 0.2))  # of a resample's starts from the fit to all runs  # fmt: skip
NAMES = ("E", "A", "B", "alpha", "beta", "exponent")


@dataclass(frozen=True, slots=True)
class Points:
    """The runs that a law is fitted to: parameters N, tokens D and losses L, (n,) each."""

    N: Floats
    D: Floats
    L: Floats
    left_out: int  # runs without a finite loss, and the highest that were excluded


@dataclass(frozen=True, slots=True)
class Fit:
    """The law, and what it was fitted to."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    objective: float  # the sum of Huber's losses
    converged: bool
    reason: str  # why there is no interval: unconverged, or at a bound; empty where there is one
    points: Points = field(repr=False)

    @property
    def exponent(self) -> float:
        """a of N = G (C / 6)^a, the best number of parameters at compute C = 6 N D."""
        return self.beta / (self.alpha + self.beta)

    def predict(self, N: Floats, D: Floats) -> Floats:
        """The loss of models of N parameters that have read D tokens."""
        return np.asarray(self.E + self.A / np.asarray(N, float) ** self.alpha + self.B / np.asarray(D) ** self.beta)

    def optimal(self, compute: float) -> tuple[float, float]:
        """The parameters and the tokens of the lowest loss at 6 N D = compute."""
        scale = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        parameters = scale * (compute / 6) ** self.exponent
        return parameters, compute / 6 / parameters

    def interval(
        self, level: float = 0.95, *, resamples: int = 300, clusters: Indices | None = None, seed: int = 0
    ) -> dict[str, tuple[float, float]]:
        """Percentile intervals of E, A, B, alpha, beta and exponent, by a bootstrap of runs.

        `clusters` (n,), a number for each run of `points`: runs with the same number are drawn together.
        """
        drawn = self.resampled(resamples, clusters, seed)
        ends = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        return {name: (float(low), float(high)) for name, low, high in zip(NAMES, *ends, strict=True)}

    def resampled(self, resamples: int = 300, clusters: Indices | None = None, seed: int = 0) -> Floats:
        """(resamples, 6) the law fitted to runs drawn with replacement: E, A, B, alpha, beta and exponent."""
        if self.reason:
            raise ConfigError(f"there is no interval: {self.reason}", "runs of more sizes, or further apart")
        weights = draws(len(self.points.L), resamples, clusters, seed)
        problem = _Problem(self.points)
        starts = problem.inside(self) + np.array(SHIFTS)
        found = [minimise(problem, np.tile(start, (resamples, 1)), weights, delta=DELTA) for start in starts]
        best = np.argmin([np.where(one.converged, one.cost, np.inf) for one in found], axis=0)
        rows = np.arange(resamples)
        converged = np.stack([one.converged for one in found])[best, rows]
        if np.mean(~converged) > UNCONVERGED:
            failed = f"{int(np.sum(~converged))} of {resamples} resamples have no converged fit"
            raise ConfigError(f"there is no interval: {failed}", "runs of more sizes, or further apart")
        parameters = np.stack([one.parameters for one in found])[best, rows][converged]
        laws = problem.outside(parameters)
        return np.column_stack([laws, laws[:, 4] / (laws[:, 3] + laws[:, 4])])


class _Problem:
    """Residuals of ln L and their derivatives, in (ln E, ln of both terms in the middle, alpha, beta)."""

    def __init__(self, points: Points) -> None:
        self.middle = np.log(points.N).mean(), np.log(points.D).mean()
        self.n, self.d = np.log(points.N) - self.middle[0], np.log(points.D) - self.middle[1]  # (n,)
        self.target = np.log(points.L)

    def __call__(self, parameters: Floats) -> tuple[Floats, Floats]:
        floor, first, second, alpha, beta = parameters.T[:, :, None]
        terms = np.stack([floor + 0 * self.n, first - alpha * self.n, second - beta * self.d])  # (3, S, n) logarithms
        top = terms.max(0)
        shares = np.exp(terms - top)
        total = shares.sum(0)
        shares /= total
        slopes = np.stack([*shares, -self.n * shares[1], -self.d * shares[2]], -1)
        return top + np.log(total) - self.target, slopes

    def outside(self, parameters: Floats) -> Floats:
        """(S, 5) E, A, B, alpha, beta."""
        floor, first, second, alpha, beta = parameters.T
        scaled = (floor, first + alpha * self.middle[0], second + beta * self.middle[1])
        return np.column_stack([*np.exp(np.minimum(scaled, 700)), alpha, beta])

    def inside(self, law: Fit) -> Floats:
        first, second = (math.log(scale) - power * middle for scale, power, middle in
                         zip((law.A, law.B), (law.alpha, law.beta), self.middle, strict=True))  # fmt: skip
        return np.array([math.log(law.E), first, second, law.alpha, law.beta])


def fit(N: Floats, D: Floats, L: Floats, *, exclude_highest: int = 0) -> Fit:
    """The law of runs with N parameters, D tokens and final losses L, (n,) each; ConfigError where it has none.

    `exclude_highest`: so many of the highest losses are left out (Besiroglu et al. leave out 5 of the 245 points).
    """
    points = prepared(N, D, L, exclude_highest)
    problem = _Problem(points)
    starts = np.array(list(itertools.product(FLOORS, TERMS, TERMS, EXPONENTS, EXPONENTS)))
    starts[:, :3] = problem.target.min() + np.log(starts[:, :3])
    found = minimise(problem, starts, np.ones(len(points.L)), delta=DELTA)
    return _finished(problem, points, found)


def _finished(problem: _Problem, points: Points, found: Minima) -> Fit:
    best = int(np.argmin(found.cost))
    E, A, B, alpha, beta = map(float, problem.outside(found.parameters[best : best + 1])[0])
    draft = Fit(E, A, B, alpha, beta, float(found.cost[best]), bool(found.converged[best]), "", points)
    return Fit(E, A, B, alpha, beta, draft.objective, draft.converged, _reason(draft), points)


def _reason(law: Fit) -> str:
    """Why a fit has no interval, or nothing."""
    points = law.points
    loss = law.predict(points.N, points.D)
    terms = {
        "E": law.E + 0 * loss,
        "A / N^alpha": law.A / points.N**law.alpha,
        "B / D^beta": law.B / points.D**law.beta,
    }
    for name, term in terms.items():
        if not np.isfinite(term).all() or (term / loss).max() < AT_BOUND:
            return f"the term {name} is at its bound of 0"
    for name, power, of in (("alpha", law.alpha, "N"), ("beta", law.beta, "D")):
        if power <= 0:
            return f"{name} is {power:.2g}: the loss does not fall with {of}"
    return "" if law.converged else "the fit did not converge"


def prepared(N: Floats, D: Floats, L: Floats, exclude_highest: int = 0) -> Points:
    """The runs with a finite loss, without the highest; ConfigError where they do not determine the law."""
    sizes, tokens, losses = (np.asarray(one, dtype=float).ravel() for one in (N, D, L))
    if not len(sizes) == len(tokens) == len(losses):
        raise ConfigError(f"{len(sizes)} N, {len(tokens)} D and {len(losses)} L: every run has one of each")
    rows = np.flatnonzero(np.isfinite(losses))
    rows = np.sort(rows[np.argsort(losses[rows], kind="stable")][: max(len(rows) - exclude_highest, 0)])
    kept = Points(sizes[rows], tokens[rows], losses[rows], len(losses) - len(rows))
    if not all(np.all(np.isfinite(one) & (one > 0)) for one in (kept.N, kept.D, kept.L)):
        raise ConfigError("N, D and L must be above 0: the law is of their logarithms")
    _identified(kept)
    return kept


def _identified(points: Points) -> None:
    number = len(np.unique(np.stack([points.N, points.D]), axis=1).T)
    if number <= 5:
        raise ConfigError(f"{number} different (N, D), and the law has 5 parameters", "runs of at least 6 sizes")
    for name, values in (("N", points.N), ("D", points.D)):
        if (different := len(np.unique(values))) < 3:
            raise ConfigError(f"{different} different {name}: E and the term of {name} need at least 3")
    n, d = np.log(points.N), np.log(points.D)
    slope = np.cov(n, d)[0, 1] / np.var(n, ddof=1)
    if np.std(d - slope * n) < COLLINEAR:
        ratio = math.exp(float(np.mean(d - n)))
        ray = f"D is {ratio:.3g} N in every run" if abs(slope - 1) < 0.05 else f"D grows as N^{slope:.2g} in every run"
        raise ConfigError(
            f"{ray}: parameters and tokens change together, and a joint fit cannot tell A / N^alpha from B / D^beta "
            "(arXiv:2605.08541)",
            "runs of at least 3 ratios D / N",
        )


def draws(runs: int, resamples: int, clusters: Sequence[int] | Indices | None, seed: int) -> Floats:
    """(resamples, runs) how often each run was drawn with replacement, those of a cluster together."""
    cluster = np.arange(runs) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    if len(cluster) != runs:
        raise ConfigError(f"{len(cluster)} numbers of clusters for {runs} runs")
    number, draw = int(cluster.max()) + 1, numpy_stream(seed, "resamples")
    counts = np.apply_along_axis(np.bincount, 1, draw.integers(0, number, (resamples, number)), minlength=number)
    return np.asarray(counts[:, cluster], dtype=float)


def profiled(N: Floats, D: Floats, L: Floats, *, exclude_highest: int = 0, zooms: int = 8) -> Fit:
    """The same minimum by variable projection: with alpha and beta given, the law is linear in E, A and B.

    A grid of (alpha, beta), the three others fitted at each, is narrowed around its best `zooms` times
    (arXiv:2603.22339, here with the loss of `fit`, whose cross-check it is).
    """
    points = prepared(N, D, L, exclude_highest)
    problem = _Problem(points)

    def linear(parameters: Floats) -> tuple[Floats, Floats]:
        alpha, beta = parameters.T[3:, :, None]
        first, second = np.exp(-alpha * problem.n), np.exp(-beta * problem.d)
        slopes = np.stack([np.ones_like(first), first, second, 0 * first, 0 * first], -1)  # alpha and beta stay
        loss = np.einsum("snk,sk->sn", slopes[..., :3], parameters[:, :3])
        return np.log(loss) - problem.target, slopes / loss[..., None]

    low, high = np.full(2, 0.02), np.full(2, 2.0)
    for _ in range(zooms):
        grid = np.stack(np.meshgrid(*np.linspace(low, high, 11).T, indexing="ij"), -1).reshape(-1, 2)  # (121, 2)
        starts = np.column_stack([np.tile(points.L.min() * np.array([0.6, 0.3, 0.3]), (len(grid), 1)), grid])
        found = minimise(linear, starts, np.ones(len(points.L)), delta=DELTA)
        best = int(np.argmin(found.cost))
        width = (high - low) / 5
        low, high = np.maximum(grid[best] - width, 1e-3), grid[best] + width
    with np.errstate(invalid="ignore"):
        inside = np.column_stack([np.log(found.parameters[[best], :3]), grid[[best]]])
    return _finished(problem, points, Minima(inside, found.cost[[best]], found.converged[[best]]))
