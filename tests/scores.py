"""A score of given proxies, outside of the pipeline; and a rule's choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prune_lab.experiments import choices
from prune_lab.experiments.contracts import Floats, Proxy, RuleChoice, ScorerChoice
from prune_lab.experiments.scoring.evidence import Given
from prune_lab.experiments.scoring.folds import judged


def score(name: str, task: Any, proxies: Sequence[Proxy] = (), **settings: Any) -> Floats:
    """(proxies, N)."""
    scorer = choices.get("scorer", name)(**settings)
    assert isinstance(scorer, ScorerChoice)
    return judged(scorer, Given(task, proxies))


def rule(name: str, **settings: Any) -> RuleChoice:
    found = choices.get("rule", name)(**settings)
    assert isinstance(found, RuleChoice)
    return found
