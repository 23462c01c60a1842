"""Which score, rule and policy of the lab a run of the study uses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from ... import choices
from ...contracts import PolicyChoice, RuleChoice, ScorerChoice
from ...pruning import by_proxies

if TYPE_CHECKING:
    from . import Formats


def scorer_of(study: Formats) -> ScorerChoice:
    """The score; ValueError where there is none of that name, or it asks for more than proxies that saw everything."""
    found = choices.chosen("scorer", study.scorer, ScorerChoice)
    by_proxies.check(found, SimpleNamespace(task=SimpleNamespace(reads="text", name="formats")))
    if getattr(found, "folds", None):
        raise ValueError(f"study.scorer={found.name} trains a proxy for each fold: use loss, el2n or continuation")
    return found


def rule_of(study: Formats) -> RuleChoice:
    return choices.chosen("rule", {"name": study.rule}, RuleChoice)


def policy_of(study: Formats) -> PolicyChoice:
    """The policy of the pretraining; ValueError where there is none of that name, or it does more than weigh."""
    found = choices.chosen("policy", study.policy, PolicyChoice)
    if found.chooses or found.searched:
        raise ValueError(f"study.policy={found.name} does not weigh examples while a model trains: uniform, "
                         "loss_proportional or equal_contribution")  # fmt: skip
    return found
