"""model=perceptron: one weight vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..choices import choice
from ..contracts import Data, Kind, ModelChoice
from ..errors import ConfigError

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@choice("model", "perceptron")
class Perceptron(ModelChoice):
    """One weight vector, no bias: logistic regression through the origin."""

    takes: ClassVar[tuple[Kind, ...]] = ("vectors",)
    has_body: ClassVar[bool] = False
    packs: ClassVar[bool] = True

    def build(self, data: Data, examples: Tensor, init: Generator) -> nn.Module:
        from .networks.dense import perceptron

        if len(data.classes) != 2:
            raise ConfigError(
                f"model=perceptron parts two classes, and {data.name} has {len(data.classes)}", "model=linear"
            )
        return perceptron(examples, init)
