"""Weights that move toward equal contribution while a model trains: a cheap online form of the Learning Law.

The law (arXiv:2402.17759, theorem 3.1) is a condition on an optimal policy: every example with weight contributes
equally, CT_n = grad L . grad l_n, to the fall of a target's loss L. Here the target is the dev split, which is nothing
but looked at in other runs. The law is exact where the examples' gradient fields commute; in general the equal quantity
looks ahead, and CT ranks examples nearly as that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ..choices import choice
from ..contracts import Count, Indices, Policy, PolicyChoice, Task, TrainingRun
from ..errors import ConfigError
from ..seeds import numpy_stream

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@choice("policy", "equal_contribution", source="arXiv:2402.17759")
class EqualContributionPolicy(PolicyChoice):
    """Weights of what is kept move toward equal contribution to the fall of the dev loss."""

    label = "equal contribution"
    sees_dev = True
    moves = True
    every: Count = 16  # steps from one measurement to the next
    target: Count | None = None  # dev examples of a measurement, drawn afresh; null: as many as a batch
    rate: Annotated[float, Field(gt=0)] = 0.5  # of a step: how far the logarithm of a typical weight moves
    bound: Annotated[float, Field(gt=1)] = 5.0  # weights stay between its inverse and it

    def build(self, training: TrainingRun) -> Policy:
        target = min(self.target or training.batch_size, training.task.size("dev"))
        return EqualContribution(
            training.task,
            training.model,
            training.support,
            every=self.every,
            target=target,
            rate=self.rate,
            bound=self.bound,
            seed=training.seed,
            precision=training.precision,
        )

    def describe(self, policy: Policy, steps: int, steps_per_epoch: int) -> str:
        assert isinstance(policy, EqualContribution)
        return described(policy, steps, steps_per_epoch)


class EqualContribution:
    """One weight an example, one at first. At every so many steps those of the step's examples are `moved`.

    A measurement is the gradient of a fresh random part of the dev split, in the loop's precision, and one forward-mode
    pass for the step's examples, in float32: a forward derivative breaks under autocast. Both are in eval mode and
    without augmentation, so that batch norm joins no examples. `model` is the one that is being trained: it is measured
    as it is before the step's update.
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        support: Indices | None,
        *,
        every: int,
        target: int,
        rate: float,
        bound: float,
        seed: int,
        precision: torch.dtype,
    ) -> None:
        self.task, self.model, self.support = task, model, support
        self.every, self.target = every, target
        self.rate, self.bound, self.seed, self.precision = rate, bound, seed, precision
        import torch

        self._weights = torch.ones(task.size("train"), device=next(model.parameters()).device)

    def visited(self, epoch: int, progress: float) -> Indices | None:
        return self.support

    def weights(self, step: int, index: Tensor) -> Tensor:
        return self._weights[index]

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        if (step + 1) % self.every:
            return
        import torch

        from ..devices import autocast
        from .meter import contributions, target_gradient

        draw = numpy_stream(self.seed, "target", step)
        aims = draw.choice(self.task.size("dev"), self.target, replace=False)
        with autocast(index.device, self.precision):
            gradient = target_gradient(self.task, self.model, index=aims)
        found = contributions(self.task, self.model, index=index.cpu().numpy(), target=gradient)
        measured = torch.from_numpy(found).to(self._weights)
        self._weights[index] = moved(self._weights[index], measured, rate=self.rate, bound=self.bound)

    def state(self) -> dict[str, Tensor]:
        return {"weights": self._weights}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._weights = state["weights"]


def described(policy: EqualContribution, steps: int, steps_per_epoch: int) -> str:
    """What a run of so many steps measures. Raises ConfigError where that is nothing."""
    if steps < policy.every:
        raise ConfigError(
            f"policy.every={policy.every} is more than the {steps} steps of the run: no weight would ever move",
            "a smaller policy.every",
        )
    times = steps / steps_per_epoch / policy.every
    return (
        f"weights move every {policy.every} steps, each about {times:.2g} times in all; "
        f"they aim at {policy.target} dev examples, drawn afresh: dev metrics are of what training has seen"
    )


def moved(weights: Tensor, contributions: Tensor, *, rate: float, bound: float) -> Tensor:
    """(B,) weights after one step of exponentiated gradient: w exp(rate (c - mean) / scale), in [1 / bound, bound].

    Who contributes more than the mean comes to weigh more, until it no longer does. The mean is weighted, as in the
    paper's eq 7, so that the sum of the weights stays to first order; the scale is the root of the weighted mean of
    c squared, so that a step is about `rate` where contributions have both signs and none where all of them are equal.
    """
    import torch

    shares = weights / weights.sum()
    mean = (shares * contributions).sum()
    scale = (shares * contributions.square()).sum().sqrt().clamp(min=torch.finfo(contributions.dtype).tiny)
    return (weights * (rate * (contributions - mean) / scale).exp()).clamp(1 / bound, bound)
