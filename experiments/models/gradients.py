"""Gradients of the loss at a model's outputs."""

from __future__ import annotations

import torch
from torch import nn

from ..contracts import Floats, Split, Task
from .outputs import BATCH, evaluating, place


def at_logits(task: Task, model: nn.Module, split: Split) -> Floats:
    """(N, classes) softmax minus one-hot: the gradient of each example's cross-entropy at its logits, in eval mode."""
    found: dict[str, Floats] = {}
    with evaluating(model), torch.inference_mode():
        for batch in task.batches(split, size=BATCH[task.kind]):
            rest = task.outputs(model, batch).float().softmax(-1)
            rest[torch.arange(len(rest), device=rest.device), batch.targets] -= 1
            place(found, batch, {"gradient": rest}, task.size(split))
    return found["gradient"]
