"""Scaling laws of error against number of examples: fits, intervals, and which law the data prefer. numpy/scipy only.

Two families, each with or without a floor: `E + A x^-a` and `E + A exp(-x / x0)`. A fit that stops early looks like a
confident one (arXiv:2404.10102 §3: averaged loss + default tolerances made Chinchilla's intervals 40x too narrow), so:
scaled variables, an analytic Jacobian, tight tolerances, many starts, and every fit of an interval is checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import least_squares

from ..contracts import Floats, Indices
from .intervals import Interval, intervals_of

Family = Literal["power", "exponential"]
Verdict = Literal["power law", "exponential", "undecided"]
FAMILIES: tuple[Family, ...] = ("power", "exponential")
ROBUST_SCALE = 0.1  # log error beyond which soft_l1 turns from squares to absolute values: about 10 % of the error
TOLERANCE = 1e-14  # of cost, step and gradient; scipy's default 1e-8 stops early on small residuals
EVALUATIONS = 2000  # at most, for each start
OPTIMALITY = 1e-6  # largest scaled gradient of a fit that counts as converged
EVIDENCE = 2.0  # AICc difference below which two laws are not told apart (Burnham and Anderson 2002, §2.6)
RESIDUAL = 0.1  # log error beyond which a law does not describe its points: where soft_l1 stops trusting squares
HELD_OUT = 0.2  # log error on the largest sizes beyond which a law does not predict them
DECADES = 0.5  # range of x below which a power law and an exponential are not told apart
NO_FIT = "without one of the seeds there is no fit: no interval"


@dataclass(frozen=True, slots=True)
class Fit:
    """One law fitted to log error."""

    family: Family
    floored: bool  # the form has a floor E >= 0
    amplitude: float  # A, in units of y
    rate: float  # power: the exponent a; exponential: 1 / x0, per unit of x
    floor: float  # E, in units of y; 0 without a floor
    floor_hit: bool  # the floor was pressed against its bound 0
    n: int  # points fitted
    residual: float  # root mean square of the log residuals
    aicc: float | None  # None: n <= k + 1, undefined
    converged: bool


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What the seeds say about a fit. Intervals are None where there is a note."""

    rate: Interval | None
    floor: Interval | None
    grid: Floats  # x of the band
    low: Floats  # band of the fitted curve
    high: Floats
    note: str  # empty, or why there is no interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which law the data prefer, by AICc and by the error of predicting the largest sizes from the smaller ones."""

    power: Fit | None
    exponential: Fit | None
    difference: float | None  # AICc(exponential) - AICc(power): above 0 favours the power law
    held_out: int  # points held out, the largest
    held_out_power: float | None  # root mean square log error on them
    held_out_exponential: float | None
    verdict: Verdict
    reason: str
    criterion: str


CRITERION = (
    f"the lower AICc on log error by at least {EVIDENCE:g}, confirmed by the lower error when the largest sizes are "
    f"predicted from the smaller ones; at least 5 sizes over at least {DECADES:g} decade, a residual of at most "
    f"{100 * RESIDUAL:g} % and, of a power law, an error of at most {100 * HELD_OUT:g} % on the largest sizes"
)


def predict(fit: Fit, x: Floats) -> Floats:
    """The law's error at `x`."""
    shape = np.log(x) if fit.family == "power" else x
    value: Floats = fit.floor + np.exp(math.log(fit.amplitude) - fit.rate * shape)
    return value


def fit(x: Floats, y: Floats, family: Family, *, floored: bool = False, every: int = 1) -> Fit:
    """The best of many starts. Needs as many distinct x as the law has parameters, and y above zero.

    `every`: only every so many of the 12 starts with a floor, where there are many smooth curves to fit.
    """
    parameters = 3 if floored else 2
    assert len(x) == len(y)
    assert np.all(x > 0)
    assert np.all(y > 0)
    assert len(np.unique(x)) >= parameters, "fewer sizes than parameters"
    plain = _solve(x, y, family, floored=False, starts=_starts(x, y, family, floored=False))
    if not floored:
        return _finish(plain, x, y, family, floored=False)
    best = _solve(x, y, family, floored=True, starts=_starts(x, y, family, floored=True)[::every])
    if plain.cost <= best.cost * (1 + 1e-9):  # the floor buys nothing: it is at its bound
        best = _Solution(np.append(plain.parameters, 0.0), plain.cost, plain.converged)
    return _finish(best, x, y, family, floored=True)


