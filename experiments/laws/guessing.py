"""Whether a model is any better than one that guesses the largest class."""

from __future__ import annotations

import math

from ..contracts import Indices

SIGMAS = 2  # standard errors of an accuracy that guessing may reach by luck


def chance(counts: Indices) -> tuple[float, float]:
    """The accuracy of guessing, of the numbers of examples of each class (C,), and what a model must be above."""
    share = float(counts.max() / counts.sum())
    return share, above(share, int(counts.sum()))


def above(share: float, number: int) -> float:
    """What the accuracy on so many examples must be above to be better than guessing, which is right in `share`."""
    return share + SIGMAS * math.sqrt(share * (1 - share) / number)
