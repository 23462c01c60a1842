"""Policies: how much example n weighs at step t. Pruning is the constant policy that is mostly zeros."""

from __future__ import annotations

import torch
from torch import Tensor

from .contracts import Indices


class Uniform:
    """Every example of the support weighs the same. The others weigh nothing and are never visited: compute shrinks."""

    def __init__(self, support: Indices | None = None) -> None:
        self.support = support

    def weights(self, step: int, index: Tensor) -> Tensor:
        return torch.ones(len(index), device=index.device)

    def observe(self, step: int, index: Tensor, contribution: Tensor) -> None:
        """These weights never move."""
