"""How a model's shape changes its loss at a given size: the conditional law of arXiv:2510.18245. numpy, scipy.

    L(x, r | N) = c_N (1 + kappa_x phi(x / x*)) (1 + kappa_r phi(r / r*)),   phi(u) = ln u + 1 / u - 1 >= 0

x is d / sqrt(N) (width over the root of the parameters), r the parameters of the MLP over those of attention, c_N the
lowest loss at size N. It is the paper's equation 3, (a0 + a1 ln x + a2 / x) (b0 + b1 ln r + b2 / r) L_opt, whose six
numbers have five degrees of freedom: x* = a2 / a1 and kappa_x = a1 / (a0 + a1 ln x* + a1), so for b and r. `form`:
additive adds the two terms in nats, as the paper's variant does; joint lets x* move with r, x* (r / r*)^gamma.

The unit is a shape: its runs differ by seed alone, and the law is fitted to ln L with what shapes share between their
runs, and what the law leaves of them, in every interval.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..contracts import Floats, Indices
from ..errors import ConfigError
from ..seeds import numpy_stream
from .descent import minimise
from .intervals import quantile

Form = Literal["multiplicative", "additive", "joint"]
Method = Literal["bootstrap", "profile", "covariance"]
NAMES = ("x_star", "r_star", "kappa_x", "kappa_r")
STARTS = (0.15, 0.4, 0.6, 0.85)  # quantiles of the shapes at which x* and r* start
CURVED = 1e-4  # a kappa below this leaves no optimum
COLLINEAR = 0.05  # spread of ln r that ln x does not explain below which shapes have one dimension
REACH = np.linspace(-8, 8, 33)  # of a profile, in standard errors of its parameter from the fit
UNCONVERGED = 0.1  # share of resamples without a fit above which there is no interval


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes that the law is fitted to, a row each: the geometric mean of the losses of its runs."""

    x: Floats  # (G,)
    r: Floats  # (G,)
    loss: Floats  # (G,)
    runs: Indices  # (G,) how many runs
    group: Indices  # (G,) 0.., the place of its size among `groups`
    groups: tuple[Any, ...]  # the sizes, sorted
    left_out: int  # runs without a finite loss


@dataclass(frozen=True, slots=True)
class Fit:
    """The law, and what it was fitted to."""

    x_star: float
    r_star: float
    kappa_x: float
    kappa_r: float
    gamma: float  # of the joint form; 0
    scales: dict[Any, float]  # group -> c_N
    form: Form
    residual: float  # root mean square of what the law leaves of ln L of a shape, over its degrees of freedom
    aicc: float | None  # of shapes, on the residuals of ln L whatever the form; None: too few
    converged: bool
    reason: str  # why there is no interval; empty where there is one
    shapes: Shapes = field(repr=False)

    def predict(self, x: Floats, r: Floats) -> Floats:
        """The loss over the lowest at that size; of the additive form at a lowest loss in the middle of the groups'."""
        a, b = np.log(np.asarray(x, float) / self.x_star), np.log(np.asarray(r, float) / self.r_star)
        width, ratio = self.kappa_x * _phi(a - self.gamma * b), self.kappa_r * _phi(b)
        return np.asarray(1 + width + ratio if self.form == "additive" else (1 + width) * (1 + ratio))

    def interval(
        self, level: float = 0.95, *, method: Method = "bootstrap", resamples: int = 300, seed: int = 0
    ) -> dict[str, tuple[float, float]]:
        """Of x_star, r_star, kappa_x and kappa_r.

        bootstrap   percentiles over shapes drawn with replacement, within each group
        profile     where the likelihood is within F of its maximum, the other parameters fitted anew
        covariance  t interval of the logarithm, from the derivatives at the fit
        """
        if self.reason:
            raise ConfigError(f"there is no interval: {self.reason}", "more shapes, further from the best one")
        problem = _Problem(self.shapes, self.form)
        match method:
            case "covariance":
                ends = _by_covariance(problem, problem.inside(self), level)
            case "profile":
                ends = _by_profile(problem, problem.inside(self), level)
            case _:
                drawn = self.resampled(resamples, seed)
                ends = np.log(np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2], axis=0)).T
        return {name: (float(low), float(high)) for name, (low, high) in zip(NAMES, np.exp(ends), strict=True)}

    def resampled(self, resamples: int = 300, seed: int = 0) -> Floats:
        """(resamples, 4) the law fitted to shapes drawn with replacement; those that do not determine it left out."""
        problem, draw = _Problem(self.shapes, self.form), numpy_stream(seed, "resamples")
        times = np.zeros((resamples, len(self.shapes.loss)))
        for group in range(len(self.shapes.groups)):
            members = np.flatnonzero(self.shapes.group == group)
            drawn = draw.choice(members, (resamples, len(members)))
            np.add.at(times, (np.arange(resamples)[:, None], drawn), 1)
        determined = (times > 0).sum(1) >= problem.size
        starts = np.tile(problem.inside(self), (int(determined.sum()), 1))
        found = minimise(problem, starts, times[determined] * self.shapes.runs)
        fitted = found.parameters[found.converged]
        if len(fitted) < (1 - UNCONVERGED) * resamples:
            raise ConfigError(
                f"there is no interval: {resamples - len(fitted)} of {resamples} resamples do not determine the law",
                "more shapes",
            )
        return np.exp(fitted[:, :4])


