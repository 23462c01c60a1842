"""Memorization and influence by training on random subsets (Feldman & Zhang, arXiv:2008.03703). Pure NumPy.

Both are one difference of two shares of models: those right about an example when i was in their subset, minus those
right about it when i was not. Of i itself it is its memorization, of another example j the influence of i on j.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..contracts import Floats
from ..errors import ConfigError

Flags = NDArray[np.bool_]
BLOCK = 1024  # training examples whose influences exist at once


def check_membership(members: Flags) -> None:
    """Refuse subsets (M, N) that some example is always in, or never: they say nothing of what it changes."""
    inside = members.sum(0)
    always, never = int((inside == len(members)).sum()), int((inside == 0).sum())
    if always or never:
        raise ConfigError(
            f"{len(members)} models are not enough: of {members.shape[1]} examples {always} are in every subset and "
            f"{never} in none",
            "a larger scorer.models, or scorer.share nearer to 0.5",
        )


def memorization(members: Flags, correct: Flags) -> Floats:
    """(N,) P[i right | i in the subset] - P[i right | i not in it], of (M, N) membership and (M, N) correctness."""
    check_membership(members)
    inside, right = members.sum(0), correct.sum(0)
    both = (members & correct).sum(0)
    difference: Floats = both / inside - (right - both) / (len(members) - inside)
    return difference


def influences(members: Flags, correct: Flags, *, block: int = BLOCK) -> Iterator[Floats]:
    """Blocks (B, J) of the influence of each i on each j, in the order of i; correctness on other examples is (M, J).

    A matrix product counts the models, exactly: float32 holds every whole number up to 2^24. Nothing is (N, J, M).
    """
    check_membership(members)
    hits, right = correct.astype(np.float32), correct.sum(0)
    for start in range(0, members.shape[1], block):
        chosen = members[:, start : start + block]
        inside = chosen.sum(0)[:, None]
        both = (chosen.astype(np.float32).T @ hits).astype(np.float64)
        yield both / inside - (right - both) / (len(members) - inside)


def influence_max(members: Flags, correct: Flags, *, block: int = BLOCK) -> Floats:
    """(N,) the largest influence of i on any j: max_j infl(i, j)."""
    return np.concatenate([found.max(1) for found in influences(members, correct, block=block)])


def influence_sum_abs(members: Flags, correct: Flags, *, block: int = BLOCK) -> Floats:
    """(N,) how much i changes at all: sum_j |infl(i, j)|."""
    return np.concatenate([np.abs(found).sum(1) for found in influences(members, correct, block=block)])
