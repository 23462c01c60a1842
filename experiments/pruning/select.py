"""Scores and a fraction to keep, to the indices kept.

Every rule is an order of preference over a pool, and keeping is taking its first part; so kept sets are nested in
`keep` (not beta's, whose order depends on it), and balance is one mechanism over any rule: the quota of each group (a
class, where nothing else is said) by the rule's order within the group, then the global order. Higher is harder.
Which of equal scores counts as harder is drawn by the seed and the examples' ids: a rule sees the examples in that
random order, never in the order of files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..contracts import Floats, Indices, RuleChoice
from ..errors import ConfigError
from ..seeds import numpy_stream, turns
from .order import ROUNDING

Kept = NDArray[np.bool_]


def select(
    scores: Floats | None,
    keep: float,
    *,
    rule: RuleChoice,
    labels: Indices | None,
    groups: Indices | None = None,
    ids: Sequence[str] | NDArray[np.str_],
    seed: int,
    balance: float = 0.0,
    probability: Floats | None = None,
) -> Indices:
    """(kept,) sorted unique indices: `keep` of N rounded half up, at least one.

    `scores` may be None for a rule that needs none. The `ids` (N,) and the seed decide each example's turn in a random
    order, whatever `keep`, so that two values of `keep` give nested sets; beta draws again. `balance` guarantees each
    group (of `groups`, or the classes) floor(balance * keep * its size), by the rule's order within the group
    (arXiv:2206.14486 appendix, of classes; middle: the group's own central window; stratified: its own strata). The
    rest is filled by the global order; at 1 the groups keep their proportions.
    `probability` is each example's mean probability of its target while the proxies trained (N,), for rule=beta.
    """
    num_examples = _size(scores, len(ids), rule)
    num_kept = number_kept(keep, num_examples)
    if not 0 <= balance <= 1:
        raise ConfigError(f"balance={balance} must be from 0 to 1")
    groups = labels if groups is None else groups
    if balance and groups is None:
        raise ConfigError(f"balance={balance} needs classes or groups, and there are none", "use balance=0")
    for members in (labels, groups):
        assert members is None or members.shape == (num_examples,), "labels and scores are of different examples"
    rule.check(scores, labels, probability)
    values = np.zeros(num_examples) if scores is None or not rule.scored else np.asarray(scores, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ConfigError(
            f"{int((~np.isfinite(values)).sum())} of {num_examples} scores are NaN or infinite and cannot be ranked",
            "score every example, or use rule=random",
        )
    rows = np.argsort(turns(seed, "prune", ids))  # (N,) from here on the examples are in this random order
    values, place = values[rows], np.arange(num_examples)
    labels, groups = (None if members is None else members[rows] for members in (labels, groups))
    probability = None if probability is None else probability[rows]
    order = numpy_stream(seed, "prune")
    values = rule.values(values, keep=keep, labels=labels, probability=probability, place=place, order=order)
    pool = rule.pool(values)  # (M,)
    if num_kept > pool.size:
        raise ConfigError(
            f"rule={rule.name} leaves {pool.size} of {num_examples} examples, keep={keep} wants {num_kept}",
            "lower rule.drop_hardest or keep",
        )
    taken = np.zeros(pool.size, dtype=np.bool_)
    if balance and groups is not None:
        taken = _quotas(values, pool, place, rule=rule, groups=groups, share=balance * keep)
    wanted = _wanted(rule, values[pool], place[pool])
    rest = wanted[~taken[wanted]][: num_kept - int(taken.sum())]
    taken[rest] = True
    return np.sort(rows[pool[taken]]).astype(np.int64)


def tied(scores: Floats, kept: Indices, groups: Indices | None = None) -> tuple[int, int]:
    """How many of the kept were drawn by lot among equal scores, and among how many.

    Those are the examples of a score (with `groups` (N,): of a score and a group) of which some are kept and some not.
    """
    values = np.unique(scores, return_inverse=True)[1]
    if groups is not None:
        values = np.unique(np.stack([values, groups]), axis=1, return_inverse=True)[1].ravel()
    equal, among = np.bincount(values), np.bincount(values[kept], minlength=values.max() + 1)
    split = (among > 0) & (among < equal)
    return int(among[split].sum()), int(equal[split].sum())


def number_kept(keep: float, num_examples: int) -> int:
    """`keep` of `num_examples`, rounded half up, at least one."""
    if not 0 < keep <= 1:
        raise ConfigError(f"keep={keep} must be above 0 and at most 1: it is the fraction kept, not dropped")
    return max(1, math.floor(keep * num_examples + 0.5 + ROUNDING))


def _quotas(values: Floats, pool: Indices, place: Indices, *, rule: RuleChoice, groups: Indices, share: float) -> Kept:
    """(M,) which of the pool the groups' quotas take: floor(share * size of the group in the whole split) each."""
    taken = np.zeros(pool.size, dtype=np.bool_)
    for group, num_members in zip(*np.unique(groups, return_counts=True), strict=True):
        rows = np.flatnonzero(groups[pool] == group)
        quota = math.floor(share * num_members + ROUNDING)
        if quota > rows.size:
            raise ConfigError(
                f"balance promises group {group} {quota} examples, rule={rule.name} leaves it {rows.size} of "
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


def _size(scores: Floats | None, size: int, rule: RuleChoice) -> int:
    assert scores is not None or not rule.scored, f"rule {rule} needs scores"
    assert scores is None or scores.shape == (size,), f"scores of shape {scores.shape} for {size} examples"
    if size < 1:
        raise ConfigError("there are no examples to keep any of")
    return size
