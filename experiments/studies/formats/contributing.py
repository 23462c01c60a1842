"""What each format's samples contribute to the policy: one forward-mode pass, as in contribution/meter.py.

The contribution of a sample is the product of two gradients: of its own GRPO loss, and of the mean GRPO loss of other
chains. It is the rate at which a step on this sample alone lowers the loss on the others; positive means that the step
makes what is right there more likely. Shares need not have moved for contributions to differ.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, jvp

from ...contribution.losses import differentiable
from ...models.networks.gpt import Gpt
from . import grpo
from .sampling import Rollout
from .task import FORMATS


def losses(policy: Gpt, weights: dict[str, Tensor], rollout: Rollout, temperature: float) -> Tensor:
    """(B,) minus each sample's advantage times the mean log-probability of its tokens: GRPO at a ratio of one."""
    inputs = torch.cat([rollout.prompts, rollout.tokens], 1)[:, :-1]
    logits = functional_call(policy, weights, (inputs,))[:, rollout.prompts.shape[1] - 1 :] / temperature
    chance = logits.log_softmax(-1).gather(-1, rollout.tokens[..., None])[..., 0]
    mean = (chance * rollout.mask).sum(1) / rollout.mask.sum(1)
    found: Tensor = -grpo.advantages(rollout.groups).flatten() * mean
    return found


def contributions(policy: Gpt, rollout: Rollout, others: Rollout, temperature: float) -> Tensor:
    """(B,) of each sample of the rollout to the loss on the others."""
    weights = {name: weight.detach() for name, weight in policy.named_parameters()}
    target = grad(lambda own: losses(policy, own, others, temperature).mean())(weights)
    with differentiable():
        found: Tensor = jvp(lambda own: losses(policy, own, rollout, temperature), (weights,), (target,))[1]
    return found


def of_formats(found: Tensor, rollout: Rollout) -> dict[str, Any]:
    """Of each format: the sum over its samples, over the number of all samples."""
    formats = torch.from_numpy(rollout.parsed.formats)
    return {f"contribution_{name}": float((found * (formats == place)).mean()) for place, name in enumerate(FORMATS)}
