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
    heads: Count = 4  # attention heads; they divide the width, where head_size is null
    positions: Literal["rotary", "learned"] = "rotary"  # how the model learns where a token stands
    tied: bool = True  # input and output embeddings share their weights
    kv_heads: Count | None = None  # heads of keys and values, each for heads / kv_heads queries; null: as many as heads
    head_size: Annotated[int, Field(ge=2)] | None = None  # numbers a head; null: width / heads
    mlp: Literal["relu", "swiglu"] = "relu"  # the units of the MLP; swiglu has three matrices, relu two
    mlp_ratio: Annotated[float, Field(gt=0, le=1024)] = 4.0  # hidden units of the MLP / width

    @model_validator(mode="after")
    def _shape(self) -> Gpt:
        if self.head_size is None and self.width % (2 * self.heads):
            raise ValueError(
                f"model.width={self.width} must be a multiple of 2 x model.heads={self.heads}, or give model.head_size"
            )
        if self.head_size is not None and self.head_size % 2:
            raise ValueError(f"model.head_size={self.head_size} must be even: positions turn pairs of numbers")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"model.heads={self.heads} must be a multiple of model.kv_heads={self.kv_heads}")
        if round(self.mlp_ratio * self.width) == 0:
            raise ValueError(
                f"model.mlp_ratio={self.mlp_ratio} x model.width={self.width} gives the MLP no hidden unit"
            )
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
            kv_heads=self.kv_heads,
            head_size=self.head_size,
            mlp=self.mlp,
            mlp_ratio=self.mlp_ratio,
        )
