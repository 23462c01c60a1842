"""What every section of settings is: a choice's, a recipe's, a whole run's; and the types of common settings."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError


class Settings(BaseModel):
    """Frozen, nothing unknown accepted, no NaN or infinity, and no flag for a number: seed=true is not seed=1."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and "bool" not in str(cls.model_fields[str(info.field_name)].annotation):
            raise PydanticCustomError("flag", "true and false are no values of it")
        return value


Fraction = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Place = Annotated[str, Field(min_length=1), "place"]  # not empty: task.path=$UNSET would read the current folder


class Choice(Settings):
    """A scorer, rule, policy, task, model, study or tracker: its settings, what it fits and does, in one class."""

    name: str = ""  # as registered
    kind: ClassVar[str]
    registered: ClassVar[str]  # its name, of the class
    source: ClassVar[str]  # where the method is from
    version: ClassVar[int]  # raised where the meaning changes
    plugin: ClassVar[str | None]  # the hash of the plug-in's source; None: of the house
    plugin_name: ClassVar[str | None]
    extra: ClassVar[str | None] = None  # the optional packages of pyproject.toml that it needs
    sees_dev: ClassVar[bool | str] = False  # whether it uses the dev split's labels; a setting: where that is null

    def __hash__(self) -> int:  # works for settings that are lists
        return hash((type(self), self.model_dump_json()))

    def fits(self, run: Any) -> None:
        """Raise ValueError where this choice has no meaning in the run; the sentence names what mends it."""
