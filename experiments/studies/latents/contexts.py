"""What stands beside a tuple: how often each target symbol does, and the tuples as points by that.

Arrays have a row for each position and a column for each string: what is counted at a position is in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...contracts import Floats, Indices

Target = Literal["latents", "tokens", "labels"]
TARGETS: tuple[Target, ...] = ("latents", "tokens", "labels")


@dataclass(frozen=True, slots=True)
class Strings:
    """Strings for learning, then strings for scoring, with nothing in them but what a learner may see."""

    tokens: Indices  # (s^L, N) numbered by first appearance
    labels: Indices  # (N,) of the root; only the target `labels` looks at them
    learned: int  # P: how many, the first, are for learning
    branching: int
    clusters: tuple[int, ...]  # how many latent symbols level 1, 2, ..., L - 1 have


@dataclass(frozen=True, slots=True)
class Level:
    """What one level is learned from."""

    number: int  # 1, 2, ..., L - 1
    ids: Indices  # (T, P) the number of each tuple of the strings for learning
    below: Indices  # (s T, P) the learner's own symbols of the level below
    strings: Strings

    @property
    def tuples(self) -> int:
        """U: how many different ones there are."""
        return int(self.ids.max()) + 1

    def symbols(self, target: Target) -> Indices:
        """(positions, P) what is predicted: a row for each token, for each own symbol of the level below, or one."""
        learned = slice(self.strings.learned)
        if target == "labels":
            return self.strings.labels[None, learned]
        return self.below if target == "latents" else self.strings.tokens[:, learned]


def views(level: Level, target: Target, rows: Indices | slice = slice(None)) -> Iterator[tuple[Indices, Indices]]:
    """The numbers of tuples and the symbols that stand beside them, (G, P) each, one view after the other.

    Of own latents and tokens a view is a tuple's place among its siblings, another sibling, and one of the symbols
    under that sibling; G groups of siblings share it. Of labels it is a tuple's place in the string. rows: the strings.
    """
    ids, symbols, siblings = level.ids[:, rows], level.symbols(target)[:, rows], level.strings.branching
    if target == "labels":
        yield from ((row[None], symbols) for row in ids)
        return
    groups = ids.reshape(-1, siblings, ids.shape[1])
    beside = symbols.reshape(*groups.shape[:2], -1, ids.shape[1])
    for place in range(siblings):
        for other in range(siblings):
            if other != place:
                yield from ((groups[:, place], beside[:, other, slot]) for slot in range(beside.shape[2]))


def contexts(level: Level, target: Target, rows: Indices | slice = slice(None)) -> Floats:
    """(U, V, K) how often each tuple has symbol k of the target in view v."""
    number = int(level.symbols(target).max()) + 1
    cells = (ids * number + symbols for ids, symbols in views(level, target, rows))
    counted = [np.bincount(one.ravel(), minlength=level.tuples * number) for one in cells]
    counts: Floats = np.stack(counted, axis=1).astype(float).reshape(level.tuples, number, -1).swapaxes(1, 2)
    return counts


def chances(counts: Floats) -> Floats:
    """(U, V, K) the share of each symbol in each view of each tuple; the marginal where a tuple was never in a view."""
    met, total = counts.sum(-1, keepdims=True), counts.sum(0)
    marginal = total / np.maximum(total.sum(-1, keepdims=True), 1)
    shares: Floats = np.where(met > 0, counts / np.maximum(met, 1), marginal)
    return shares


def points(chance: Floats, weights: Floats) -> Floats:
    """(U, V K) where each tuple stands: (p - q) / sqrt(q) with the mean q, whose squared distances are chi-squared."""
    mean = np.tensordot(weights, chance, axes=(0, 0)) / weights.sum()
    scale = np.where(mean > 0, 1 / np.sqrt(np.where(mean > 0, mean, 1)), 0.0)
    stands: Floats = ((chance - mean) * scale).reshape(len(chance), -1)
    return stands
