"""The pruned teacher-student perceptron (arXiv:2206.14486 §2), exactly: a max-margin student at infinite dimension.

N inputs, Gaussian; labels by a teacher; a probe at angle theta to it measures margins; alpha N examples are kept by
them; the student is the separator of largest margin. With the probe along the first axis and the teacher in the plane
of the first two, write the student as (a, b, g): its parts along both axes and off the plane. Gordon's comparison
theorem makes its margin the largest kappa under

    alpha E[(kappa - a h - b v - g u)_+^2] = g^2,   a^2 + b^2 + g^2 = 1,

over the kept (h, v) with label one and a Gaussian u. (The order parameters of the paper are R = a cos + b sin and
rho = a.) The left side's root is convex in (kappa, a, b, g), so kappa is a concave function of the student and its
local maximum on the ball is the global one: the two branches that the saddle-point equations show near alpha = 2 at
small keep are one ridge here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import skewnorm

from ...contracts import Floats
from ...errors import ConfigError
from .margin import max_margin

Rule = Literal["hard", "easy", "random"]
Margin = Literal["abs", "signed"]
KEEPS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the envelope, unless others are given
NODES = 20  # of Gauss and Legendre on each panel: errors below 1e-7
EDGE = 8.5  # standard deviations at which a Gaussian ends: beyond is 1e-17


@dataclass(frozen=True, slots=True)
class Kept:
    """The distribution of what is kept, as a quadrature: probe margin h, the other coordinate v, weights of sum one."""

    h: Floats
    v: Floats
    weights: Floats
    cos: float  # the teacher in the plane
    sin: float


def generalization_error(
    alpha: float, keep: float, *, theta: float = 0.0, rule: Rule = "hard", margin: Margin = "abs"
) -> float:
    """Share of new inputs that the student gets wrong.

    alpha: examples kept per dimension (alpha_prune); keep: the fraction kept, of alpha / keep; theta: degrees between
    probe and teacher; margin: `abs` ranks by the distance to the probe's boundary, `signed` puts what the probe gets
    wrong among the hardest. ConfigError outside 0 < alpha, 0 < keep <= 1, 0 <= theta < 90.
    """
    _check(alpha, keep, theta)
    kept = _kept(keep, theta, rule, margin)
    return _angle(kept, _student(kept, alpha)) / math.pi


def pareto(
    alphas: Sequence[float] | Floats,
    keeps: Sequence[float] = KEEPS,
    *,
    theta: float = 0.0,
    rule: Rule = "hard",
    margin: Margin = "abs",
) -> Floats:
    """(len(alphas),) the least error at each alpha over these keep fractions: the envelope, whose range is `keeps`."""
    errors = [
        [generalization_error(float(alpha), keep, theta=theta, rule=rule, margin=margin) for keep in keeps]
        for alpha in alphas
    ]
    lowest: Floats = np.array(errors).min(axis=1)
    return lowest


def crossover(
    keep: float,
    first: Rule = "hard",
    second: Rule = "random",
    *,
    theta: float = 0.0,
    margin: Margin = "abs",
    between: tuple[float, float] = (0.25, 12.0),
) -> float:
    """alpha_prune at which two rules err alike; the smallest where there are several, ConfigError where none is."""

    def difference(alpha: float) -> float:
        one, other = (generalization_error(alpha, keep, theta=theta, rule=r, margin=margin) for r in (first, second))
        return one - other

    ladder = np.geomspace(*between, 24)
    values = [difference(float(alpha)) for alpha in ladder]
    for low, high, before, after in zip(ladder, ladder[1:], values, values[1:], strict=False):
        if before * after < 0:
            return float(brentq(difference, low, high, xtol=1e-6))
    raise ConfigError(f"{first} and {second} do not cross at keep={keep} for alpha from {between[0]} to {between[1]}")


def information_gain(overlap: float, keep: float) -> float:
    """Nats that one more example, kept as hard at theta = 0, gives a typical student of overlap R with the teacher."""
    edge = _edge(keep)
    root, rest = math.sqrt(overlap), math.sqrt(1 - overlap)
    bends = [centre + place * rest for centre in (0.0, -edge / root) for place in (-6, -2, 0, 2, 6)]
    t, weights = _panels(_cuts(-EDGE, EDGE, [*bends, -4.0, -2.0, 2.0, 4.0]))
    log_wrong = log_ndtr(-root / rest * t)
    inside = np.exp(log_wrong) - ndtr(-(edge + root * t) / rest)
    density = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
    return float(-2 / keep * np.sum(weights * density * inside * log_wrong))


def simulate(
    dimension: int, alpha: float, keep: float, *, theta: float = 0.0, rule: Rule = "hard", margin: Margin = "abs",
    seed: int = 0,
) -> float:  # fmt: skip
    """One draw at finite dimension: the error of the max-margin student on what is kept, exact for its direction."""
    _check(alpha, keep, theta)
    generator = np.random.default_rng(seed)
    kept = max(1, round(alpha * dimension))
    inputs = generator.standard_normal((max(kept, round(kept / keep)), dimension))  # the teacher is the first axis
    labels = np.where(inputs[:, 0] >= 0, 1.0, -1.0)
    angle = math.radians(theta)
    probe = math.cos(angle) * inputs[:, 0] + math.sin(angle) * inputs[:, 1]
    easy = np.abs(probe) if margin == "abs" else labels * probe
    if rule == "random":
        chosen = np.arange(kept)
    else:
        chosen = np.argsort(easy if rule == "hard" else -easy, kind="stable")[:kept]
    student = max_margin(labels[chosen, None] * inputs[chosen])
    return math.atan2(float(np.linalg.norm(student[1:])), float(student[0])) / math.pi


# ---- the distribution of what is kept --------------------------------------------------------------------------------


def _check(alpha: float, keep: float, theta: float) -> None:
    if not 0 < alpha < math.inf:
        raise ConfigError(f"alpha={alpha} must be above 0: it counts examples kept per dimension")
    if not 0 < keep <= 1:
        raise ConfigError(f"keep={keep} must be above 0 and at most 1: it is the fraction kept")
    if not 0 <= theta < 90:
        raise ConfigError(f"theta={theta} must be from 0 to below 90 degrees")


def _edge(keep: float) -> float:
    """|h| below which a fraction `keep` of a Gaussian is found."""
    return -float(ndtri((1 - keep) / 2))


@lru_cache(maxsize=256)
def _kept(keep: float, theta: float, rule: Rule, margin: Margin) -> Kept:
    cos, sin = math.cos(math.radians(theta)), math.sin(math.radians(theta))
    if rule == "random" or keep == 1:
        cos, sin, low, high = 1.0, 0.0, -EDGE, EDGE
    elif margin == "abs":
        low, high = (-_edge(keep), _edge(keep)) if rule == "hard" else (_edge(1 - keep), EDGE)
    elif theta == 0:
        low, high = (0.0, _edge(keep)) if rule == "hard" else (_edge(1 - keep), EDGE)
    else:  # y h is skew normal: 2 phi(h) Phi(h cos / sin)
        split = float(skewnorm.ppf(keep if rule == "hard" else 1 - keep, cos / sin))
        low, high = (-EDGE, split) if rule == "hard" else (split, EDGE)
    two_sided = margin == "abs" and rule == "easy" and sin > 0 and keep < 1
    ranges = [(low, high), (-high, -low)] if two_sided else [(low, high)]
    parts = [_half_plane(*one, cos, sin) for one in ranges]
    h, v, weights = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return Kept(h, v, weights / weights.sum(), cos, sin)


def _half_plane(low: float, high: float, cos: float, sin: float) -> tuple[Floats, Floats, Floats]:
    """Nodes over h in [low, high] with label one, and v over what the label leaves it: v > -h cos / sin."""
    if sin == 0:
        h, weights = _panels(_cuts(max(low, 0.0), high, [0.5, 1.0, 2.0, 4.0]))
        return h, np.zeros_like(h), weights * np.exp(-(h**2) / 2)
    width = sin / cos
    bends = [place * width for place in (-EDGE, -4.0, -2.0, 0.0, 2.0, 4.0, EDGE)]
    h, over_h = _panels(_cuts(max(low, -EDGE * width), high, [*bends, -4.0, -2.0, -1.0, 1.0, 2.0, 4.0]))
    start = np.maximum(-EDGE, -h * cos / sin)
    unit, over_unit = _panels([0.0, 0.5, 1.0])
    length = EDGE - start
    v = start[:, None] + unit * length[:, None]
    weights = (over_h * np.exp(-(h**2) / 2) * length)[:, None] * over_unit * np.exp(-(v**2) / 2)
    return np.repeat(h, len(unit)), v.ravel(), weights.ravel()


def _cuts(low: float, high: float, inner: Sequence[float]) -> list[float]:
    return [low, *sorted(place for place in set(inner) if low < place < high), high]


def _panels(cuts: Sequence[float]) -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss and Legendre on each interval between cuts."""
    unit, weights = np.polynomial.legendre.leggauss(NODES)
    low, high = np.array(cuts[:-1])[:, None], np.array(cuts[1:])[:, None]
    half = (high - low) / 2
    return (half * (unit + 1) + low).ravel(), (half * weights).ravel()


