"""Scores and a fraction to keep, to the indices kept.

Every rule is an order of preference over a pool, and keeping is taking its first part; so kept sets are nested in
`keep` (not beta's, whose order depends on it), and class balance is one mechanism over any rule: each class's quota by
the rule's order within the class, then the global order. Higher is harder, and of equal scores the lower index counts
as harder.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..contracts import Floats, Indices, RuleChoice
from ..errors import ConfigError
from .order import ROUNDING

Kept = NDArray[np.bool_]


def select(
    scores: Floats | None,
    keep: float,
    *,
    rule: RuleChoice,
    labels: Indices | None,
    order: np.random.Generator,
    balance: float = 0.0,
    size: int | None = None,
    probability: Floats | None = None,
) -> Indices:
    """(kept,) sorted unique indices: `keep` of N rounded half up, at least one.

    `size` is N where `scores` is None, which a rule without scores alone allows. `order` is drawn from once whatever
    the rule: one permutation, so that two values of `keep` under the same generator state give nested sets; beta draws
    again. `balance` guarantees each class floor(balance * keep * its size), by the rule's order within the class
    (arXiv:2206.14486 appendix; middle: the class's own central window; stratified: the class's own strata). The rest
    is filled by the global order; at 1 the classes keep their proportions.
    `probability` is each example's mean probability of its target while the proxies trained (N,), for rule=beta.
    """
    num_examples = _size(scores, size, rule)
    num_kept = number_kept(keep, num_examples)
    if not 0 <= balance <= 1:
        raise ConfigError(f"balance={balance} must be from 0 to 1")
    if balance and labels is None:
        raise ConfigError(f"balance={balance} needs classes, and this data set has none", "use balance=0")
    assert labels is None or labels.shape == (num_examples,), "labels and scores are of different examples"
    rule.check(scores, labels, probability)
    values = np.zeros(num_examples) if scores is None or not rule.scored else np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ConfigError(
            f"{int((~np.isfinite(values)).sum())} of {num_examples} scores are NaN or infinite and cannot be ranked",
            "score every example, or use rule=random",
        )
    place = np.argsort(order.permutation(num_examples))  # (N,) of each example in a random order
    values = rule.values(values, keep=keep, labels=labels, probability=probability, place=place, order=order)
    pool = rule.pool(values)  # (M,)
    if num_kept > pool.size:
        raise ConfigError(
            f"rule={rule.name} leaves {pool.size} of {num_examples} examples, keep={keep} wants {num_kept}",
            "lower rule.drop_hardest or keep",
        )
    taken = np.zeros(pool.size, dtype=np.bool_)
    if balance and labels is not None:
        taken = _quotas(values, pool, place, rule=rule, labels=labels, share=balance * keep)
    wanted = _wanted(rule, values[pool], place[pool])
    rest = wanted[~taken[wanted]][: num_kept - int(taken.sum())]
    taken[rest] = True
    return pool[taken].astype(np.int64)


def number_kept(keep: float, num_examples: int) -> int:
    """`keep` of `num_examples`, rounded half up, at least one."""
    if not 0 < keep <= 1:
        raise ConfigError(f"keep={keep} must be above 0 and at most 1: it is the fraction kept, not dropped")
    return max(1, math.floor(keep * num_examples + 0.5 + ROUNDING))


def _quotas(values: Floats, pool: Indices, place: Indices, *, rule: RuleChoice, labels: Indices, share: float) -> Kept:
    """(M,) which of the pool the classes' quotas take: floor(share * size of the class in the whole split) each."""
    taken = np.zeros(pool.size, dtype=np.bool_)
    for label, num_members in zip(*np.unique(labels, return_counts=True), strict=True):
        rows = np.flatnonzero(labels[pool] == label)
        quota = math.floor(share * num_members + ROUNDING)
        if quota > rows.size:
            raise ConfigError(
                f"balance promises class {label} {quota} examples, rule={rule.name} leaves it {rows.size} of "
                f"{num_members}",
                "lower balance or rule.drop_hardest",
            )
        members = pool[rows]
        taken[rows[_wanted(rule, values[members], place[members])[:quota]]] = True
    return taken


def _wanted(rule: RuleChoice, values: Floats, place: Indices) -> Indices:
    """The rule's order of preference, which must have every position once, and must not draw unless it says so."""
    wanted = np.asarray(rule.preference(values, place))
    if wanted.dtype.kind not in "iu" or not np.array_equal(np.sort(wanted), np.arange(values.size)):
        raise ConfigError(
            f"rule={rule.name}: preference must give every position from 0 to {values.size - 1} once, and gave "
            f"{wanted.size} of type {wanted.dtype}"
        )
    if rule.plugin and not rule.draws and not np.array_equal(wanted, rule.preference(values, place[::-1])):
        raise ConfigError(f"rule={rule.name} depends on `place`, a random order: it must say draws = True")
    return wanted


def _size(scores: Floats | None, size: int | None, rule: RuleChoice) -> int:
    if scores is None:
        assert not rule.scored, f"rule {rule.name} needs scores"
        assert size is not None, "give size where there are no scores"
        num_examples = size
    else:
        assert scores.ndim == 1, f"scores have shape {scores.shape}, not (N,)"
        assert size in (None, scores.size), f"{scores.size} scores for {size} examples"
        num_examples = scores.size
    if num_examples < 1:
        raise ConfigError("there are no examples to keep any of")
    return num_examples
