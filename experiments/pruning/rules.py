"""Scores and a fraction to keep, to the indices kept.

Every rule is an order of preference over a pool, and keeping is taking its first part; so kept sets are nested in
`keep` (not beta's, whose order depends on it), and class balance is one mechanism over any rule: each class's quota by
the rule's order within the class, then the global order. Higher is harder, and of equal scores the lower index counts
as harder.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..contracts import Floats, Indices
from ..errors import ConfigError

Rule = Literal["hard", "easy", "middle", "random", "stratified", "beta", "quota"]
Kept = NDArray[np.bool_]
STRATA = 50  # equal-width score bins of CCS (arXiv:2210.15809)
TOP, CURVE = 10, 4  # of DUAL's Beta: examples that say where the hard ones lie, and c_D (arXiv:2502.06905)
NEARLY = 1e-6  # probabilities are moved this far into (0, 1), where the Beta density is finite
ROUNDING = 1e-9  # 0.29 * 100 is 28.999...: a product this close to a whole number is that number


def select(
    scores: Floats | None,
    keep: float,
    *,
    rule: Rule,
    labels: Indices | None,
    order: np.random.Generator,
    balance: float = 0.0,
    drop_hardest: float = 0.0,
    size: int | None = None,
    probability: Floats | None = None,
) -> Indices:
    """(kept,) sorted unique indices: `keep` of N rounded half up, at least one.

    `size` is N where `scores` is None, which rule random alone allows. `order` is drawn from once whatever the rule:
    one permutation, so that two values of `keep` under the same generator state give nested sets; beta draws again.
    `balance` guarantees each class floor(balance * keep * its size), by the rule's order within the class
    (arXiv:2206.14486 appendix; middle: the class's own central window; stratified: the class's own strata). The rest
    is filled by the global order; at 1 the classes keep their proportions.
    `drop_hardest` (stratified only) takes floor(drop_hardest * N) of the hardest out before anything else.
    `probability` (beta only) is each example's mean probability of its target while the proxies trained (N,).
    """
    num_examples = _size(scores, size, rule)
    num_kept = number_kept(keep, num_examples)
    _check_settings(rule, labels, balance, drop_hardest, num_examples)
    _check_inputs(rule, scores, labels, probability)
    values = np.zeros(num_examples) if rule == "random" or scores is None else np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ConfigError(
            f"{int((~np.isfinite(values)).sum())} of {num_examples} scores are NaN or infinite and cannot be ranked",
            "score every example, or use rule=random",
        )
    place = np.argsort(order.permutation(num_examples))  # (N,) of each example in a random order
    if rule == "beta" and probability is not None:
        # the highest of log-weights plus Gumbel noise are a draw without replacement in proportion to the weights
        values = _beta_weights(values, probability, keep) + order.gumbel(size=num_examples)
    elif rule == "quota" and labels is not None:
        values = _class_turns(values, labels, place)

    num_dropped = math.floor(drop_hardest * num_examples + ROUNDING)
    pool = np.sort(_hardest_first(values)[num_dropped:])  # (M,)
    if num_kept > pool.size:
        raise ConfigError(
            f"drop_hardest={drop_hardest} leaves {pool.size} of {num_examples} examples, keep={keep} wants {num_kept}",
            "lower drop_hardest or keep",
        )
    taken = np.zeros(pool.size, dtype=np.bool_)
    if balance and labels is not None:
        taken = _quotas(values, pool, place, rule=rule, labels=labels, share=balance * keep)
    wanted = preference(values[pool], place[pool], rule)
    rest = wanted[~taken[wanted]][: num_kept - int(taken.sum())]
    taken[rest] = True
    return pool[taken].astype(np.int64)


def number_kept(keep: float, num_examples: int) -> int:
    """`keep` of `num_examples`, rounded half up, at least one."""
    if not 0 < keep <= 1:
        raise ConfigError(f"keep={keep} must be above 0 and at most 1: it is the fraction kept, not dropped")
    return max(1, math.floor(keep * num_examples + 0.5 + ROUNDING))


def preference(scores: Floats, place: Indices, rule: Rule) -> Indices:
    """(n,) positions in a pool, the most wanted first. `place` is each one's turn in a random order."""
    hardest_first = _hardest_first(scores)
    if rule in ("hard", "beta", "quota"):  # beta and quota: `select` has made an order of preference of the scores
        return hardest_first
    if rule == "easy":
        return hardest_first[::-1]
    if rule == "middle":  # outwards from the median rank, the harder side first: every prefix is a central window
        distance = np.abs(2 * np.arange(scores.size) - (scores.size - 1))
        return hardest_first[np.argsort(distance, kind="stable")]
    if rule == "random":
        return np.argsort(place)
    return _in_turns(scores, place)


def beta_parameters(scores: Floats, probability: Floats, keep: float) -> tuple[float, float]:
    """DUAL's y_a and y_b (arXiv:2502.06905): y_b = 15 (1 - mu) (1 - r^4), y_a = 16 - y_b.

    mu is the mean probability of the ten top scores, r the fraction dropped: where little is dropped the density peaks
    near mu, at the hard examples, and the more is dropped the nearer to 1, at the easy ones.
    """
    mu = float(probability[_hardest_first(scores)[:TOP]].mean())
    beta = 15 * (1 - mu) * (1 - (1 - keep) ** CURVE)
    return 16 - beta, beta


