"""model=linear: one linear layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..choices import choice
from ..contracts import Data, Kind, ModelChoice

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@choice("model", "linear")
class Linear(ModelChoice):
    """One linear layer over the flattened example."""

    takes: ClassVar[tuple[Kind, ...]] = ("images", "vectors")
    has_body: ClassVar[bool] = False
    packs: ClassVar[bool] = True

    def build(self, data: Data, examples: Tensor, init: Generator) -> nn.Module:
        from .networks.dense import mlp

        return mlp(examples, init, classes=len(data.classes), width=0, depth=0)
