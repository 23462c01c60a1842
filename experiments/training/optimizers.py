"""Optimisers and their schedules, from names and numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ..errors import ConfigError
from ..models.features import head
from .recipes import factor_of


def optimizers(
    model: nn.Module, name: str, *, learning_rate: float, momentum: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """SGD (Nesterov), AdamW, or Muon for the hidden matrices beside AdamW for the rest.

    Only weights of two or more dimensions decay; beside Muon only its matrices do.
    """
    trainable = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if name != "muon":
        decayed = [weight for weight in trainable.values() if weight.ndim >= 2]
        free = [weight for weight in trainable.values() if weight.ndim < 2]
        return [
            elementwise(decayed, free, name, learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay)
        ]
    hidden = hidden_matrices(model)
    if not hidden:
        raise ConfigError(
            "optimizer=muon moves the matrices of linear layers between input and output, and this model has none",
            "recipe.optimizer=sgd, or a deeper model",
        )
    rest = [weight for weight in trainable.values() if not any(weight is matrix for matrix in hidden)]
    return [
        _eager(torch.optim.Muon)(
            hidden, learning_rate, momentum=momentum, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        _eager(torch.optim.AdamW)(rest, learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The matrices that Muon is for, by role: its author leaves embeddings, positions, input and output to AdamW.

    In the order of `modules()` the first layer with a matrix or filters reads the input, and the last linear one is the
    output (github.com/KellerJordan/Muon). Convolution filters, which its author flattens, are left to AdamW: torch's
    Muon takes matrices alone.
    """
    layers = [(one, one.weight) for one in model.modules() if isinstance(getattr(one, "weight", None), Tensor)]
    inner = [(one, weight) for one, weight in layers if isinstance(weight, nn.Parameter) and weight.ndim > 1]
    outer = [inner[0][1], head(model).weight] if inner else []
    found = [weight for one, weight in inner if isinstance(one, nn.Linear) and weight.requires_grad]
    return [weight for weight in found if not any(weight is other for other in outer)]


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
        return _eager(torch.optim.SGD)(groups, learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)
    assert name == "adamw", f"optimizer {name} is not elementwise"
    return _eager(torch.optim.AdamW)(groups, learning_rate, betas=(0.9, 0.95), fused=True)


@cache
def _eager(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The same optimiser without the marks that tell torch's compiler where to stop.

    Nothing here is compiled, and the marks import the compiler: some seconds in every process that trains.
    """
    marked = ("step", "zero_grad", "add_param_group", "state_dict", "load_state_dict")
    bare: dict[str, Callable[..., Any]] = {name: inspect.unwrap(getattr(kind, name)) for name in marked}
    return type(kind.__name__, (kind,), bare | {"step": torch.no_grad()(bare["step"])})


def schedulers(optimizers: list[torch.optim.Optimizer], name: str, *, steps: int, warmup: float) -> list[LambdaLR]:
    """Linear rise over the first `warmup` share of the steps, then constant, linear or half a cosine to zero."""
    return [LambdaLR(optimizer, factor_of(name, steps, warmup)) for optimizer in optimizers]
