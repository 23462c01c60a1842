"""What every setting is made of: frozen, bounded, nothing unknown accepted."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Place = Annotated[str, Field(min_length=1)]  # not empty: task.path=$UNSET would read the current folder


class Settings(BaseModel):
    """Frozen, nothing unknown accepted, no NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
