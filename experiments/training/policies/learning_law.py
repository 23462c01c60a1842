"""policy=learning_law: the near-optimal weights that a search found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...choices import choice
from ...contracts import Indices, Policy, PolicyChoice, TrainingRun
from ...store.files import damage, tensors
from ..recipes import FULL

if TYPE_CHECKING:
    from torch import Tensor


@choice("policy", "learning_law", source="arXiv:2402.17759")
class LearningLaw(PolicyChoice):
    """The near-optimal policy that the phase `search` finds for the run's own descent."""

    searched = True
    sees_dev = True

    def fits(self, run: Any) -> None:
        if run.recipe.batch_size < FULL:
            raise ValueError(
                f"policy=learning_law is found for descent on the whole set, and recipe.batch_size="
                f"{run.recipe.batch_size} is a part of it: use recipe=flow, which has recipe.batch_size={FULL}"
            )
        if run.search.features is not None:
            raise ValueError("policy=learning_law weighs a whole model's training: leave search.features out")

    def build(self, training: TrainingRun) -> Policy:
        folder, device = training.inputs["search"], next(training.model.parameters()).device
        found = tensors(folder / "policy.safetensors", ["policy", "rows"], device=str(device))
        if not np.array_equal(rows := found["rows"].cpu().numpy(), training.rows):
            raise damage(folder, "policy.safetensors is of other examples than those that are trained on")
        return Found(found["policy"], rows, training.task.size("train"))


class Found:
    """A searched policy (arXiv:2402.17759): at step t the examples `rows` (N,) weigh as the t-th row of (T, N) says."""

    def __init__(self, policy: Tensor, rows: Indices, size: int) -> None:
        import torch

        self.rows, self._policy = rows, policy
        self._places = torch.full((size,), -1, device=policy.device)
        self._places[torch.from_numpy(rows)] = torch.arange(len(rows), device=policy.device)

    def visited(self, epoch: int, progress: float) -> Indices | None:
        return self.rows

    def weights(self, step: int, index: Tensor) -> Tensor:
        return self._policy[step, self._places[index]]

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        """All of it was found before."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """All of it was found before."""