# ---- the student -----------------------------------------------------------------------------------------------------


def _student(kept: Kept, alpha: float) -> Floats:
    """(3,) the unit vector (a, b, g) of largest margin: BFGS over its angle to the teacher's plane (the logarithm of
    its tangent, for errors of any size) and its turn inside the plane.
    """
    teacher = math.atan2(kept.sin, kept.cos)

    def direction(at: Floats) -> Floats:
        scale, turn = math.hypot(1.0, math.exp(at[0])), teacher + at[1]
        return np.array([math.cos(turn), math.sin(turn), math.exp(at[0])]) / scale

    ladder = np.array([[start, 0.0] for start in np.linspace(-8.0, 2.0, 11)])
    margins = [_margin(kept, alpha, direction(at))[0] for at in ladder]

    def objective(at: Floats) -> tuple[float, Floats]:
        """Minus the margin in units of the ladder's best, and its slope by the two angles."""
        a, b, g = student = direction(at)
        margin, slope = _margin(kept, alpha, student)
        away = slope @ np.array([-a * g * g, -b * g * g, g * (1 - g * g)])
        around = slope @ np.array([-b, a, 0.0]) if kept.sin else 0.0
        return -margin / max(margins), -np.array([away, around]) / max(margins)

    start = ladder[int(np.argmax(margins))]
    found = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    return direction(found.x)


