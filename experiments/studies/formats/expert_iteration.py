"""Expert iteration (arXiv:1705.08439): train on the model's own correct solutions, as on a corpus."""

from __future__ import annotations

import torch
from torch import Tensor

from .learning import Learner, restart, step
from .sampling import Rollout, log_probabilities, mean

BATCH = 256  # solutions of a step


def kept(rollout: Rollout, *, distinct: bool) -> Tensor:
    """(n,) rows of the correct solutions; of equal ones of a chain the first alone where `distinct`."""
    rows = rollout.rewards.nonzero()[:, 0]
    if not distinct or not len(rows):
        return rows
    both = torch.cat([rollout.prompts[rows], rollout.tokens[rows]], 1)
    _, which = torch.unique(both, dim=0, return_inverse=True)
    places = torch.arange(len(rows))
    first = places.new_full((int(which.max()) + 1,), len(rows)).scatter_reduce(0, which, places, "amin")
    return rows[first.sort().values]


def update(learner: Learner, rollout: Rollout, before: Tensor, reference: Tensor | None) -> None:
    """`updates` steps on the correct solutions, pass after pass: as many, however many solutions are kept."""
    arm, rows = learner.arm, kept(rollout, distinct=learner.arm.distinct)
    if not len(rows):
        return
    if not arm.online:
        restart(learner)
    passes = -(-arm.updates * BATCH // len(rows))
    order = torch.cat([torch.randperm(len(rows), generator=learner.draw) for _ in range(passes)])
    for batch in torch.split(rows[order[: arm.updates * BATCH]], BATCH):
        now, _ = log_probabilities(learner.policy, rollout.prompts[batch], rollout.tokens[batch], 1.0)
        step(learner, -mean(now, rollout.mask[batch], arm.loss))
