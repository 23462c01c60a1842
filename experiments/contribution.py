"""Contributions: the rate at which an example's gradient step lowers the target loss (arXiv:2402.17759, theorem 3.1).

One forward-mode pass gives a whole batch's; no gradient of a single example is ever made.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from .contracts import Batch, Floats, Indices, Split, Task
from .evaluation import BATCH, evaluating, place
from .functional import Losses


def target_gradient(
    task: Task, model: nn.Module, split: Split = "dev", *, index: Indices | None = None
) -> dict[str, Tensor]:
    """Gradient of the mean loss over a split, or over `index` of it, by every trainable weight. Eval mode."""
    losses = Losses(task, model)
    weights = {name: weight.requires_grad_() for name, weight in losses.trainable().items()}
    number = task.size(split) if index is None else len(index)
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    with evaluating(model), torch.enable_grad():
        for batch in task.batches(split, size=BATCH[task.kind], index=index):
            loss = functional_call(losses, weights, _parts(batch)).sum() / number
            for name, part in zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True):
                total[name] += part
    return total


def contributions(
    task: Task,
    model: nn.Module,
    target: Mapping[str, Tensor],
    *,
    split: Split = "train",
    index: Indices | None = None,
) -> Floats:
    """(N,) or (len(index),) products of the target's gradient with each example's: CT of the Learning Law.

    Eval mode, so that batch norm couples no examples; attention by the one kernel that has a forward derivative.
    """
    losses = Losses(task, model)
    weights = losses.trainable()
    direction = {name: target[name] for name in weights}
    found: dict[str, Floats] = {}
    with evaluating(model), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        for batch in task.batches(split, size=BATCH[task.kind], index=index):

            def of_weights(weights: dict[str, Tensor], batch: Batch = batch) -> Tensor:
                values: Tensor = functional_call(losses, weights, _parts(batch))
                return values

            rates: Tensor = jvp(of_weights, (weights,), (direction,))[1]
            place(found, batch, {"rate": rates}, task.size(split))
    return found["rate"] if index is None else found["rate"][index]


def _parts(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    return batch.index, batch.inputs, batch.targets
