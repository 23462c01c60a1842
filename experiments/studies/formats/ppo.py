"""PPO (arXiv:1707.06347) with a critic of its own: every token has an advantage of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...models.networks.gpt import Gpt
from . import grpo
from .learning import Learner, step
from .sampling import Rollout, log_probabilities
from .settings import Arm

LAMBDA = 0.95  # gamma is 1: a trace is short
CRITIC = 3.0  # the critic's learning rate over the policy's
SMALL = 1e-6


class Critic(nn.Module):
    """A copy of the pretrained network whose head gives one number a token: the reward that is still to come."""

    def __init__(self, base: Gpt) -> None:
        super().__init__()
        self.body = base
        self.body.head = nn.Linear(base.head.in_features, 1, bias=False)
        nn.init.zeros_(self.body.head.weight)

    def forward(self, asked: Tensor, tokens: Tensor) -> Tensor:
        """(B, L) the value before each sampled token."""
        values: Tensor = self.body(torch.cat([asked, tokens], 1)[:, :-1])[:, asked.shape[1] - 1 :, 0]
        return values


def rewards_of(rollout: Rollout, before: Tensor, reference: Tensor | None, kl: float) -> Tensor:
    """(B, L) the answer's reward at the last token, less beta times the KL divergence at every token (k1)."""
    last = rollout.mask.sum(1) - 1
    found = torch.zeros_like(before) if reference is None else -kl * (before - reference)
    return (found * rollout.mask).scatter_add(1, last[:, None], rollout.rewards[:, None])


def estimated(rewards: Tensor, values: Tensor, mask: Tensor, decay: float = LAMBDA) -> Tensor:
    """(B, L) generalised advantage estimates (arXiv:1506.02438, equation 16) with gamma 1; 0 beyond the mask."""
    found, own = torch.zeros_like(rewards), rewards.new_zeros(len(rewards))
    following = torch.cat([values[:, 1:] * mask[:, 1:], rewards.new_zeros(len(rewards), 1)], 1)
    for place in reversed(range(rewards.shape[1])):
        surprise = rewards[:, place] + following[:, place] - values[:, place]
        own = (surprise + decay * own) * mask[:, place]
        found[:, place] = own
    return found


def whitened(advantage: Tensor, mask: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over the tokens of the mask."""
    own = advantage[mask]
    return (advantage - own.mean()) / (own.std() + SMALL)


def update(learner: Learner, rollout: Rollout, before: Tensor, reference: Tensor | None) -> None:
    """As GRPO's update, with the clipped surrogate of every token's advantage and the critic's squared error."""
    assert learner.critic is not None
    arm: Arm = learner.arm
    with torch.no_grad():
        values = learner.critic(rollout.prompts, rollout.tokens)
    raw = estimated(rewards_of(rollout, before, reference, arm.kl), values, rollout.mask)
    advantage, wanted = whitened(raw, rollout.mask), raw + values
    for rows in torch.randperm(len(before), generator=learner.draw).chunk(arm.updates):
        asked, tokens, mask = rollout.prompts[rows], rollout.tokens[rows], rollout.mask[rows]
        now, _ = log_probabilities(learner.policy, asked, tokens, arm.temperature)
        error = functional.mse_loss(learner.critic(asked, tokens)[mask], wanted[rows][mask])
        step(learner, grpo.loss(now, before[rows], advantage[rows], mask, None, arm) + error)
