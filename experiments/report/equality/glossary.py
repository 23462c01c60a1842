"""The words that a page on policy searches uses."""

from __future__ import annotations

from ..parts import Section, definitions
from .found import Found

WORDS = {
    "policy": (
        "How much each training example weighs at each step. The constant one weighs all alike. The found one is "
        "searched, outer epoch by outer epoch, for the least area under the loss of a target set."
    ),
    "CT": (
        "What a step on an example takes off the target loss now. The Learning Law as printed (arXiv:2402.17759): "
        "under the best policy it is equal for all examples that weigh something."
    ),
    "φ": (
        "What a step on an example takes off all of the target loss still to come. The exact condition for the best "
        "policy: φ is equal for the examples that weigh something, and not larger for the others."
    ),
    "cv": (
        "Standard deviation over the mean: 0 where all are equal. Medians over the looks of the first three quarters "
        "of a run."
    ),
    "ESS, signal": (
        "Two more measures of equality, from 0 to 1, where all are equal. ESS: the share of the examples that would "
        "carry as much, were their positive contributions equal. Signal: 1 / (1 + cv²), negative with the mean."
    ),
    "outer epoch, look": (
        "Outer epoch: one pass of the search, a whole run and the way back through it. Look: a step at which "
        "contributions are measured."
    ),
    "missing term": (
        "φ changes in time by minus CT plus this: how much a step on an example changes what the steps on the others "
        "do (a Lie bracket). Where it is the same for all, CT is equal when φ is; while φ is not equal yet, it "
        "explains less of CT."
    ),
    "by loss, by gradient norm, greedy": (
        "Policies without a search: weights in proportion to an example's loss or to the norm of its gradient; all "
        "weight on the tenth with the largest CT. Where labels were made wrong, an oracle's weights leave those "
        "examples out."
    ),
    "acceleration": "How many times earlier a policy reaches the loss that the constant one ends at.",
}


def section(_: Found) -> Section:
    return Section("The words used here", [definitions(WORDS.items())])
