"""The task's losses as a function of the parameters, for `torch.func`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..contracts import Batch, Task


class Losses(nn.Module):
    """The task's losses as a module's forward, so that `functional_call` can put other parameters in."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.task = task
        self.model = model

    def forward(self, index: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        return self.task.losses(self.model, Batch(index, inputs, targets))

    def trainable(self) -> dict[str, Tensor]:
        """The trainable weights by name, detached."""
        return {name: weight.detach() for name, weight in self.named_parameters() if weight.requires_grad}


@contextmanager
def differentiable() -> Iterator[None]:
    """For forward derivatives: no fused attention (it has none), no gradients kept, torch silent on its scripts."""
    scripted = warnings.catch_warnings(action="ignore", category=FutureWarning)
    with torch.no_grad(), scripted, sdpa_kernel(SDPBackend.MATH):
        yield
