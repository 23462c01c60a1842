"""policy=uniform: every example that is kept weighs the same. Pruning is this policy, and what is dropped weighs zero.

What weighs nothing in an epoch is not visited in it: compute shrinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...choices import choice
from ...contracts import Indices, Policy, PolicyChoice, TrainingRun
from ...seeds import numpy_stream

if TYPE_CHECKING:
    from torch import Tensor


@choice("policy", "uniform")
class UniformPolicy(PolicyChoice):
    """Every example that is kept weighs the same, always."""

    def build(self, training: TrainingRun) -> Policy:
        return Uniform(training.support)


class Uniform:
    """Every example of the support weighs the same, always. `support` None: all of them.

    With `number`, every epoch visits a fresh random subset of that many: RS2 (arXiv:2305.18424).
    """

    def __init__(self, support: Indices | None = None, *, number: int | None = None, seed: int = 0) -> None:
        assert number is None or support is not None
        self.support, self.number, self.seed = support, number, seed

    def visited(self, epoch: int, progress: float) -> Indices | None:
        if self.number is None or self.support is None:
            return self.support
        return np.sort(numpy_stream(self.seed, "rs2", epoch).choice(self.support, self.number, replace=False))

    def weights(self, step: int, index: Tensor) -> Tensor:
        import torch

        return torch.ones(len(index), device=index.device)

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        """These weights never move."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """All of it follows from the epoch's number."""
