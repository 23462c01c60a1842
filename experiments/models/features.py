"""The head of a model, its last linear layer, and the features that it reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..contracts import IGNORED, Floats, Split, Task
from ..errors import ConfigError
from .outputs import BATCH, evaluating, place


def head(model: nn.Module) -> nn.Linear:
    """The model's last linear layer, in the order of `modules()`."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ConfigError(f"{type(model).__name__} has no linear layer to take features or gradients from")
    return layers[-1]


def penultimate(task: Task, model: nn.Module, split: Split) -> Floats:
    """(N, D) inputs of the head; of text the mean over a window's tokens."""
    caught: list[Tensor] = []
    found: dict[str, Floats] = {}
    hook = head(model).register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    try:
        with evaluating(model), torch.inference_mode():
            for batch in task.batches(split, size=BATCH[task.kind]):
                caught.clear()
                task.outputs(model, batch)
                features = caught[-1].float()
                if features.ndim == 3:
                    counted = (batch.targets != IGNORED).unsqueeze(-1)
                    features = (features * counted).sum(1) / counted.sum(1)
                place(found, batch, {"features": features}, task.size(split))
    finally:
        hook.remove()
    return found["features"]
