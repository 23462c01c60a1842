"""How the outcome of a training run depends on the weight of every example at every step: the exact adjoint.

A run is theta_{t+1} = theta_t - eta_t (g_t + mu v_{t+1}) with v_{t+1} = mu v_t + g_t and g_t the gradient of
sum_n w_tn l_n(theta_t): SGD with Nesterov momentum, as torch.optim has it. Backward, with a and b the derivatives of
the outer loss by theta_{t+1} and v_{t+1}, the derivative by g_t is d = b - eta_t (1 + mu) a, so that by w_tn it is
d . grad l_n, by theta_t it is a + H_t d, and by v_t it is mu (b - eta_t mu a). One forward-over-reverse pass gives the
products with all gradients and with the Hessian H_t together (forward over reverse, as in arXiv:2505.00793).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from .contracts import Batch, Task
from .errors import ConfigError

Weights = dict[str, Tensor]  # a model's trainable parameters by name
Losses = Callable[[Weights, Batch], Tensor]  # (B,) one loss an example


@dataclass(frozen=True, slots=True)
class Descent:
    """SGD with Nesterov momentum over a number of steps; only weights of two or more dimensions decay."""

    learning_rates: Sequence[float]  # (T,)
    momentum: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True)
class Metagradient:
    """The outer loss of a run, and its derivative by the weight of each step's examples."""

    outer: float
    slopes: Sequence[Tensor]  # T of (B,)
    end: Weights  # theta_T


def metagradient(
    losses: Losses,
    target: Callable[[Weights], Tensor],
    start: Weights,
    batches: Sequence[Batch],
    weights: Sequence[Tensor],
    descent: Descent,
    measured: Sequence[float] | None = None,
) -> Metagradient:
    """Train from `start` on sum_n w_tn l_n, and sweep back; `target(theta)` is the scalar loss that counts.

    The outer loss is sum_t measured_t target(theta_t) over t = 1..T; None: the target at the end. 1/T each is the area
    under its curve. `batches`, `weights` (T of (B,)) and `measured` have one entry a step. Every theta_t is held: T
    models in memory, so runs are short. A step costs about one gradient forward and three back.
    """
    steps, mu = len(batches), descent.momentum
    counts = [0.0] * (steps - 1) + [1.0] if measured is None else list(measured)
    assert steps == len(weights) == len(descent.learning_rates) == len(counts) > 0, "one entry a step"

    def total(theta: Weights, batch: Batch, weight: Tensor) -> tuple[Tensor, Tensor]:
        each = losses(theta, batch)
        decayed = sum(value.square().sum() for value in theta.values() if value.ndim >= 2)
        return (weight * each).sum() + 0.5 * descent.weight_decay * decayed, each

    scripted = warnings.catch_warnings(action="ignore", category=FutureWarning)  # how torch has its forward derivatives
    with torch.no_grad(), scripted, sdpa_kernel(SDPBackend.MATH):  # the fused attention kernels have none
        passed, velocity = [start], {name: torch.zeros_like(value) for name, value in start.items()}
        for batch, weight, eta in zip(batches, weights, descent.learning_rates, strict=True):
            slope, _ = grad(total, has_aux=True)(passed[-1], batch, weight)
            velocity = {name: mu * velocity[name] + slope[name] for name in slope}
            passed.append(
                {name: value - eta * (slope[name] + mu * velocity[name]) for name, value in passed[-1].items()}
            )

        outer, slopes = 0.0, list(weights)
        by_theta = {name: torch.zeros_like(value) for name, value in start.items()}  # a
        by_velocity = by_theta  # b
        for step in reversed(range(steps)):
            if counts[step]:
                slope, value = grad_and_value(target)(passed[step + 1])
                outer += counts[step] * float(value)
                by_theta = {name: by_theta[name] + counts[step] * slope[name] for name in slope}
            eta = descent.learning_rates[step]
            by_velocity = {name: by_velocity[name] - eta * mu * by_theta[name] for name in by_theta}
            direction = {name: by_velocity[name] - eta * by_theta[name] for name in by_theta}  # d

            gradient = partial(grad(total, has_aux=True), batch=batches[step], weight=weights[step])
            pushed: Any = jvp(gradient, (passed[step],), (direction,))  # the gradient and losses, and their derivatives
            _, (product, slopes[step]) = pushed
            by_theta = {name: by_theta[name] + product[name] for name in by_theta}
            by_velocity = {name: mu * by_velocity[name] for name in by_theta}
    return Metagradient(outer, slopes, passed[-1])


class _Losses(nn.Module):
    """The task's losses as a module's forward, so that `functional_call` can put other parameters in."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.task = task
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        return self.task.losses(self.model, batch)


def functional_losses(task: Task, model: nn.Module) -> tuple[Losses, Weights]:
    """The task's losses as a function of the model's trainable parameters, and these as they are (copies)."""
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()):
        raise ConfigError(
            "batch norm makes an example's loss depend on its batch while training: it has no weight of its own",
            "model=mlp, linear, perceptron or gpt",
        )
    module = _Losses(task, model)
    start = {name: value.detach().clone() for name, value in module.named_parameters() if value.requires_grad}

    def losses(weights: Weights, batch: Batch) -> Tensor:
        found: Tensor = functional_call(module, weights, (batch,))
        return found

    return losses, start
