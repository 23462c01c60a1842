"""The exact linear-Gaussian learner: every rule on drawn worlds, and what greedy design has and lacks in theory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...contracts import Floats, Indices, Work
from ...seeds import numpy_stream
from .design import Posterior, best_subset, grown, posterior_variance
from .rules import RULES, Rule, go
from .sal import sal
from .worlds import KINDS, World, predicted, world

if TYPE_CHECKING:
    from . import Demonstrations

SMALL = {"dimension": 4, "pool": 14, "tests": 8}  # worlds in which every subset of 4 is tried
SMALL_BUDGET, TRIPLES = 4, 100
RICH, LONG = 1000, 400  # points of a rich pool, and labels bought from it with replacement
SHOWN = 6  # picks in the picture


def measure(study: Demonstrations, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Tables `selected` (test, rule, labels: means over draws), and for two features `plane`; see `properties`."""
    if study.pool < study.dimension:
        work.decide(
            f"study.pool={study.pool} is less than study.dimension={study.dimension}: test points are outside of the "
            "span of the pool, and some of their variance stays whatever is labelled"
        )
    rules: dict[str, Rule] = RULES | {"sal_read": partial(sal, estimator="read")}
    for simulations in study.simulations:
        for estimator in ("two_samples", "common"):
            rules[f"sal_{estimator}_{simulations}"] = partial(sal, estimator=estimator, simulations=simulations)
    budgets = checkpoints(study.budget)
    rows = []
    for kind in KINDS:
        for number in range(study.draws):
            work.notify("", (KINDS.index(kind) + number / study.draws) / (len(KINDS) + 1))
            given = world(
                numpy_stream(work.seed, f"world {kind}", number), kind, dimension=study.dimension, pool=study.pool,
                tests=study.tests, shift=study.shift, noise=study.noise, signal=study.signal,
            )  # fmt: skip
            best = set(go(given.pool, given.test, study.budget, noise=study.noise, draw=np.random.default_rng(0)))
            for place, (name, rule) in enumerate(rules.items()):
                draw = numpy_stream(work.seed, "rule", number, place)
                picks = rule(given.pool, given.test, study.budget, noise=study.noise, draw=draw)
                shared = len(best & set(picks)) / study.budget
                rows += [{"test": kind, "rule": name, "labels": budget, "draw": number, "as_go": shared}
                         | quality(given, picks[:budget]) for budget in budgets]  # fmt: skip
    found = pd.DataFrame(rows).groupby(["test", "rule", "labels"], sort=False).mean(numeric_only=True)
    tables = {"selected": found.drop(columns="draw").reset_index()}
    if study.dimension == 2:
        tables["plane"] = plane(study, work.seed)
    return tables, properties(study, work.seed)


def checkpoints(budget: int) -> list[int]:
    """The numbers of labels after which a choice is measured: a quarter, a half and all of the budget."""
    return sorted({max(1, round(budget * share)) for share in (0.25, 0.5, 1)})


def quality(given: World, picks: Indices) -> dict[str, float]:
    """Largest and mean posterior variance of the test points, and the mean squared error of their noiseless values."""
    variances = posterior_variance(given.pool, picks, given.test, noise=given.noise)
    error = float(np.square(predicted(given, picks) - given.truth).mean())
    return {"max_variance": float(variances.max()), "mean_variance": float(variances.mean()), "error": error}


def properties(study: Demonstrations, seed: int) -> dict[str, float]:
    """Greedy and random against the best subset; how often returns increase; the fall of the variance with labels.

    greedy_to_best, random_to_best  largest variances after 4 of 14 points, as ratios, means over draws
    increasing_returns              share of triples (A inside B, x) in which x lowers the largest variance more after B
    slope, slope_without            of log largest variance on log labels, with and without replacement, rich pool
    """
    small = [_small(numpy_stream(seed, "small", number), study.signal) for number in range(study.draws)]
    ratios = np.array(small)
    drawn = numpy_stream(seed, "triples")
    rates = [_slope(numpy_stream(seed, "rich"), study, replace=replace) for replace in (True, False)]
    return {
        "greedy_to_best": float(ratios[:, 0].mean()),
        "greedy_to_best_worst": float(ratios[:, 0].max()),
        "random_to_best": float(ratios[:, 1].mean()),
        "increasing_returns": float(np.mean([_increasing(drawn, study.signal) for _ in range(TRIPLES)])),
        "slope": rates[0],
        "slope_without": rates[1],
    }


