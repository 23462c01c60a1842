"""model=gpt: the language model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ..choices import choice
from ..contracts import Count, Data, Kind, ModelChoice

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@choice("model", "gpt")
class Gpt(ModelChoice):
    """A decoder-only transformer with RMSNorm."""

    takes: ClassVar[tuple[Kind, ...]] = ("text",)

    width: Annotated[int, Field(ge=8)] = 64  # numbers a token
    depth: Count = 2  # layers
    heads: Count = 4  # attention heads; they divide the width
    positions: Literal["rotary", "learned"] = "rotary"  # how the model learns where a token stands
    tied: bool = True  # input and output embeddings share their weights

    @model_validator(mode="after")
    def _heads(self) -> Gpt:
        if self.width % (2 * self.heads):
            raise ValueError(f"model.width={self.width} must be a multiple of 2 x model.heads={self.heads}")
        return self

    def build(self, data: Data, examples: Tensor, init: Generator) -> nn.Module:
        from .networks.gpt import gpt

        return gpt(
            init,
            vocabulary=data.vocabulary,
            context=examples.shape[1],
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            positions=self.positions,
            tied=self.tied,
        )
