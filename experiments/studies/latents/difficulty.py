"""How hard a string is to predict, for a learner that was trained on the pool that the string is from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...contracts import Floats, Indices
from .clustering import given, learn
from .contexts import Level, Target, contexts, views


def losses(levels: Sequence[Indices], target: Target, seed: int) -> Floats:
    """(N,) prediction loss of each string in nats, higher is harder: the mean over levels of that of what is predicted.

    The learner is iterative latent clustering with this target, on these strings. Each prediction leaves its own count
    out, so that nothing is easy for having been counted, and adds one of the marginal's shares, so that none is 0.
    """
    strings, _ = given(levels, target, [one[:1] for one in levels])
    learned, below = strings.learned, strings.tokens[:, : strings.learned]
    total = np.zeros(learned)
    found = learn(strings, target=target, seed=seed)
    for number, (ids, own) in enumerate(found, start=1):
        level = Level(number, ids[:, :learned], below, strings)
        counts, loss, predicted = contexts(level, target), np.zeros(learned), 0
        for view, (tuples, symbols) in enumerate(views(level, target)):
            own_counts = counts[:, view]
            share = own_counts.sum(0) / own_counts.sum()
            chance = (own_counts[tuples, symbols] - 1 + share[symbols]) / own_counts.sum(1)[tuples]
            loss -= np.log(chance).sum(0)
            predicted += len(tuples)
        total += loss / predicted
        below = own[:, :learned]
    return total / len(found)
