"""Contributions: the rate at which an example's gradient step lowers the target loss (arXiv:2402.17759, theorem 3.1).

One forward-mode pass gives a whole batch's, or two plain forward passes do nearly; no gradient of a single example is
ever made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from ..contracts import Batch, Floats, Indices, Split, Task
from ..errors import ConfigError
from ..models.outputs import BATCH, evaluating, place
from .losses import Losses, differentiable

Weights = Mapping[str, Tensor]  # by name
STEP = 3e-3  # length of the step along the gradient, in the weights' own units


def target_gradient(
    task: Task,
    model: nn.Module,
    params: Weights | None = None,
    index: Indices | None = None,
    *,
    split: Split = "dev",
) -> dict[str, Tensor]:
    """Gradient of the mean loss over a split, or over `index` of it, by every trainable weight. Eval mode.

    `params` are the weights, by the model's names; None: those that it has. ConfigError where `index` is empty or
    names an example twice.
    """
    if index is not None and not 0 < len(index) == len(np.unique(index)):
        raise ConfigError("a target set is of one example or more, each of them once")
    weights = {name: weight.requires_grad_() for name, weight in _trainable(model, params).items()}
    number = task.size(split) if index is None else len(index)
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    with evaluating(model), torch.enable_grad():
        for batch in task.batches(split, size=BATCH[task.kind], index=index):
            loss = _losses(task, model, weights, batch).sum() / number
            for name, part in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
                total[name] += part
    return total


def contributions(
    task: Task,
    model: nn.Module,
    params: Weights | None = None,
    index: Indices | None = None,
    target: Weights | Indices | None = None,
    *,
    split: Split = "train",
    by: Literal["derivative", "difference"] = "derivative",
) -> Floats:
    """(len(index),) or (N,) products of the target's gradient with each example's: CT of the Learning Law.

    `params` as for `target_gradient`; `target` is dev examples (None: all of them), or their gradient by name.
    Eval mode, so that batch norm couples no examples; attention by the one kernel that has a forward derivative. By
    `difference` it is the central one over `STEP` along the gradient, nearly twice as fast; measured on untrained
    networks it was off by 0.0001 of the contributions' root mean square (MLP, convnet) and 0.02 (the GPT, whose ReLUs
    have kinks), and it is worse the sharper the loss is. ConfigError where the target's examples are also measured, or
    there is no step along a gradient of zero.
    """
    weights = _trainable(model, params)
    if split == "dev" and not isinstance(target, Mapping):
        every = np.arange(task.size("dev"))
        if len(np.intersect1d(every if index is None else index, every if target is None else target)):
            raise ConfigError(
                "some of the target's examples are also measured: their contributions would be to themselves"
            )
    gradient = target if isinstance(target, Mapping) else target_gradient(task, model, params, target)
    direction = {name: gradient[name] for name in weights}
    length = torch.stack([slope.square().sum() for slope in direction.values()]).sum().sqrt()
    if by == "difference" and not length:
        raise ConfigError("the target's gradient is zero: there is no step along it", 'by="derivative"')
    reach = STEP / length

    def moved(sign: int) -> dict[str, Tensor]:
        return {name: weight + sign * reach * direction[name] for name, weight in weights.items()}

    ahead, behind = (moved(1), moved(-1)) if by == "difference" else (weights, weights)
    found: dict[str, Floats] = {}
    with evaluating(model), torch.no_grad():
        for batch in task.batches(split, size=BATCH[task.kind], index=index):

            def of_weights(weights: dict[str, Tensor], batch: Batch = batch) -> Tensor:
                return _losses(task, model, weights, batch)

            if by == "difference":
                rates = (of_weights(ahead) - of_weights(behind)) / (2 * reach)
            else:
                with differentiable():
                    rates = jvp(of_weights, (weights,), (direction,))[1]
            place(found, batch, {"rate": rates}, task.size(split))
    return found["rate"] if index is None else found["rate"][index]


def _trainable(model: nn.Module, params: Weights | None) -> dict[str, Tensor]:
    """The trainable weights by name, detached."""
    own = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    return {name: (weight if params is None else params[name]).detach() for name, weight in own.items()}


def _losses(task: Task, model: nn.Module, weights: Weights, batch: Batch) -> Tensor:
    """(B,) under these weights."""
    named = {f"model.{name}": weight for name, weight in weights.items()}
    losses: Tensor = functional_call(Losses(task, model), named, (batch.index, batch.inputs, batch.targets))
    return losses
