"""How to train: the settings of a recipe, how long that is, and how the learning rate changes along it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ..contracts import Count, Settings, Share, num_batches
from ..errors import ConfigError
from ..precision import resolved

FULL = 1_000_000  # recipe.batch_size of descent on the whole set at every step
UNTIMED = {"least_epochs": None, "least_steps": None}  # of a recipe whose duration is given


class Recipe(Settings):
    """Optimiser, schedule, duration. The duration is one of epochs, steps, examples, for the unpruned pool.

    Where none is given, it is least_epochs, or as many more epochs as take least_steps.
    """

    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"  # sgd is with Nesterov momentum
    learning_rate: Annotated[float, Field(gt=0)] = 0.1  # the largest of the schedule
    momentum: Share = 0.9  # SGD (Nesterov) and Muon
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4  # what each step takes off the weights
    batch_size: Count = 128  # examples a step
    epochs: Annotated[float, Field(gt=0, le=1_000_000)] | None = None  # passes over the pool
    steps: Count | None = None  # optimiser steps
    examples: Count | None = None  # examples seen in all
    least_epochs: Annotated[float, Field(gt=0, le=1_000_000)] | None = None  # passes where no duration is given
    least_steps: Count | None = None  # where no duration is given: a small pool is passed over more often
    schedule: Literal["constant", "linear", "cosine"] = "linear"  # how the learning rate falls after the warm-up
    warmup: Share = 0.2  # share of the steps in which the learning rate rises from near zero
    clip: Annotated[float, Field(gt=0)] | None = None  # largest norm of the gradient
    flip: bool = False  # augmentation: mirror half of the images
    shift: Annotated[int, Field(ge=0, le=16)] = 0  # augmentation: translate by up to this many pixels
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 where that is fast

    @model_validator(mode="after")
    def _one_duration(self) -> Recipe:
        given = self._given
        if len(given) > 1 or not (given or self.least_epochs):
            raise ValueError(
                f"recipe: give exactly one of epochs, steps, examples (given: {', '.join(given) or 'none'}); "
                "for example recipe.steps=1000 recipe.epochs=null"
            )
        return self

    @property
    def _given(self) -> list[str]:
        return [name for name in ("epochs", "steps", "examples") if getattr(self, name) is not None]

    def decided(self, device: str) -> Self:
        """The recipe that runs on a device: its precision is decided, and what has no effect is at its default."""
        unread: dict[str, Any] = UNTIMED if self._given else {}
        if self.optimizer == "adamw":
            unread = unread | {"momentum": Recipe.model_fields["momentum"].default}
        return self.model_copy(update=unread | {"precision": resolved(self.precision, device)})

    def timed(self, pool: Callable[[], int]) -> Self:
        """The recipe with a duration; the size of the training pool is asked for where none is given.

        What it is derived from stays in the recipe, for `derivation`.
        """
        if self._given:
            return self
        assert self.least_epochs is not None
        epochs = math.ceil((self.least_steps or 0) / num_batches(pool(), self.batch_size))
        return self.model_copy(update={"epochs": max(self.least_epochs, float(epochs))})

    def derivation(self, pool: int) -> str:
        """What to say of a duration that was derived from the size of the training pool; empty where it was not."""
        if self.epochs is None or self.least_epochs is None or self.epochs == self.least_epochs:
            return ""
        usual = round(self.least_epochs * num_batches(pool, self.batch_size))
        return (
            f"recipe.epochs={self.epochs:g}, since the data are few: {self.least_epochs:g} epochs of {pool} examples "
            f"would be {usual} steps, and recipe.least_steps is {self.least_steps}"
        )

    @property
    def augmentation(self) -> str:
        """What to say of how images are changed each time that they are seen; empty where they are not."""
        moved = f"shifted by up to {self.shift} pixel{'' if self.shift == 1 else 's'}" if self.shift else ""
        changes = " and ".join(filter(None, ("half of them mirrored" if self.flip else "", moved)))
        off = " ".join(filter(None, ("recipe.flip=false" if self.flip else "", "recipe.shift=0" if self.shift else "")))
        return f"images are augmented: {changes} ({off} to leave them as they are)" if changes else ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a run trains. The schedule spans `steps`; a proxy may `stop` before."""

    steps: int
    steps_per_epoch: int
    stop: int

    @property
    def epochs(self) -> float:
        """Passes over the examples that are visited."""
        return self.steps / self.steps_per_epoch


def plan(
    pool: int,
    kept: int,
    *,
    batch_size: int,
    budget: str,
    epochs: float | None = None,
    steps: int | None = None,
    examples: int | None = None,
    stop_epoch: int | None = None,
    stop_share: float | None = None,
    most_epochs: int | None = None,
) -> Plan:
    """The duration for `kept` of a pool's examples; exactly one of epochs, steps, examples says it for the whole pool.

    budget="epochs": as many passes over what is kept (fewer steps); "steps": as many steps as the pool would take.
    A proxy may end early: at `stop_epoch`, at the epoch nearest to `stop_share` of the schedule (at least the first),
    or after `most_epochs` where the schedule is longer.
    """
    pool_epoch, kept_epoch = num_batches(pool, batch_size), num_batches(kept, batch_size)
    if epochs is not None:
        whole = epochs * pool_epoch
    elif steps is not None:
        whole = float(steps)
    else:
        assert examples is not None
        whole = examples / batch_size
    total = max(1, round(whole if budget == "steps" else whole / pool_epoch * kept_epoch))
    stop = total if stop_epoch is None else stop_epoch * kept_epoch
    if stop_share is not None:
        stop = min(total, max(1, round(stop_share * total / kept_epoch)) * kept_epoch)
    if most_epochs is not None:
        stop = min(stop, most_epochs * kept_epoch)
    if stop > total:
        raise ConfigError(
            f"epoch {stop_epoch} lies beyond the schedule of {total / kept_epoch:g} epochs", "a smaller scorer.epoch"
        )
    return Plan(total, kept_epoch, stop)


def factor_of(name: str, steps: int, warmup: float) -> Callable[[int], float]:
    """What the learning rate is multiplied by at each step."""
    rise = max(1.0, warmup * steps)

    def factor(step: int) -> float:
        if step < warmup * steps:
            return (step + 1) / (rise + 1)
        fallen = (step - warmup * steps) / max(1.0, steps - warmup * steps)
        if name == "constant":
            return 1.0
        return 1 - fallen if name == "linear" else 0.5 * (1 + math.cos(math.pi * fallen))

    return factor