def fit(x: Floats, r: Floats, L: Floats, groups: Any, *, form: Form = "multiplicative") -> Fit:
    """The law of runs (n,) with losses L; `groups` (n,) is the size of each, whose lowest loss is fitted with it.

    x*, r* and both kappas are shared by the groups: fit each alone to ask whether they are.
    """
    shapes = shapes_of(x, r, L, groups)
    problem = _Problem(shapes, form)
    _identified(shapes, problem.size)
    places = [np.log(np.quantile(of, STARTS)) for of in (shapes.x, shapes.r)]
    starts = np.array([[*one, *problem.rest()] for one in itertools.product(*places, np.log((0.02, 0.2)),
                                                                            np.log((0.02, 0.2)))])  # fmt: skip
    found = minimise(problem, starts, shapes.runs.astype(float), steps=300)
    best = int(np.argmin(found.cost))
    return _finished(
        problem, shapes, form, found.parameters[best], float(found.cost[best]), bool(found.converged[best])
    )


def shapes_of(x: Floats, r: Floats, L: Floats, groups: Any) -> Shapes:
    """The runs with a finite loss, by shape and size."""
    width, ratio, losses = (np.asarray(one, dtype=float).ravel() for one in (x, r, L))
    names = np.asarray(groups).ravel()
    if not len(width) == len(ratio) == len(losses) == len(names):
        raise ConfigError(
            f"{len(width)} x, {len(ratio)} r, {len(losses)} L and {len(names)} groups: every run has one of each"
        )
    there = np.isfinite(losses)
    left_out = int((~there).sum())
    width, ratio, losses, names = width[there], ratio[there], losses[there], names[there]
    if not all(np.all(np.isfinite(one) & (one > 0)) for one in (width, ratio, losses)):
        raise ConfigError("x, r and L must be above 0: the law is of their logarithms")
    sizes, group = np.unique(names, return_inverse=True)
    rows, member = np.unique(np.column_stack([group, width, ratio]), axis=0, return_inverse=True)
    runs = np.bincount(member, minlength=len(rows))
    loss = np.exp(np.bincount(member, np.log(losses), minlength=len(rows)) / np.maximum(runs, 1))
    return Shapes(rows[:, 1], rows[:, 2], loss, runs, rows[:, 0].astype(int), tuple(sizes.tolist()), left_out)


def _identified(shapes: Shapes, size: int) -> None:
    number = len(shapes.loss)
    if number <= size:
        raise ConfigError(f"{number} shapes, and the law has {size} parameters", f"at least {size + 1} shapes")
    for name, values in (("x", shapes.x), ("r", shapes.r)):
        if (different := len(np.unique(values))) < 3:
            raise ConfigError(f"{different} different {name}: an optimum in {name} needs at least 3")
    a, b = np.log(shapes.x), np.log(shapes.r)
    slope = np.cov(a, b)[0, 1] / np.var(a, ddof=1)
    if np.std(b - slope * a) < COLLINEAR:
        raise ConfigError(f"r changes as x^{slope:.2g} in every shape: nothing tells the two optima apart",
                          "shapes of the same width with different numbers of heads")  # fmt: skip


