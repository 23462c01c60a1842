"""What each factor of a two-level full factorial design does, alone and with the others (Fisher 1935). numpy only.

`values` (S, 2, ..., 2) has the outcome of each seed at each combination: an axis a factor, without it and with it.
Everything is by seed, so that an interval over seeds (intervals) has all that a seed's runs share.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..contracts import Floats

BETWEEN = " × "


def effects(values: Floats, factors: Sequence[str]) -> dict[str, Floats]:
    """Name -> (S,) effects: of each factor, of each two, and so on.

    prune: what it adds, the mean over whether the others are done. prune × equalise: how much more equalising adds
    where pruning is done than where it is not (or the other way round, which is the same), the mean over the others.
    prune × equalise × allocate: how much that changes where allocating is done. All are differences of outcomes.
    """
    _checked(values, factors)
    found = {}
    for number in range(1, len(factors) + 1):
        for chosen in combinations(range(len(factors)), number):
            left = values
            for axis in reversed(range(len(factors))):
                without, done = np.moveaxis(left, axis + 1, 0)
                left = done - without if axis in chosen else (without + done) / 2
            found[BETWEEN.join(factors[axis] for axis in chosen)] = left
    return found


def gains(values: Floats, factors: Sequence[str]) -> dict[str, tuple[Floats, Floats]]:
    """Factor -> (S,) what it adds alone, and (S,) what it adds where all the factors before it are done, in order."""
    _checked(values, factors)
    number = len(factors)

    def added(place: int, before: int) -> Floats:
        left = values
        for axis in range(number):  # those before `place` stand first, those after it behind it
            if axis != place:
                left = np.take(left, before if axis < place else 0, axis=1 if axis < place else 2)
        return np.asarray(left[:, 1] - left[:, 0])

    return {name: (added(place, 0), added(place, 1)) for place, name in enumerate(factors)}


def _checked(values: Floats, factors: Sequence[str]) -> None:
    assert values.shape[1:] == (2,) * len(factors), f"{values.shape} is no table of {len(factors)} factors"
