"""Orders of scores that rules share: higher is harder; a rule sees examples in a random order, which decides ties."""

from __future__ import annotations

import numpy as np

from ..contracts import Floats, Indices

ROUNDING = 1e-9  # 0.29 * 100 is 28.999...: a product this close to a whole number is that number


def hardest_first(scores: Floats) -> Indices:
    """(N,) indices, the highest score first, equal scores in the order in which they are given."""
    return np.argsort(-scores, kind="stable")


def not_negative(rule: str, scores: Floats | None) -> None:
    """A rule that takes scores for weights has no meaning for negative ones."""
    assert scores is None or not (scores < -ROUNDING).any(), f"rule {rule} needs scores that are not negative"
