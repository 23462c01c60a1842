"""The settings of a search for a near-optimal policy."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from ..contracts import Settings
from ..training.recipes import Recipe

READABLE = 0.8
"""Metasmoothness below which phi is not read. By experiment=validity, an MLP on digits at ten pairs of optimiser and
learning rate: below .65 phi predicts nothing (LDS at most .13), from .92 up a good deal (.43 to .75), from .98 up
nearly all (.69 to 1.0). It is necessary and not sufficient: what is removed must also be small."""


def readable(*metasmoothness: float) -> bool:
    """Whether phi is read of runs of these values; of a run that diverged (NaN) it is not."""
    return all(value >= READABLE for value in metasmoothness)


class Search(Settings):
    """Read by the phase `search` alone, whose runs follow the whole set at every step: recipe=flow."""

    features: Recipe | None = None  # train the model so first, on the whole set; then the head alone
    epochs: Annotated[int, Field(ge=0)] = 100  # outer epochs; 0: the constant policy is measured and nothing searched
    rate: Annotated[float, Field(gt=0)] = 0.4  # of the first outer epoch, in units of 1/N; decays to zero
    looks: Annotated[int, Field(ge=2)] = 20  # steps at which contributions are measured, the first and last included
    multiples: tuple[Annotated[float, Field(gt=0)], ...] = (2, 5, 10, 20)  # of the step size, for the constant policy

    @property
    def weights_alone(self) -> Self:
        """The same search with the settings of what is only measured beside it at their defaults."""
        usual = type(self).model_fields
        return self.model_copy(update={name: usual[name].default for name in ("looks", "multiples")})
