"""model=resnet18: the network of the papers on pruning CIFAR-10."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from ..choices import choice
from ..contracts import Data, Kind, ModelChoice

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@choice("model", "resnet18", source="arXiv:1512.03385")
class Resnet18(ModelChoice):
    """ResNet-18 with the stem for small images; width 1 = 64 channels first."""

    takes: ClassVar[tuple[Kind, ...]] = ("images",)

    width: Annotated[float, Field(gt=0, le=8)] = 1.0  # times the published number of channels

    @property
    def joins_examples(self) -> bool:
        return True

    def build(self, data: Data, examples: Tensor, init: Generator) -> nn.Module:
        from .networks.resnet import resnet18

        return resnet18(examples, init, classes=len(data.classes), width=self.width)
