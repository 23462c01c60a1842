"""What learns: the policy, its critic where there is one, their optimiser, and the step that all algorithms share."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor, nn

from ...errors import RunFailed
from ...models.networks.gpt import Gpt
from ...training.optimizers import elementwise
from .settings import Arm

if TYPE_CHECKING:
    from .ppo import Critic

CLIP = 1.0  # largest norm of a gradient


@dataclass(slots=True)
class Learner:
    """The state of one arm. Everything that a checkpoint needs is in `state`."""

    arm: Arm
    base: Gpt  # never changed
    policy: Gpt
    critic: Critic | None
    optimizer: torch.optim.Optimizer
    draw: Generator  # of sampling and of the order of the updates
    rollout: int = 0  # rollouts taken
    rows: list[dict[str, Any]] = field(default_factory=list)  # of the table of rollouts
    looks: list[dict[str, Any]] = field(default_factory=list)  # of the table of looks

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "policy": self.policy.state_dict(),
            "critic": None if self.critic is None else self.critic.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "draw": self.draw.get_state(),
            "rollout": self.rollout,
            "rows": self.rows,
            "looks": self.looks,
        }

    def take(self, saved: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.policy.load_state_dict(saved["policy"])
        if self.critic is not None:
            self.critic.load_state_dict(saved["critic"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.draw.set_state(saved["draw"].cpu())
        self.rollout, self.rows, self.looks = (saved[name] for name in ("rollout", "rows", "looks"))


def begun(arm: Arm, base: Gpt, draw: Generator) -> Learner:
    """A learner whose policy is a copy of the base."""
    from .ppo import Critic

    policy = copy.deepcopy(base).train()
    critic = Critic(copy.deepcopy(base)) if arm.algorithm == "ppo" else None
    optimizer = _adamw(arm, policy, critic)
    return Learner(arm, base, policy, critic, optimizer, draw)


def restart(learner: Learner) -> None:
    """Put the policy back to the base, with a fresh optimiser."""
    learner.policy.load_state_dict(learner.base.state_dict())
    learner.optimizer = _adamw(learner.arm, learner.policy, None)


def step(learner: Learner, loss: Tensor) -> None:
    """One step of the optimiser down the loss; RunFailed where it is not finite."""
    if not math.isfinite(value := loss.item()):
        raise RunFailed(
            f"the loss of {learner.arm.called} became {value} after {learner.rollout} rollouts: the policy, or the "
            "model that its KL divergence is from, has diverged", "a smaller learning_rate in study.arms",
        )  # fmt: skip
    loss.backward()  # type: ignore[no-untyped-call]
    for group in learner.optimizer.param_groups:
        nn.utils.clip_grad_norm_(group["params"], CLIP)
    learner.optimizer.step()
    learner.optimizer.zero_grad(set_to_none=True)


def _adamw(arm: Arm, policy: Gpt, critic: Critic | None) -> torch.optim.Optimizer:
    """AdamW without decay; the critic's rate is CRITIC times the policy's."""
    from .ppo import CRITIC

    weights = [] if critic is None else list(critic.parameters())
    made = elementwise(
        list(policy.parameters()), weights, "adamw", learning_rate=arm.learning_rate, momentum=0.0, weight_decay=0.0
    )
    made.param_groups[1]["lr"] = CRITIC * arm.learning_rate
    return made
