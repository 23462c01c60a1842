"""What a model does with every example of a split: eval mode, no augmentation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ..contracts import IGNORED, Batch, Floats, Indices, Split, Task

BATCH = {"images": 512, "vectors": 2048, "text": 32}  # examples a forward pass, by the task's kind


def statistics(outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """(B,) float32 each, of logits (B, C) and targets (B,), or the mean over tokens of (B, T, V) and (B, T).

    loss                cross-entropy in nats
    correct             1 where the target has the largest logit
    margin              target's logit minus the largest other
    margin_probability  the same of softmax probabilities
    error               EL2N: Euclidean norm of softmax minus one-hot (arXiv:2107.07075), never through a one-hot
    probability         of the target
    entropy             of the prediction, in nats
    A window without any token is NaN.
    """
    logits = outputs.detach().float()
    top, first = logits.max(-1, keepdim=True)
    logits = logits - top  # small numbers near the top, where float32 is fine-grained
    column = targets.clamp(min=0).unsqueeze(-1)
    target = logits.gather(-1, column).squeeze(-1)
    powers = logits.exp()
    size = powers.sum(-1)
    total = size.log()
    probability = (target - total).exp()
    nearest = logits.scatter(-1, column, -math.inf).amax(-1)
    probabilities = powers / size.unsqueeze(-1)
    entropy = total - torch.linalg.vecdot(probabilities, logits)  # both terms are positive: nothing cancels
    # ||p - onehot||^2 is ||p||^2 - 2 p_y + 1, which in float32 cancels to noise where p_y is above 0.999 and would
    # scramble the easy examples; it is also (1 - p_y)^2 plus the squares of the others, which does not.
    rest = probabilities.scatter_(-1, column, 0)
    values = {
        "loss": total - target,
        "correct": (first == column).squeeze(-1).float(),
        "margin": target - nearest,
        "margin_probability": probability - (nearest - total).exp(),
        "error": (rest.sum(-1).square() + torch.linalg.vecdot(rest, rest)).sqrt(),
        "probability": probability,
        "entropy": entropy,
    }
    if targets.ndim == 1:
        return values
    counted = targets != IGNORED
    tokens = counted.sum(1)
    return {name: value.masked_fill(~counted, 0).sum(1) / tokens for name, value in values.items()}


def examine(
    task: Task, model: nn.Module, split: Split, *, size: int | None = None, index: Indices | None = None
) -> dict[str, Floats]:
    """`statistics` of every example, with the task's own loss: (N,) each by index, or (len(index),) in its order.

    `size` is the number of examples a forward pass; None: by the kind of task.
    """
    found: dict[str, Floats] = {}
    with evaluating(model), torch.inference_mode():
        for batch in task.batches(split, size=size or BATCH[task.kind], index=index):
            outputs = task.outputs(model, batch)
            values = {**statistics(outputs, batch.targets), "loss": task.losses(model, batch, outputs)}
            place(found, batch, values, task.size(split))
    return found if index is None else {name: values[index] for name, values in found.items()}


def place(found: dict[str, Floats], batch: Batch, values: dict[str, Tensor], size: int) -> None:
    """Put a batch's values where its indices say, in arrays of `size` that start as NaN."""
    rows = batch.index.cpu().numpy()
    for name, value in values.items():
        column = found.setdefault(name, np.full((size, *value.shape[1:]), np.nan))
        column[rows] = value.detach().double().cpu().numpy()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode inside, and the mode it was in afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
