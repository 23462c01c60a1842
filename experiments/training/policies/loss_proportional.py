"""policy=loss_proportional: what is learned badly weighs more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ...choices import choice
from ...contracts import Indices, Policy, PolicyChoice, TrainingRun

if TYPE_CHECKING:
    from torch import Tensor


@choice("policy", "loss_proportional")
class LossProportionalPolicy(PolicyChoice):
    """An example weighs its loss over the step's mean, within what is kept."""

    label = "weights by loss"
    bound: Annotated[float, Field(gt=1)] = 5.0  # weights stay between its inverse and it

    def build(self, training: TrainingRun) -> Policy:
        return LossProportional(training.support, bound=self.bound)


class LossProportional:
    """Every example of the support weighs its loss in this step over their mean, from 1 / bound to bound.

    Without a bound the few that are still wrong late in training take whole steps, and training may diverge (on the
    digits with their recipe it did in two of three seeds).
    """

    def __init__(self, support: Indices | None, *, bound: float) -> None:
        self.support, self.bound = support, bound
        self._weights: Tensor  # of this step

    def visited(self, epoch: int, progress: float) -> Indices | None:
        return self.support

    def weights(self, step: int, index: Tensor) -> Tensor:
        return self._weights

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        import torch

        mean = losses.mean().clamp(min=torch.finfo(losses.dtype).tiny)
        self._weights = (losses / mean).clamp(1 / self.bound, self.bound)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """A step looks at its losses before it weighs them."""
