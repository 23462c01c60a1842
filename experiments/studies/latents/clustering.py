"""Iterative latent clustering (ILC, arXiv:2605.27734 §3): learn a grammar's hidden levels from strings, bottom up.

At each level the tuples that stand beside like symbols are joined by k-means: they are synonyms, and their cluster is
the latent symbol of the next level. What is counted beside a tuple is the prediction target: the learner's own latents
of the level below, the visible tokens, or the root's label. Nothing else differs between targets.

Symbols and tuples are numbered by their first appearance in the strings, so no result depends on their names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from ...contracts import Floats, Indices
from ...errors import ConfigError
from ...seeds import numpy_stream
from .contexts import TARGETS, Level, Strings, Target, chances, contexts, points
from .grammar import whole
from .kmeans import k_means

HELD_OUT = 0.2  # share of the strings that scores are of, where no others are given
MOST_SYMBOLS = 1_000_000


Predict = Callable[[Level, Target, int], tuple[Floats, Floats]]
Levels = Sequence[Indices]


def recover(
    levels: Levels, *, target: Target = "latents", seed: int, held_out: Levels | None = None, shuffled: bool = False
) -> list[float]:
    """Accuracy of each learned level on held-out strings, level 1 first, the root left out.

    levels: as `Grammar.sample` gives them; only the last is learned from (with target="labels" also the first), the
    others are for scoring. A cluster counts as the symbol that Hungarian matching gives it; a tuple that learning never
    met counts as wrong. held_out: the same of other strings; without it the last fifth of these. shuffled: what stands
    beside a tuple is that of another string, which gives the accuracy of a learner that has nothing to learn from.
    """
    return [accuracy(own, true) for _, own, true in recovered(levels, target, seed, held_out, shuffled)]


def recover_ari(
    levels: Levels, *, target: Target = "latents", seed: int, held_out: Levels | None = None, shuffled: bool = False
) -> list[float]:
    """The adjusted Rand index of each learned level, 0 by chance and 1 where all is right; else as `recover`."""
    return [rand_index(*one) for one in recovered(levels, target, seed, held_out, shuffled)]


def accuracy(own: Indices, true: Indices) -> float:
    """Share of symbols that are right under the best matching of clusters with symbols; -1 is never right."""
    symbols = int(true.max()) + 1
    cells = (own + 1) * symbols + true
    table = np.bincount(cells.ravel(), minlength=(int(own.max()) + 2) * symbols).reshape(-1, symbols)[1:]
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / own.size)


def rand_index(ids: Indices, own: Indices, true: Indices) -> float:
    """The adjusted Rand index of own and true symbols over pairs of positions whose tuples `ids` differ.

    Two positions of one tuple are in one cluster whatever was learned. Over all pairs the index of a clustering by
    chance is therefore not 0 but about (1/(v m) - 1/v^2) / (1/v - 1/v^2) at level 1. A tuple never met is alone. 1
    where the clusters are the symbols, also where no two tuples have a symbol in common.
    """
    symbols = int(true.max()) + 1
    own = np.where(own < 0, own.max() + 1 + ids, own)
    same = _pairs(ids * symbols + true)  # of one tuple, and so of one cluster; of one symbol, too
    tuples, clusters, truths, both = _pairs(ids), _pairs(own), _pairs(true), _pairs(own * symbols + true)
    pairs, joined, alike, right = float(own.size) ** 2 - tuples, clusters - tuples, truths - same, both - same
    if joined == alike == right:
        return 1.0
    by_chance = joined * alike / pairs
    return (right - by_chance) / ((joined + alike) / 2 - by_chance)


def _pairs(values: Indices) -> float:
    """How many ordered pairs of positions have equal values."""
    return float(np.square(np.bincount(values.ravel()).astype(float)).sum())


def recovered(
    levels: Levels, target: Target, seed: int, held_out: Levels | None = None, shuffled: bool = False,
    predict: Predict | None = None,
) -> list[tuple[Indices, Indices, Indices]]:  # fmt: skip
    """Numbers of tuples, learned and true symbols (s^(L - k), N) of the held-out strings, level k = 1 first."""
    seed, (strings, truth) = whole("seed", seed, None), given(levels, target, held_out)
    learned = learn(strings, target=target, seed=seed, shuffled=shuffled, predict=predict)
    rest = slice(strings.learned, None)
    return [(ids[:, rest], own[:, rest], true) for (ids, own), true in zip(learned, truth, strict=True)]


def learn(
    strings: Strings, *, target: Target, seed: int, shuffled: bool = False, predict: Predict | None = None
) -> list[tuple[Indices, Indices]]:
    """(s^(L - k), N) the number of every tuple and its latent symbol, level k = 1 first; -1 where it was not met.

    predict: says what stands beside each tuple, by counting (`counted`) where none is given.
    """
    below, found = strings.tokens, []
    for number, clusters in enumerate(strings.clusters, start=1):
        ids = numbered(below, strings.branching, strings.learned)
        level = Level(number, ids[:, : strings.learned], below[:, : strings.learned], strings)
        if shuffled:
            level = _shuffled(level, numpy_stream(seed, "shuffled", number))
        chance, weights = (predict or counted)(level, target, seed)
        labels = clustered(chance, weights, clusters, numpy_stream(seed, "k-means", number))
        unknown = np.full(int(ids.max()) + 1 - len(labels), -1)
        below = np.concatenate([labels, unknown])[ids]
        found.append((ids, below))
    return found


def numbered(symbols: Indices, branching: int, learned: int) -> Indices:
    """(T, N) the number of each tuple of s neighbours in (s T, N) symbols: by first appearance, learning first."""
    base = int(symbols.max()) + 2  # with -1 for the unknown
    codes = symbols[::branching] + 1
    for place in range(1, branching):
        codes = codes * base + (symbols[place::branching] + 1)
    parts = codes[:, :learned], codes[:, learned:]
    flat, _ = pd.factorize(np.concatenate([one.ravel() for one in parts]))
    split = parts[0].size
    return np.concatenate([flat[:split].reshape(parts[0].shape), flat[split:].reshape(parts[1].shape)], axis=1)


def counted(level: Level, target: Target, seed: int) -> tuple[Floats, Floats]:
    """(U, V, K) chances of the target's symbols beside each of the U tuples met, and (U,) how often each was met."""
    counts = contexts(level, target)
    return chances(counts), counts.sum((1, 2))