def _small(draw: np.random.Generator, signal: float | None) -> tuple[float, float]:
    """The largest variances of the greedy and of a random choice, over that of the best subset."""
    given = world(draw, "iid", **SMALL, shift=0, noise=0.25, signal=signal)

    def largest(picks: Indices) -> float:
        return float(posterior_variance(given.pool, picks, given.test).max())

    best = largest(best_subset(given.pool, given.test, SMALL_BUDGET))
    greedy = largest(go(given.pool, given.test, SMALL_BUDGET, noise=0.25, draw=draw))
    return greedy / best, largest(draw.permutation(SMALL["pool"])[:SMALL_BUDGET]) / best


def _increasing(draw: np.random.Generator, signal: float | None) -> bool:
    """Whether a random point lowers the largest variance more when more points are labelled already."""
    given = world(draw, "iid", dimension=3, pool=7, tests=5, shift=0, noise=0.25, signal=signal)
    few, many = np.arange(2), np.arange(2 + draw.integers(1, 5))

    def gain(picks: Indices) -> float:
        before, after = (posterior_variance(given.pool, one, given.test).max() for one in (picks, np.append(picks, 6)))
        return float(before - after)

    return gain(many) > gain(few) + 1e-9


def _slope(draw: np.random.Generator, study: Demonstrations, *, replace: bool) -> float:
    """Of the largest variance under GO against the number of labels, from an eighth of them on."""
    given = world(
        draw, "iid", dimension=study.dimension, pool=RICH, tests=study.tests, shift=0, noise=study.noise,
        signal=study.signal,
    )  # fmt: skip
    posterior, largest = Posterior(given.pool, given.test, noise=study.noise), list[float]()

    def values() -> Floats:
        largest.append(float(posterior.variances.max()))  # after the labels so far
        return posterior.after("max")

    grown(posterior, LONG, values, replace=replace)
    labels = np.arange(LONG)
    late = labels >= LONG / 8
    return float(np.polyfit(np.log(labels[late]), np.log(np.array(largest)[late]), 1)[0])


def plane(study: Demonstrations, seed: int) -> pd.DataFrame:
    """What a picture of one world with two features shows: pool, test points, picks in order, posterior ellipses."""
    given = world(
        numpy_stream(seed, "plane"), "shifted", dimension=2, pool=study.pool, tests=study.tests, shift=study.shift,
        noise=study.noise, signal=study.signal,
    )  # fmt: skip
    rows = [_points("pool", given.pool), _points("test", given.test)]
    for name in ("uniform", "nearest", "own_variance", "go"):
        picks = RULES[name](given.pool, given.test, SHOWN, noise=study.noise, draw=numpy_stream(seed, "plane rule"))
        posterior = Posterior(given.pool, given.test, noise=study.noise)
        for pick in picks:
            posterior.label(int(pick))
        rows += [_points("pick", given.pool[picks], name), _points("ellipse", _ellipse(posterior.covariance), name)]
    return pd.concat(rows, ignore_index=True)


def _points(role: str, places: Floats, rule: str = "") -> pd.DataFrame:
    order = np.arange(len(places))
    return pd.DataFrame({"role": role, "rule": rule, "order": order, "x": places[:, 0], "y": places[:, 1]})


def _ellipse(covariance: Floats) -> Floats:
    """(61, 2) where θ is one standard deviation from its mean: wide in the directions that are not yet known."""
    angles = np.linspace(0, 2 * np.pi, 61)
    circle: Floats = np.stack([np.cos(angles), np.sin(angles)], 1) @ np.linalg.cholesky(covariance).T
    return circle
