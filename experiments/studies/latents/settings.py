"""How the two networks of the study are trained."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ...contracts import Count, Settings, Share


class Gradient(Settings):
    """The predictor of one level: an MLP from a tuple to what stands beside it, trained by AdamW on batches."""

    width: Count = 256  # hidden units
    steps: Count = 300
    batch_size: Count = 512  # strings a step
    learning_rate: Annotated[float, Field(gt=0)] = 0.01


class Network(Settings):
    """The transformer that is trained end to end, by masked tokens or by masked latents of a teacher."""

    width: Count = 64
    heads: Count = 4
    layers: Count = 4
    steps: Count = 2000
    batch_size: Count = 128  # strings a step
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    masked: Annotated[Share, Field(gt=0)] = 0.25  # share of the tokens that is masked
    patch: Annotated[int, Field(ge=0)] = 1  # masks whole patches of branching^patch tokens
    decay: Share = 0.99  # of the teacher's moving average at the first step
    last_decay: Share = 0.999  # and at the last
    averaged: Count = 4  # the last layers of the teacher, whose mean is the target
    probed: Count = 4096  # strings on which the linear probes are fitted
    looks: Count = 5  # times that the probes are fitted while the network trains

    @model_validator(mode="after")
    def _whole(self) -> Network:
        if self.width % self.heads:
            raise ValueError(f"network.width={self.width} is no multiple of network.heads={self.heads}")
        if self.averaged > self.layers:
            raise ValueError(f"network.averaged={self.averaged} is more than network.layers={self.layers}")
        if self.decay > self.last_decay:
            raise ValueError(f"network.decay={self.decay} is above network.last_decay={self.last_decay}")
        return self
