"""How a pretrained model is trained further by reinforcement learning: one arm of the study."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ...contracts import Count, Settings

Algorithm = Literal["grpo", "ppo", "ei"]
OF_POLICY: dict[str, Any] = {"kl": 0.001, "clip": 0.2, "loss": "sequence"}  # what expert iteration has not
OF_ITERATION: dict[str, Any] = {"online": False, "distinct": True}  # what expert iteration alone has


class Arm(Settings):
    """One way to reinforce. A rollout samples `samples` solutions of each of `prompts` chains and takes `updates`."""

    algorithm: Algorithm = "grpo"  # ei: expert iteration
    learning_rate: Annotated[float, Field(gt=0)] = 0.001  # of AdamW, constant
    kl: Annotated[float, Field(ge=0)] = 0.001  # beta, the strength of the KL divergence to the pretrained model
    rollouts: Count = 50
    prompts: Count = 64  # chains of a rollout
    samples: Annotated[int, Field(ge=2)] = 8  # of each chain
    updates: Count = 2  # optimiser steps of a rollout, each on an equal part of it; of ei on that many batches
    streams: Count = 3  # times that it is run, each from other draws and on other chains
    temperature: Annotated[float, Field(gt=0)] = 1.0  # of sampling and of the log-probabilities alike
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2  # how far from one a ratio of probabilities counts
    loss: Literal["sequence", "token"] = "sequence"  # mean over each trace's tokens first, or over all tokens
    meter: bool = False  # measure what each format's samples contribute, at every rollout
    online: bool = False  # ei: goes on from the last round's model; false: starts again from the pretrained one
    distinct: bool = True  # ei: of equal correct solutions of a chain one is kept

    @model_validator(mode="after")
    def _divided(self) -> Self:
        if self.algorithm != "ei" and self.prompts * self.samples % self.updates:
            raise ValueError(
                f"study.arms: {self.prompts} x {self.samples} samples do not divide into {self.updates} updates"
            )
        return self

    def __str__(self) -> str:
        """As one writes it on the command line: what is not at its default."""
        given = self.model_dump(exclude_defaults=True)
        return "{" + ", ".join(f"{name}: {value}" for name, value in given.items()) + "}"

    def simplified(self) -> Self:
        """Without what the algorithm does not have."""
        return self.model_copy(update=OF_POLICY if self.algorithm == "ei" else OF_ITERATION)

    @property
    def called(self) -> str:
        """What a person calls it."""
        if self.algorithm != "ei":
            return f"{self.algorithm.upper()}, rate {self.learning_rate:g}, KL {self.kl:g}"
        begins = "online" if self.online else "from the base"
        return f"expert iteration {begins}, {'distinct' if self.distinct else 'all'} solutions"
