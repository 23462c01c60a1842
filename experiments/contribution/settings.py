"""The settings of a search for a near-optimal policy."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from ..contracts import Settings
from ..training.recipes import Recipe

READABLE = 0.8  # metasmoothness below which phi is not read: experiment=validity shows what it predicts on either side


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
