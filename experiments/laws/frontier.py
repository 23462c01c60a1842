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

from ..contracts import Floats
from .intervals import LEVEL, Interval, intervals_of

Verdict = Literal["holds", "fails", "undecided"]
SEEDS = 3  # fewer decide nothing
SIZES = 3  # points of a line, below which it has no slope worth the name
DECADES = 0.5  # range of examples below which a slope is not called a law
LEAST = 1e-9  # an error of zero has no logarithm


@dataclass(frozen=True, slots=True)
class Line:
    """Errors (S, P) of S seeds at P numbers of training examples (P,), rising; NaN where a run is missing."""

    examples: Floats
    errors: Floats


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether one line beats the unpruned law, and how sure that is."""

    gain: Interval | None  # nats of error saved at the largest number of examples that both have
    growth: Interval | None  # more of it for e times the examples: the difference of the exponents
    examples: float  # where the gain was measured
    points: int
    seeds: int
    verdict: Verdict
    reason: str


def beats(unpruned: Line, pruned: Line, *, family: int = 1) -> Answer:
    """Judge one line among `family` lines of the same question, whose intervals share one level (Bonferroni).

    A row of both lines is the same seed: its test set, order and initialisation are in both, so a seed is left out of
    both at once, and gain and growth are paired by seed (`intervals_of`).
    """
    inside = (pruned.examples >= 0.99 * unpruned.examples[0]) & (pruned.examples <= 1.01 * unpruned.examples[-1])
    examples, errors = pruned.examples[inside], pruned.errors[:, inside]
    both = np.hstack([unpruned.errors, errors])
    seeds = int((~np.isnan(both)).sum(axis=0).min()) if len(examples) else 0
    reach = math.log10(examples[-1] / examples[0]) if len(examples) else 0.0
    short = _too_little(len(examples), seeds, reach)
    if short:
        last = float(examples[-1]) if len(examples) else math.nan
        return Answer(None, None, last, len(examples), seeds, "undecided", short)
    logs = gain_and_growth(unpruned.examples, examples)
    found = intervals_of(both, lambda means: np.log(np.maximum(means, LEAST)) @ logs, level=1 - (1 - LEVEL) / family)
    gain, growth = (Interval(*map(float, ends)) for ends in found.T)
    return Answer(gain, growth, float(examples[-1]), len(examples), seeds, *_judge(gain, growth))


def together(answers: Sequence[Answer]) -> Verdict:
    """Of a family of lines: pruning beats the law where one of them does, and fails where all of them fail."""
    verdicts = {answer.verdict for answer in answers}
    return "holds" if "holds" in verdicts else "fails" if verdicts == {"fails"} else "undecided"


def _too_little(points: int, seeds: int, decades: float) -> str:
    if seeds < SEEDS:
        return f"{seeds} seed{'' if seeds == 1 else 's'} at every point, and fewer than {SEEDS} decide nothing"
    if points < SIZES:
        sizes = "1 size has" if points == 1 else f"{points} sizes have"
        return f"{sizes} an unpruned set of as many examples, and fewer than {SIZES} show no trend"
    if decades < DECADES:
        return f"the sizes span {decades:.2f} decades, and below {DECADES:g} a trend is no law"
    return ""


def _judge(gain: Interval, growth: Interval) -> tuple[Verdict, str]:
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


def gain_and_growth(unpruned: Floats, pruned: Floats) -> Floats:
    """(U + P, 2) weights of the log errors, unpruned ones first: the gain at the largest size, and its slope.

    The sizes are (U,) and (P,). The slope is by the logarithm of the number of examples, by least squares.
    """
    at, known = np.log(pruned), np.log(unpruned)
    between = np.stack([np.interp(at, known, one) for one in np.eye(len(known))], axis=1)  # (P, U)
    gains = np.hstack([between, -np.eye(len(at))])  # (P, U + P)
    centred = at - at.mean()
    return np.stack([gains[-1], centred @ gains / (centred @ centred)], axis=1)