def _beta_weights(scores: Floats, probability: Floats, keep: float) -> Floats:
    """(N,) logarithm, up to a constant, of the Beta density of the probability times the score; score 0 comes last."""
    alpha, beta = beta_parameters(scores, probability, keep)
    inside = np.clip(probability, NEARLY, 1 - NEARLY)
    positive = np.maximum(scores, np.finfo(np.float64).tiny)
    weights: Floats = (alpha - 1) * np.log(inside) + (beta - 1) * np.log(1 - inside) + np.log(positive)
    return weights


def _class_turns(scores: Floats, labels: Indices, place: Indices) -> Floats:
    """(N,) an order that fills class quotas, at random inside a class (DRoP, arXiv:2404.05579, algorithm 1).

    A class keeps a share of its members in proportion to its error, its members' mean score; what a full class cannot
    take goes to the others in the same proportion. As an order: the n-th member of a class of quota weight w = members
    * error has preference w / (n - 1/2), which hands out places by Sainte-Lague rounding. Classes without error last.
    """
    values = np.empty(scores.size)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        middle = np.argsort(np.argsort(place[own])) + 0.5  # n - 1/2, the turns in random order
        error = float(scores[own].mean())
        values[own] = error * own.size / middle if error > 0 else -middle / own.size
    return values


def _hardest_first(scores: Floats) -> Indices:
    return np.argsort(-scores, kind="stable")


def _in_turns(scores: Floats, place: Indices) -> Indices:
    """CCS as an order: the bins take turns, each giving a random member, until it is empty.

    Taking turns is the published allocation (from the smallest bin upward, each an equal share of what is left, rounded
    down): bins smaller than the share give all they have, and what rounding leaves falls to the largest bins.
    """
    low, high = scores.min(), scores.max()
    if high == low:
        return np.argsort(place)
    bins = np.minimum((scores - low) / (high - low) * STRATA, STRATA - 1).astype(np.int64)
    sizes = np.bincount(bins, minlength=STRATA)
    by_bin = np.lexsort((place, bins))
    turn = np.empty(scores.size, dtype=np.int64)
    turn[by_bin] = np.arange(scores.size) - (np.cumsum(sizes) - sizes)[bins[by_bin]]
    return np.lexsort((-bins, -sizes[bins], turn))  # of equal bins the harder first


def _quotas(values: Floats, pool: Indices, place: Indices, *, rule: Rule, labels: Indices, share: float) -> Kept:
    """(M,) which of the pool the classes' quotas take: floor(share * size of the class in the whole split) each."""
    taken = np.zeros(pool.size, dtype=np.bool_)
    for label, num_members in zip(*np.unique(labels, return_counts=True), strict=True):
        rows = np.flatnonzero(labels[pool] == label)
        quota = math.floor(share * num_members + ROUNDING)
        if quota > rows.size:
            raise ConfigError(
                f"balance promises class {label} {quota} examples, drop_hardest leaves it {rows.size} of {num_members}",
                "lower balance or drop_hardest",
            )
        members = pool[rows]
        taken[rows[preference(values[members], place[members], rule)[:quota]]] = True
    return taken


def _size(scores: Floats | None, size: int | None, rule: Rule) -> int:
    if scores is None:
        assert rule == "random", f"rule {rule} needs scores"
        assert size is not None, "give size where there are no scores"
        num_examples = size
    else:
        assert scores.ndim == 1, f"scores have shape {scores.shape}, not (N,)"
        assert size in (None, scores.size), f"{scores.size} scores for {size} examples"
        num_examples = scores.size
    if num_examples < 1:
        raise ConfigError("there are no examples to keep any of")
    return num_examples


def _check_settings(rule: Rule, labels: Indices | None, balance: float, drop_hardest: float, num_examples: int) -> None:
    if not 0 <= balance <= 1:
        raise ConfigError(f"balance={balance} must be from 0 to 1")
    if not 0 <= drop_hardest < 1:
        raise ConfigError(f"drop_hardest={drop_hardest} must be from 0 to below 1")
    if drop_hardest and rule != "stratified":
        raise ConfigError(f"drop_hardest belongs to rule=stratified and would be ignored by rule={rule}")
    if balance and labels is None:
        raise ConfigError(f"balance={balance} needs classes, and this data set has none", "use balance=0")
    assert labels is None or labels.shape == (num_examples,), "labels and scores are of different examples"


def _check_inputs(rule: Rule, scores: Floats | None, labels: Indices | None, probability: Floats | None) -> None:
    if rule == "beta" and probability is None:
        raise ConfigError(
            "rule=beta needs the mean probability of each example, and this score has none", "scorer=dual"
        )
    if rule == "quota" and labels is None:
        raise ConfigError("rule=quota needs classes, and this data set has none", "rule=random")
    if rule in ("beta", "quota"):
        assert scores is None or not (scores < -ROUNDING).any(), f"rule {rule} needs scores that are not negative"
    assert probability is None or scores is None or probability.shape == scores.shape, "of different examples"
