"""model=mlp: hidden layers of GELU units."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..choices import choice
from ..contracts import Count, Data, Kind, ModelChoice

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@choice("model", "mlp")
class Mlp(ModelChoice):
    """Hidden layers of GELU units over the flattened example."""

    takes: ClassVar[tuple[Kind, ...]] = ("images", "vectors")
    packs: ClassVar[bool] = True

    width: Count = 128  # hidden units
    depth: Count = 2  # hidden layers

    def build(self, data: Data, examples: Tensor, init: Generator) -> nn.Module:
        from .networks.dense import mlp

        return mlp(examples, init, classes=len(data.classes), width=self.width, depth=self.depth)
