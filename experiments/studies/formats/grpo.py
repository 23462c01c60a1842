"""GRPO (arXiv:2402.03300): a solution's advantage is its reward against the other solutions of the same chain."""

from __future__ import annotations

import torch
from torch import Tensor

from .learning import Learner, step
from .sampling import Rollout, log_probabilities, mean
from .settings import Arm

SMALL = 1e-6  # beside the standard deviation


def advantages(rewards: Tensor) -> Tensor:
    """(G, n) rewards of n solutions of each of G chains, less their mean, over their standard deviation.

    All 0 for a chain whose solutions are all right or all wrong.
    """
    apart = rewards - rewards.mean(1, keepdim=True)
    return apart / (rewards.std(1, keepdim=True) + SMALL)


def loss(
    now: Tensor, before: Tensor, advantage: Tensor, mask: Tensor, reference: Tensor | None, arm: Arm
) -> Tensor:  # fmt: skip
    """The clipped surrogate plus beta times the KL divergence to the reference, estimated at each token (k3).

    now, before, reference: (B, L) log-probabilities of the sampled tokens; advantage (B, 1) or (B, L).
    """
    ratio = (now - before).exp()
    found = -torch.minimum(ratio * advantage, ratio.clamp(1 - arm.clip, 1 + arm.clip) * advantage)
    if reference is not None:
        apart = reference - now
        found = found + arm.kl * (apart.exp() - 1 - apart)
    return mean(found, mask, arm.loss)


def update(learner: Learner, rollout: Rollout, before: Tensor, reference: Tensor | None) -> None:
    """`updates` steps, each on an equal part of the rollout, drawn at random."""
    arm, advantage = learner.arm, advantages(rollout.groups).view(-1, 1)
    for rows in torch.randperm(len(before), generator=learner.draw).chunk(arm.updates):
        now, _ = log_probabilities(learner.policy, rollout.prompts[rows], rollout.tokens[rows], arm.temperature)
        kept = None if reference is None else reference[rows]
        step(learner, loss(now, before[rows], advantage[rows], rollout.mask[rows], kept, arm))