def pareto_envelope(x: Floats, y: Floats) -> Indices:
    """Rows on the lower envelope, by rising x: no other row has both no more examples and no more error."""
    order = np.lexsort((y, x))
    rows = []
    lowest = math.inf
    for row in order:
        if y[row] < lowest:
            rows.append(row)
            lowest = float(y[row])
    return np.array(rows, dtype=np.int64)


def uncertainty(
    x: Floats,
    runs: Floats,
    family: Family,
    *,
    floored: bool,
    select: Callable[[Floats, Floats], Indices] | None = None,
) -> Uncertainty:
    """Intervals over seeds of the law fitted to the means of `runs` (S, P), a row a seed, NaN where a run is missing.

    The law is fitted again without each seed (`intervals_of`). `select` (such as `pareto_envelope`) is redone every
    time, so its luck is in the interval; `x` and `runs` then have all that it selects from.
    """
    grid = np.geomspace(x.min(), x.max(), 60)

    def fitted(means: Floats) -> Floats:
        """(2 + 60,) rate, floor and the log of the curve; NaN where there is no fit."""
        rows = np.arange(len(x)) if select is None else select(x, means)
        if not np.all(means[rows] > 0) or len(np.unique(x[rows])) < (3 if floored else 2):
            return np.full(2 + len(grid), np.nan)
        law = fit(x[rows], means[rows], family, floored=floored)
        shown = [law.rate, law.floor, *np.log(predict(law, grid))]
        return np.array(shown if law.converged else np.full(len(shown), np.nan))

    _, _, low, high = found = intervals_of(runs, fitted)
    single = int((~np.isnan(runs)).sum(0).min()) < 2
    note = "one run at a point: no interval" if single else "" if np.isfinite(found).all() else NO_FIT
    rate, floor = (None if note else Interval(*map(float, found[:, place])) for place in (0, 1))
    return Uncertainty(rate, floor, grid, np.exp(low[2:]), np.exp(high[2:]), note)


