"""What stands beside a tuple: how often each target symbol does, and the tuples as points by that.

Arrays have a row for each position and a column for each string: what is counted at a position is in one piece.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from ...contracts import Floats, Indices

Target = Literal["latents", "tokens", "labels"]
TARGETS: tuple[Target, ...] = ("latents", "tokens", "labels")


def beside(ids: Indices, targets: Indices, tuples: int, symbols: int) -> Floats:
    """(U, V, K) how often a tuple has symbol k in view v, by counting.

    ids (G, s, P): the number of each tuple, of G groups of s siblings. targets (G, s, C, P): what is predicted of each
    sibling, C slots of it. A view is a tuple's own place among its siblings, another sibling, and a slot of that one.
    """
    siblings, slots = targets.shape[1:3]
    views = []
    for place in range(siblings):
        own = ids[:, place] * symbols
        for other in range(siblings):
            if other != place:
                views += [_count(own + targets[:, other, slot], tuples, symbols) for slot in range(slots)]
    return np.stack(views, axis=1)


def above(ids: Indices, labels: Indices, tuples: int, classes: int) -> Floats:
    """(U, T, K) how often a tuple at position t is in a string of class k. ids (T, P), labels (P,)."""
    return np.stack([_count(row * classes + labels, tuples, classes) for row in ids], axis=1)


def _count(cells: Indices, tuples: int, symbols: int) -> Floats:
    counted = np.bincount(cells.ravel(), minlength=tuples * symbols)
    return counted.reshape(tuples, symbols).astype(float)


def chances(counts: Floats) -> Floats:
    """(U, V, K) the share of each symbol in each view of each tuple; the marginal where a tuple was never in a view."""
    seen, total = counts.sum(-1, keepdims=True), counts.sum(0)
    marginal = total / np.maximum(total.sum(-1, keepdims=True), 1)
    return np.where(seen > 0, counts / np.maximum(seen, 1), marginal)


def points(chance: Floats, weights: Floats) -> Floats:
    """(U, V K) where each tuple stands: (p - q) / sqrt(q) with the mean q, whose squared distances are chi-squared."""
    mean = np.tensordot(weights, chance, axes=(0, 0)) / weights.sum()
    scale = np.where(mean > 0, 1 / np.sqrt(np.where(mean > 0, mean, 1)), 0.0)
    return ((chance - mean) * scale).reshape(len(chance), -1)
