"""Optimiser, schedule and duration from names and numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ..errors import ConfigError


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


def num_batches(examples: int, size: int) -> int:
    """Batches of near-equal size, about `size`, that `examples` are split into."""
    return max(1, round(examples / size))


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
    if stop_share is not None:
        stop_epoch = max(1, round(stop_share * total / kept_epoch))
    stop = total if stop_epoch is None else stop_epoch * kept_epoch
    if most_epochs is not None:
        stop = min(stop, most_epochs * kept_epoch)
    if stop > total:
        raise ConfigError(
            f"epoch {stop_epoch} lies beyond the schedule of {total / kept_epoch:g} epochs", "a smaller scorer.epoch"
        )
    return Plan(total, kept_epoch, stop)


def optimizers(
    model: nn.Module, name: str, *, learning_rate: float, momentum: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """SGD (Nesterov), AdamW, or Muon for the hidden matrices beside AdamW for the rest.

    Only weights of two or more dimensions decay.
    """
    trainable = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if name != "muon":
        decayed = [weight for weight in trainable.values() if weight.ndim >= 2]
        free = [weight for weight in trainable.values() if weight.ndim < 2]
        return [
            elementwise(decayed, free, name, learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay)
        ]
    hidden = [w for name, w in trainable.items() if w.ndim == 2 and "embedding" not in name and "head" not in name]
    if not hidden:
        raise ConfigError(
            "optimizer=muon needs hidden weight matrices, and this model has none", "recipe.optimizer=sgd"
        )
    rest = [weight for weight in trainable.values() if not any(weight is matrix for matrix in hidden)]
    return [
        torch.optim.Muon(
            hidden, learning_rate, momentum=momentum, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(rest, learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def elementwise(
    decayed: Sequence[Tensor],
    free: Sequence[Tensor],
    name: str,
    *,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """SGD (Nesterov) or AdamW. A number moves by its own gradient alone, so that many models may lie in one tensor."""
    groups = [{"params": [*decayed], "weight_decay": weight_decay}, {"params": [*free], "weight_decay": 0.0}]
    if name == "sgd":
        return torch.optim.SGD(groups, learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)
    assert name == "adamw", f"optimizer {name} is not elementwise"
    return torch.optim.AdamW(groups, learning_rate, betas=(0.9, 0.95), fused=True)


def schedulers(optimizers: list[torch.optim.Optimizer], name: str, *, steps: int, warmup: float) -> list[LambdaLR]:
    """Linear rise over the first `warmup` share of the steps, then constant, linear or half a cosine to zero."""
    return [LambdaLR(optimizer, factor_of(name, steps, warmup)) for optimizer in optimizers]


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
