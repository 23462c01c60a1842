"""model=convnet: the small network that most runs on images train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from ..choices import choice
from ..contracts import Data, Kind, ModelChoice

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@choice("model", "convnet", source="KellerJordan/cifar10-airbench")
class Convnet(ModelChoice):
    """The airbench family: whitening stem and three blocks; width 1 = 64, 256, 256 channels."""

    takes: ClassVar[tuple[Kind, ...]] = ("images",)

    width: Annotated[float, Field(gt=0, le=8)] = 0.25  # times the published 64, 256, 256 channels
    stride: Literal[1, 2] | None = None  # of the stem; 2: a quarter of the work; null: 1 below 48 pixels, 2 from there
    whitening: bool = True  # the first layer whitens patches of 2 x 2 pixels and is not trained
    norm: Literal["batch", "group"] = "batch"  # group: no example's loss depends on another's

    @property
    def joins_examples(self) -> bool:
        return self.norm == "batch"

    def build(self, data: Data, examples: Tensor, init: Generator) -> nn.Module:
        from .networks.convnet import convnet

        return convnet(
            examples,
            init,
            classes=len(data.classes),
            width=self.width,
            stride=self.stride,
            whitening=self.whitening,
            norm=self.norm,
        )