def _margin(kept: Kept, alpha: float, student: Floats) -> tuple[float, Floats]:
    """kappa of a student (a, b, g), and its (3,) gradient by the implicit function theorem.

    Newton's method from above, where it descends to the root of a convex function.
    """
    a, b, g = student
    margins = a * kept.h + b * kept.v
    kappa = float(kept.weights @ margins) + g / math.sqrt(alpha)  # Jensen: the root is not above
    while True:
        gap = (kappa - margins) / g
        inside, density = ndtr(gap), np.exp(-(gap**2) / 2) / math.sqrt(2 * math.pi)
        first = gap * inside + density  # E (gap - u)_+
        excess = float(kept.weights @ ((1 + gap**2) * inside + gap * density)) - 1 / alpha
        total = float(kept.weights @ first)
        step = g * excess / (2 * total)
        kappa -= step
        if abs(step) <= 1e-13 * max(abs(kappa), g):
            break
    weighted = kept.weights * first / total
    away = (1 / alpha - float(kept.weights @ inside)) / total
    return kappa, np.array([weighted @ kept.h, weighted @ kept.v, away])


def _angle(kept: Kept, student: Floats) -> float:
    """Radians between student and teacher, accurate for the smallest."""
    a, b, g = student
    along, across = a * kept.cos + b * kept.sin, b * kept.cos - a * kept.sin
    return math.atan2(math.hypot(across, g), along)