def clustered(chance: Floats, weights: Floats, clusters: int, draw: np.random.Generator) -> Indices:
    """(U,) the cluster of each tuple: k-means on the k - 1 directions in which weighted tuples differ most.

    The centres of k clusters span k - 1 dimensions; all others hold noise alone.
    """
    stands, roots = points(chance, weights), np.sqrt(weights / weights.sum())[:, None]
    values, vectors = np.linalg.eigh((roots * stands) @ (roots * stands).T)
    kept = min(clusters - 1, len(values))
    spread = vectors[:, ::-1][:, :kept] * np.sqrt(np.maximum(values[::-1][:kept], 0)) / roots
    return k_means(spread, weights, clusters, draw)


def given(levels: Levels, target: Target, held_out: Levels | None = None) -> tuple[Strings, list[Indices]]:
    """The strings as a learner sees them, and the (s^(L - k), N) true symbols of those held out, k = 1 first."""
    levels = _checked(levels, target)
    learned = len(levels[0])
    if held_out is None:
        if learned < 2:
            raise ConfigError("one string cannot be both learned from and held out", "more strings")
        learned -= max(1, int(HELD_OUT * learned))
        levels, rest = [one[:learned] for one in levels], [one[learned:] for one in levels]
    else:
        rest = _checked(held_out, target)
    if [one.shape[1] for one in rest] != [one.shape[1] for one in levels]:
        raise ConfigError("held_out has strings of another length", "strings of the same grammar")
    clusters = tuple(_different(*pair) for pair in zip(levels[-2:0:-1], rest[-2:0:-1], strict=True))
    if learned < max(clusters):
        raise ConfigError(
            f"{learned} strings to learn from are fewer than the {max(clusters)} symbols of a level, and k-means "
            "cannot make more clusters than that",
            "more strings",
        )
    roots, classes = levels[0][:, 0], int(max(one[0].max() for one in (levels, rest))) + 1
    absent = np.setdiff1d(np.arange(classes), roots)
    if target == "labels" and len(absent):
        raise ConfigError(
            f"class {absent[0]} of {classes} has no string among the {learned} to learn from", "more strings"
        )
    labels, _ = pd.factorize(np.concatenate([roots, rest[0][:, 0]]))
    tokens = np.concatenate([levels[-1].T, rest[-1].T], axis=1)
    tokens = pd.factorize(tokens.ravel())[0].reshape(tokens.shape)
    truth = [np.ascontiguousarray(one.T) for one in rest[-2:0:-1]]
    return Strings(tokens, labels, learned, levels[1].shape[1], clusters), truth


def _different(*symbols: Indices) -> int:
    """How many different symbols there are."""
    highest = max(int(one.max()) for one in symbols)
    return int(np.count_nonzero(np.sum([np.bincount(one.ravel(), minlength=highest + 1) for one in symbols], axis=0)))


def _checked(levels: Any, target: str) -> list[Indices]:
    if target not in TARGETS:
        raise ConfigError(f"target={target}: there is no such target", f"one of {', '.join(TARGETS)}")
    try:
        arrays = [np.asarray(one) for one in levels]
    except (TypeError, ValueError):  # no list, or rows of several lengths
        arrays = []
    shapes = [one.shape for one in arrays]
    branching = shapes[1][1] if len(shapes) > 1 and len(shapes[1]) == 2 else 0
    wanted = [(shapes[0][0], branching**k) for k in range(len(shapes))] if shapes and shapes[0] else []
    whole = all(
        np.issubdtype(one.dtype, np.integer) and one.size and one.min() >= 0 and one.max() < MOST_SYMBOLS
        for one in arrays
    )
    if branching < 2 or shapes != wanted or not whole:
        raise ConfigError(
            "levels are not those of strings: symbols from 0 up, below a million, as integers (N, 1), (N, s), "
            "(N, s^2), ..., the root first",
            "what Grammar(...).sample(number, seed) returns",
        )
    if len(shapes) < 3:
        raise ConfigError("a grammar of depth 1 has no hidden level below its root", "Grammar(depth=2, ...)")
    return [one.astype(np.int64, copy=False) for one in arrays]


def _shuffled(level: Level, draw: np.random.Generator) -> Level:
    """The same with other strings' symbols beside each tuple."""
    order, strings = draw.permutation(level.strings.learned), level.strings
    labels, tokens = strings.labels[order], strings.tokens[:, order]
    return replace(level, below=level.below[:, order], strings=replace(strings, tokens=tokens, labels=labels))
