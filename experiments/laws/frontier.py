"""Does pruning beat the unpruned scaling law? Each line of one keep fraction against it at as many training examples.

The gain of a pruned point is the logarithm of the unpruned error at as many examples over its own; between two sizes
the unpruned error is taken on the straight line through them in log-log axes, so no law is assumed. A line that beats
the power law has a gain, and one that grows with the number of examples: a steeper fall. A gain that does not grow is a
better constant, not a better law. numpy and scipy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from ..contracts import Floats

Verdict = Literal["holds", "fails", "undecided"]
LEVEL = 0.95  # of the intervals of a whole family of lines, shared among them (Bonferroni)
SEEDS = 3  # fewer decide nothing
SIZES = 3  # points of a line, below which it has no slope worth the name
DECADES = 0.5  # range of examples below which a slope is not called a law
REPLICATES = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """Errors (P, S) of S seeds at P numbers of training examples (P,), rising; NaN where a run is missing."""

    examples: Floats
    errors: Floats


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether one line beats the unpruned law, and how sure that is."""

    gain: Estimate | None  # nats of error saved at the largest number of examples that both have
    growth: Estimate | None  # more of it for e times the examples: the difference of the exponents
    examples: float  # where the gain was measured
    points: int
    seeds: int
    verdict: Verdict
    reason: str


def beats(
    unpruned: Line, pruned: Line, *, generator: np.random.Generator, family: int = 1, replicates: int = REPLICATES
) -> Answer:
    """Judge one line among `family` lines of the same question.

    Hierarchical bootstrap: seeds are drawn for both lines at once, then runs within each point from the seeds drawn.
    Percentiles of few seeds are too narrow, so the replicates are spread from their mean as Student's t is wider than a
    Gaussian (one degree of freedom fewer than seeds); tests hold the rate of false verdicts.
    """
    inside = (pruned.examples >= 0.99 * unpruned.examples[0]) & (pruned.examples <= 1.01 * unpruned.examples[-1])
    examples, errors = pruned.examples[inside], pruned.errors[inside]
    seeds = min(_seeds(unpruned.errors), _seeds(errors)) if len(examples) else 0
    reach = math.log10(examples[-1] / examples[0]) if len(examples) else 0.0
    short = _too_little(len(examples), seeds, reach)
    if short:
        last = float(examples[-1]) if len(examples) else math.nan
        return Answer(None, None, last, len(examples), seeds, "undecided", short)
    one = Line(examples, errors)
    centre = _gain_and_growth(unpruned, one, _means(unpruned.errors), _means(errors))
    drawn = np.array([_replicate(unpruned, one, generator) for _ in range(replicates)])
    level = 1 - (1 - LEVEL) / family
    wider = stats.t.ppf(0.5 + level / 2, seeds - 1) / stats.norm.ppf(0.5 + level / 2)
    tails = [50 * (1 - level), 50 * (1 + level)]
    low, high = centre + wider * (np.percentile(drawn, tails, axis=0) - drawn.mean(axis=0))
    gain, growth = (Estimate(*map(float, row)) for row in zip(centre, low, high, strict=True))
    return Answer(gain, growth, float(examples[-1]), len(examples), seeds, *_judge(gain, growth))


def together(answers: Sequence[Answer]) -> Verdict:
    """Of a family of lines: pruning beats the law where one of them does, and fails where all of them fail."""
    verdicts = {answer.verdict for answer in answers}
    return "holds" if "holds" in verdicts else "fails" if verdicts == {"fails"} else "undecided"


def _too_little(points: int, seeds: int, decades: float) -> str:
    if seeds < SEEDS:
        return f"{seeds} seeds at every point, and fewer than {SEEDS} decide nothing"
    if points < SIZES:
        return f"{points} sizes have an unpruned set of as many examples, and fewer than {SIZES} show no trend"
    if decades < DECADES:
        return f"the sizes span {decades:.2f} decades, and below {DECADES:g} a trend is no law"
    return ""


def _judge(gain: Estimate, growth: Estimate) -> tuple[Verdict, str]:
    if growth.high < 0:
        return "fails", "the error falls more slowly than without pruning"
    if growth.low > 0:
        if gain.low > 0:
            return "holds", "less error than without pruning, by a margin that grows with the number of examples"
        if gain.high < 0:
            return "undecided", "still more error than without pruning, but the gap closes: larger sets would tell"
        return "undecided", "the error falls faster, but is not yet below that without pruning"
    if gain.high < 0:
        return "fails", "more error than without pruning, and no sign that larger sets would mend it"
    if gain.low > 0:
        return "undecided", "less error than without pruning, by a margin that may not grow: a constant, not a law"
    return "undecided", "neither a gain nor a loss can be told from noise"


def _gain_and_growth(unpruned: Line, pruned: Line, unpruned_means: Floats, means: Floats) -> Floats:
    """(2,) the gain at the largest size, and its slope by the logarithm of the number of examples."""
    at = np.log(pruned.examples)
    gains = np.interp(at, np.log(unpruned.examples), np.log(unpruned_means)) - np.log(means)
    centred = at - at.mean()
    return np.array([gains[-1], centred @ gains / (centred @ centred)])


def _replicate(unpruned: Line, pruned: Line, generator: np.random.Generator) -> Floats:
    seeds = unpruned.errors.shape[1]
    chosen = generator.integers(0, seeds, seeds - 1)  # n - 1 of n: Rao and Wu (1988)
    means = []
    for errors in (unpruned.errors, pruned.errors):
        runs = chosen[generator.integers(0, len(chosen), (len(errors), seeds - 1))]
        means.append(_means(np.take_along_axis(errors, runs, axis=1), errors))
    return _gain_and_growth(unpruned, pruned, *means)


def _means(errors: Floats, otherwise: Floats | None = None) -> Floats:
    """(P,) mean over what is there; where a draw caught missing runs alone, the mean of `otherwise`. Never zero."""
    there = ~np.isnan(errors)
    number = there.sum(axis=1)
    means: Floats = np.where(there, errors, 0).sum(axis=1) / np.maximum(number, 1)
    if otherwise is not None:
        means = np.where(number > 0, means, _means(otherwise))
    return np.maximum(means, 1e-9)


def _seeds(errors: Floats) -> int:
    """The fewest runs of any point."""
    return int((~np.isnan(errors)).sum(axis=1).min()) if errors.size else 0
