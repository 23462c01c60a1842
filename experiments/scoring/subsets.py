"""Memorization and influence by training on random subsets (Feldman & Zhang, arXiv:2008.03703).

Both are one difference of two shares of models: those right about an example when i was in their subset, minus those
right about it when i was not. Of i itself it is its memorization, of another example j the influence of i on j.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice, Work
from ..store.files import arrays, damage
from .ensemble import Flags, check_membership, train_ensemble
from .evidence import of_classes, of_single_examples

BLOCK = 1024  # training examples whose influences exist at once


class OfSubsets(ScorerChoice):
    """A score of an ensemble on random subsets. All of them share one ensemble."""

    models: Annotated[int, Field(ge=2, le=100_000)] = 200  # the paper: thousands
    share: Annotated[float, Field(gt=0, lt=1)] = 0.7  # of the training split in each model's subset, as in the paper

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)
        of_single_examples(self.name, run, "trains packed models, and model={model} has batch norm")
        if run.recipe.optimizer == "muon":
            raise ValueError(f"scorer={self.name} trains packed models: use recipe.optimizer=sgd or adamw")

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        return [ProxyRun({"number": 0, "models": self.models, "subset": self.share})]  # an ensemble, under one key

    def trainer(self, asks: Mapping[str, Any]) -> Callable[[Work], dict[str, Any]]:
        return train_ensemble


@choice("scorer", "memorization", source="arXiv:2008.03703")
class Memorization(OfSubsets):
    """What a model gets right about an example because the example was in its random subset."""

    def score(self, evidence: Evidence) -> Floats:
        members, train, _ = _ensemble(evidence)
        return memorization(members, train)


@choice("scorer", "influence_max", source="arXiv:2008.03703; the name from rgeirhos/dataset-pruning-metrics")
class InfluenceMax(OfSubsets):
    """The largest influence of an example on any dev example."""

    sees_dev = True
    higher_means = "more influential"

    def score(self, evidence: Evidence) -> Floats:
        members, _, dev = _ensemble(evidence)
        return influence_max(members, dev)


@choice("scorer", "influence_sum_abs", source="arXiv:2008.03703; the name from rgeirhos/dataset-pruning-metrics")
class InfluenceSumAbs(OfSubsets):
    """How much an example changes at all: the sum of its absolute influences on the dev examples."""

    sees_dev = True
    higher_means = "more influential"

    def score(self, evidence: Evidence) -> Floats:
        members, _, dev = _ensemble(evidence)
        return influence_sum_abs(members, dev)


def _ensemble(evidence: Evidence) -> tuple[Flags, Flags, Flags]:
    """Members (M, N), and what its models get right of train (M, N) and dev (M, J)."""
    (folder,) = evidence.folders
    found = arrays(folder / "ensemble.npz", ["members", "train", "dev"])
    members, train, dev = found["members"], found["train"], found["dev"]
    if not members.shape == train.shape == (len(members), len(evidence.data.splits["train"].ids)):
        raise damage(folder, "ensemble.npz is not of this training pool")
    return members, train, dev


def memorization(members: Flags, correct: Flags) -> Floats:
    """(N,) P[i right | i in the subset] - P[i right | i not in it], of (M, N) membership and (M, N) correctness."""
    check_membership(members)
    inside, right = members.sum(0), correct.sum(0)
    both = (members & correct).sum(0)
    difference: Floats = both / inside - (right - both) / (len(members) - inside)
    return difference


def influences(members: Flags, correct: Flags, *, block: int = BLOCK) -> Iterator[Floats]:
    """Blocks (B, J) of the influence of each i on each j, in the order of i; correctness on other examples is (M, J).

    A matrix product counts the models, exactly: float32 holds every whole number up to 2^24. Nothing is (N, J, M).
    """
    check_membership(members)
    hits, right = correct.astype(np.float32), correct.sum(0)
    for start in range(0, members.shape[1], block):
        chosen = members[:, start : start + block]
        inside = chosen.sum(0)[:, None]
        both = (chosen.astype(np.float32).T @ hits).astype(np.float64)
        yield both / inside - (right - both) / (len(members) - inside)


def influence_max(members: Flags, correct: Flags, *, block: int = BLOCK) -> Floats:
    """(N,) the largest influence of i on any j: max_j infl(i, j)."""
    return np.concatenate([found.max(1) for found in influences(members, correct, block=block)])


def influence_sum_abs(members: Flags, correct: Flags, *, block: int = BLOCK) -> Floats:
    """(N,) how much i changes at all: sum_j |infl(i, j)|."""
    return np.concatenate([np.abs(found).sum(1) for found in influences(members, correct, block=block)])