def compare(x: Floats, y: Floats) -> Comparison:
    """Fit both families with and without a floor and say which the data prefer, or why they cannot say."""
    sizes = len(np.unique(x))
    if sizes < 3:
        reason = f"{sizes} size{'' if sizes == 1 else 's'} of training set: a law needs at least 3 to be fitted"
        return Comparison(None, None, None, 0, None, None, "undecided", reason, CRITERION)
    power, exponential = (_best_form(x, y, family) for family in FAMILIES)
    held_out = max(1, sizes // 4)
    errors = [_held_out_error(x, y, one, held_out) for one in (power, exponential)]
    difference = None if power.aicc is None or exponential.aicc is None else exponential.aicc - power.aicc
    verdict, reason = _judge(x, power, exponential, difference, errors)
    return Comparison(power, exponential, difference, held_out, errors[0], errors[1], verdict, reason, CRITERION)


def _judge(
    x: Floats, power: Fit, exponential: Fit, difference: float | None, errors: Sequence[float | None]
) -> tuple[Verdict, str]:
    decades = math.log10(x.max() / x.min())
    if not (power.converged and exponential.converged):
        return "undecided", "a fit did not converge"
    if power.rate <= 0 or exponential.rate <= 0:
        return "undecided", "the error does not fall with the number of examples"
    if difference is None:
        return "undecided", f"{power.n} points: AICc needs at least 5 for laws of two parameters"
    if decades < DECADES:
        return "undecided", f"the sizes span {decades:.2f} decades, and laws look alike below {DECADES:g}"
    if abs(difference) < EVIDENCE:
        return "undecided", f"AICc differs by {abs(difference):.1f}, less than {EVIDENCE:g}"
    name: Verdict = "power law" if difference > 0 else "exponential"
    if errors[0] is None or errors[1] is None:
        return (
            "undecided",
            f"AICc favours the {name} by {abs(difference):.1f}, but too few sizes are left to hold one out",
        )
    if (errors[1] > errors[0]) != (difference > 0):
        return "undecided", (
            f"AICc favours the {name} by {abs(difference):.1f}, but the other law predicts the largest sizes better"
        )
    best = power if name == "power law" else exponential
    missed = errors[0] if name == "power law" else 0.0  # an exponential's error soon is so small that logs say little
    for error, bound, what in ((best.residual, RESIDUAL, "residual"), (missed, HELD_OUT, "error on the largest sizes")):
        if error > bound:
            reason = f"AICc favours the {name} by {abs(difference):.1f}, but its {what} is {100 * error:.1f} %, above"
            return "undecided", f"{reason} {100 * bound:g} %"
    return name, (
        f"AICc is lower by {abs(difference):.1f}, and the largest sizes are predicted to within "
        f"{100 * min(errors[0], errors[1]):.1f} % against {100 * max(errors[0], errors[1]):.1f} %"
    )


def _best_form(x: Floats, y: Floats, family: Family) -> Fit:
    """With or without a floor, by AICc; without where AICc is undefined with one."""
    plain = fit(x, y, family)
    if len(np.unique(x)) < 6:
        return plain
    floored = fit(x, y, family, floored=True)
    assert plain.aicc is not None
    better = floored.aicc is not None and floored.converged and floored.aicc < plain.aicc
    return floored if better else plain


def _held_out_error(x: Floats, y: Floats, form: Fit, held_out: int) -> float | None:
    largest = np.isin(x, np.unique(x)[-held_out:])
    if len(np.unique(x[~largest])) < (4 if form.floored else 3):
        return None
    trained = fit(x[~largest], y[~largest], form.family, floored=form.floored)
    return float(np.sqrt(np.mean((np.log(predict(trained, x[largest])) - np.log(y[largest])) ** 2)))


# ---- the optimisation ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Solution:
    parameters: Floats  # (log amplitude at the centre, slope in standard deviations[, floor over the smallest y])
    cost: float
    converged: bool


def _scaled(x: Floats, family: Family) -> tuple[Floats, float, float]:
    shape = np.log(x) if family == "power" else x
    centre, spread = float(shape.mean()), float(shape.std())
    return (shape - centre) / spread, centre, spread


def _starts(x: Floats, y: Floats, family: Family, *, floored: bool) -> list[Floats]:
    """Least squares of log(y - floor) for a ladder of floors, as found and twice as steep (convex without a floor)."""
    g, _, _ = _scaled(x, family)
    starts = []
    for share in (0.01, 0.3, 0.6, 0.85, 0.95, 0.995) if floored else (0.0,):
        slope, level = np.polyfit(g, np.log(y - share * y.min()), 1)
        starts += [np.array([level, -slope * factor, share][: 3 if floored else 2]) for factor in (1.0, 2.0)]
    return starts


def _solve(x: Floats, y: Floats, family: Family, *, floored: bool, starts: Sequence[Floats]) -> _Solution:
    g, _, _ = _scaled(x, family)
    target = np.log(y)
    lowest = float(y.min())

    def log_model(p: Floats) -> Floats:
        decaying: Floats = p[0] - p[1] * g
        if not floored:
            return decaying
        together: Floats = np.logaddexp(decaying, math.log(max(p[2], 1e-300) * lowest))
        return together

    def residuals(p: Floats) -> Floats:
        return log_model(p) - target

    def jacobian(p: Floats) -> Floats:
        value = log_model(p)
        share = np.exp(p[0] - p[1] * g - value)
        columns = [share, -share * g] + ([lowest * np.exp(-value)] if floored else [])
        return np.stack(columns, axis=1)

    low = [-np.inf, -np.inf] + ([0.0] if floored else [])
    high = [np.inf, np.inf] + ([float(y.max()) / lowest + 1e-9] if floored else [])
    best: _Solution | None = None
    for start in starts:
        result = least_squares(
            residuals, start, jac=jacobian, bounds=(low, high), loss="soft_l1", f_scale=ROBUST_SCALE,
            ftol=TOLERANCE, xtol=TOLERANCE, gtol=TOLERANCE, max_nfev=EVALUATIONS,
        )  # fmt: skip
        converged = result.status > 0 and float(result.optimality) < OPTIMALITY
        if best is None or (converged, -result.cost) > (best.converged, -best.cost):
            best = _Solution(np.asarray(result.x, dtype=np.float64), float(result.cost), converged)
    assert best is not None
    return best


def _finish(solution: _Solution, x: Floats, y: Floats, family: Family, *, floored: bool) -> Fit:
    _, centre, spread = _scaled(x, family)
    level, slope = float(solution.parameters[0]), float(solution.parameters[1])
    share = float(solution.parameters[2]) if floored else 0.0
    rate = slope / spread
    amplitude = math.exp(min(level + rate * centre, 700.0))
    floor = share * float(y.min())
    n, k = len(x), 4 if floored else 3  # k counts the noise
    draft = Fit(family, floored, amplitude, rate, floor, floored and share < 1e-6, n, 0.0, None, solution.converged)
    squares = float(np.mean((np.log(predict(draft, x)) - np.log(y)) ** 2))
    aicc = n * math.log(max(squares, 1e-12)) + 2 * k + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else None
    return Fit(
        family, floored, amplitude, rate, floor, draft.floor_hit, n, math.sqrt(squares), aicc, solution.converged
    )  # fmt: skip