class _Problem:
    """Residuals of ln L and their derivatives, in ln x*, ln r*, ln kappa_x, ln kappa_r, (gamma,) ln c of each group."""

    def __init__(self, shapes: Shapes, form: Form) -> None:
        self.x, self.r, self.target, self.shapes = np.log(shapes.x), np.log(shapes.r), np.log(shapes.loss), shapes
        self.form, self.joint = form, form == "joint"
        self.member = (shapes.group[:, None] == np.arange(len(shapes.groups))).astype(float)  # (G, groups)
        self.lowest = np.array([self.target[shapes.group == group].min() for group in range(len(shapes.groups))])
        self.size = 4 + self.joint + len(shapes.groups)
        self.fixed: int | None = None  # a parameter that stays, of a profile

    def rest(self) -> list[float]:
        """Where the parameters beside the first four start."""
        return [*([0.0] if self.joint else []), *self.lowest]

    def inside(self, law: Fit) -> Floats:
        first = np.log([law.x_star, law.r_star, law.kappa_x, law.kappa_r])
        return np.array([*first, *([law.gamma] if self.joint else []), *np.log(list(law.scales.values()))])

    def __call__(self, parameters: Floats) -> tuple[Floats, Floats]:
        columns = parameters.T[:, :, None]
        gamma = columns[4] if self.joint else 0.0
        b = self.r - columns[1]
        a = self.x - columns[0] - gamma * b
        kappa_x, kappa_r = np.exp(columns[2]), np.exp(columns[3])
        width, ratio = kappa_x * _phi(a), kappa_r * _phi(b)
        scale = parameters[:, -len(self.shapes.groups) :] @ self.member.T  # (S, G) ln c
        if self.form == "additive":  # in units of the groups' geometric mean of c
            middle = parameters[:, -len(self.shapes.groups) :].mean(1, keepdims=True)
            total = np.exp(scale - middle) + width + ratio
            value, by_width, by_ratio, by_scale = (
                middle + np.log(total),
                1 / total,
                1 / total,
                np.exp(scale - middle) / total,
            )
        else:
            value = scale + np.log1p(width) + np.log1p(ratio)
            by_width, by_ratio, by_scale = 1 / (1 + width), 1 / (1 + ratio), np.ones_like(scale)
        along = by_width * kappa_x * -np.expm1(-a)  # derivative by a
        slopes = [-along, gamma * along - by_ratio * kappa_r * -np.expm1(-b), by_width * width, by_ratio * ratio]
        slopes += [-along * b] if self.joint else []
        by_scale = by_scale[..., None]
        scales = by_scale * self.member + (1 - by_scale) / len(self.shapes.groups)
        together = np.concatenate([np.stack(slopes, -1), scales], -1)
        if self.fixed is not None:
            together[..., self.fixed] = 0
        return value - self.target, together


def _phi(logarithm: Floats) -> Floats:
    return np.asarray(logarithm + np.exp(-logarithm) - 1)


def _finished(problem: _Problem, shapes: Shapes, form: Form, parameters: Floats, cost: float, converged: bool) -> Fit:
    n, k = len(shapes.loss), problem.size + 1  # k counts the noise
    squares = 2 * cost / shapes.runs.mean()  # as of one run a shape
    values = np.exp(parameters)
    names, scales = shapes.groups, values[-len(shapes.groups) :]
    x_star, r_star, kappa_x, kappa_r = map(float, values[:4])
    reason = "" if converged else "the fit did not converge"
    for name, best, of, kappa in (("x", x_star, shapes.x, kappa_x), ("r", r_star, shapes.r, kappa_r)):
        if kappa < CURVED:
            reason = f"the loss does not curve in {name}"
        elif not of.min() < best < of.max():
            within = f"they have {of.min():.3g} to {of.max():.3g}"
            reason = f"the lowest loss is not within the shapes: {name}* is {best:.3g}, {within}"
    return Fit(x_star, r_star, kappa_x, kappa_r, float(parameters[4]) if problem.joint else 0.0,
               dict(zip(names, map(float, scales), strict=True)), form, math.sqrt(squares / (n - problem.size)),
               aicc(squares, n, k),
               converged, reason, shapes)  # fmt: skip


def aicc(squares: float, n: int, k: int) -> float | None:
    """Akaike's criterion, corrected for n residuals of this sum of squares and k parameters; None: too few."""
    return n * math.log(max(squares / n, 1e-30)) + 2 * k + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else None


