"""A policy of a plug-in, with what it returns checked: a mistake there would train something else without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...contracts import Indices, Policy
from ...errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


class Checked:
    """The policy, whose visited examples are of the support and whose weights are (B,), not negative, not all zero."""

    def __init__(self, policy: Policy, name: str, support: Indices) -> None:
        self.policy, self.name, self.support = policy, name, support

    def visited(self, epoch: int, progress: float) -> Indices | None:
        visited = self.policy.visited(epoch, progress)
        rows = np.asarray(self.support if visited is None else visited)
        if not (rows.ndim == 1 and rows.dtype.kind in "iu" and rows.size == np.unique(rows).size > 0):
            raise ConfigError(f"policy={self.name}: visited must give each example once, and at least one")
        if not np.isin(rows, self.support).all():
            raise ConfigError(f"policy={self.name}: visited gave examples that pruning dropped", "training.rows")
        return rows.astype(np.int64)

    def weights(self, step: int, index: Tensor) -> Tensor:
        import torch

        weights = self.policy.weights(step, index)
        if not isinstance(weights, torch.Tensor) or weights.shape != index.shape:
            given, wanted = tuple(getattr(weights, "shape", ())) or type(weights).__name__, tuple(index.shape)
            raise ConfigError(f"policy={self.name}: weights must be a tensor of shape {wanted}, not {given}")
        if not (torch.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
            raise ConfigError(f"policy={self.name}: weights must be finite, not negative, and not all zero")
        return weights

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        self.policy.observe(step, index, losses)

    def state(self) -> dict[str, Tensor]:
        return self.policy.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.policy.restore(state)