def aicc_of_means(shapes: Shapes) -> float | None:
    """Of one loss for all shapes of a group, on the residuals that `Fit.aicc` has."""
    target, groups = np.log(shapes.loss), len(shapes.groups)
    total = np.bincount(shapes.group, shapes.runs * target) / np.bincount(shapes.group, shapes.runs)
    squares = float((shapes.runs * (target - total[shapes.group]) ** 2).sum()) / shapes.runs.mean()
    return aicc(squares, len(target), groups + 1)


# ---- intervals -------------------------------------------------------------------------------------------------------


def _by_covariance(problem: _Problem, parameters: Floats, level: float) -> Floats:
    """(4, 2) ends, in logarithms."""
    reach = _quantile(problem, level) * _errors(problem, parameters)
    return np.column_stack([parameters[:4] - reach, parameters[:4] + reach])


def _quantile(problem: _Problem, level: float) -> float:
    return float(quantile(len(problem.shapes.loss) - problem.size, level))


def _errors(problem: _Problem, parameters: Floats) -> Floats:
    """(4,) standard errors of the logarithms, from the derivatives at the fit."""
    residual, slopes = problem(parameters[None])
    weight, freedom = problem.shapes.runs, len(problem.shapes.loss) - problem.size
    variance = float((weight * residual[0] ** 2).sum()) / freedom
    return np.sqrt(np.diag(variance * np.linalg.inv(slopes[0].T @ (slopes[0] * weight[:, None])))[:4])


def _by_profile(problem: _Problem, parameters: Floats, level: float) -> Floats:
    """(4, 2) ends, in logarithms; infinite where the likelihood never falls far enough."""
    weights, freedom = problem.shapes.runs.astype(float), len(problem.shapes.loss) - problem.size
    lowest = float((weights * problem(parameters[None])[0][0] ** 2).sum()) / 2
    ends, middle = np.empty((4, 2)), len(REACH) // 2
    for place, error in enumerate(_errors(problem, parameters)):
        starts = np.tile(parameters, (len(REACH), 1))
        starts[:, place] += error * REACH
        problem.fixed = place
        cost = minimise(problem, starts, weights).cost
        problem.fixed = None
        root = np.sqrt(np.maximum(cost / lowest - 1, 0) * freedom)  # a line on each side, were the law linear: |t|
        for side, step in ((0, -1), (1, 1)):
            away = np.maximum.accumulate(root[middle::step])
            reach = np.interp(_quantile(problem, level), away, np.abs(REACH[middle::step]), right=np.inf)
            ends[place, side] = parameters[place] + step * error * reach
    return ends


# ---- on shapes that the law has not seen -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a law says of a size that it was not fitted to."""

    rank: float  # Spearman's correlation of predicted and measured losses
    low: float  # its 95 % interval over shapes drawn with replacement
    high: float
    error: float  # mean squared error in ln L, the size's own c_N fitted
    mean_error: float  # the same of predicting one loss for every shape
    best: int  # the place, from 1, that the shape with the lowest predicted loss has among the measured


def held_out(law: Fit, x: Floats, r: Floats, L: Floats, *, resamples: int = 300, seed: int = 0) -> HeldOut:
    """Of runs (n,) of one size, which the law was not fitted to."""
    from scipy.stats import rankdata

    shapes = shapes_of(x, r, L, np.zeros(len(np.ravel(L)), int))
    if len(shapes.loss) < 3:
        raise ConfigError(f"{len(shapes.loss)} shapes are held out: their order needs at least 3")
    measured, predicted = np.log(shapes.loss), np.log(law.predict(shapes.x, shapes.r))
    gap = measured - predicted

    def correlated(rows: Indices) -> Floats:
        first, second = (rankdata(of[rows], axis=-1) for of in (measured, predicted))
        first, second = (of - of.mean(-1, keepdims=True) for of in (first, second))
        with np.errstate(invalid="ignore"):
            return np.asarray((first * second).sum(-1) / np.sqrt((first**2).sum(-1) * (second**2).sum(-1)))

    number = len(measured)
    drawn = correlated(numpy_stream(seed, "resamples").integers(0, number, (resamples, number)))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    best = int((measured < measured[np.argmin(predicted)]).sum()) + 1
    return HeldOut(
        float(correlated(np.arange(number))), float(low), float(high), float(gap.var()), float(measured.var()), best
    )
