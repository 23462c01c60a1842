"""How the outcome of a training run depends on the weight of every example at every step: the exact adjoint.

A run is theta_{t+1} = theta_t - eta_t (g_t + mu v_{t+1}) with v_{t+1} = mu v_t + g_t and g_t the gradient of
sum_n w_tn l_n(theta_t): SGD with Nesterov momentum, as torch.optim has it. Backward, with a and b the derivatives of
the outer loss by theta_{t+1} and v_{t+1}, the derivative by g_t is d = b - eta_t (1 + mu) a, so that by w_tn it is
d . grad l_n, by theta_t it is a + H_t d, and by v_t it is mu (b - eta_t mu a). One forward-over-reverse pass gives the
products with all gradients and with the Hessian H_t together (forward over reverse, as in arXiv:2505.00793).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value

from ..contracts import Batch, Task
from ..errors import ConfigError, DataUnavailable
from .field import Field, NetworkField, OfWeights, Weights, flat, shaped
from .losses import Losses

Target = Callable[[Tensor], tuple[Tensor, Tensor]]  # theta -> the loss that counts, and its gradient (P,)
Weigh = Callable[[int, Tensor], Tensor]  # step, theta -> the step's weights (N,)


@dataclass(frozen=True, slots=True)
class Descent:
    """SGD with Nesterov momentum over a number of steps; only weights of two or more dimensions decay."""

    learning_rates: Sequence[float]  # (T,)
    momentum: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of a run, seen from the end of it."""

    step: int
    theta: Tensor  # (P,) before the step
    direction: Tensor  # (P,) d: derivative of the outer loss by the step's gradient
    slopes: Tensor  # (N,) d . grad l_n: derivative by each example's weight
    product: Tensor  # (P,) H d
    outer: float  # what the model after the step adds to the outer loss


@dataclass(frozen=True, slots=True)
class Metagradient:
    """The outer loss of a run, and its derivative by the weight of each step's examples."""

    outer: float
    slopes: Sequence[Tensor]  # T of (B,)
    end: dict[str, Tensor]  # theta_T


class Path:
    """theta_0 to theta_T of a run, T vectors in memory. With a stride, only theta_0, theta_stride, ... are held, each
    with its velocity, and the rest made again: 2 T/stride + stride vectors, at the price of one more run."""

    def __init__(
        self, fields: Sequence[Field], start: Tensor, weights: Sequence[Tensor], descent: Descent, *, stride: int = 1
    ) -> None:
        self._descend = partial(descend, fields, lambda step, _: weights[step], descent)
        self._steps, self._stride = len(fields), stride
        self._held: dict[int, tuple[Tensor, Tensor]] = {}
        last = start
        for step, (theta, velocity) in enumerate(self._descend(0, start, torch.zeros_like(start), len(fields))):
            if step % stride == 0:
                self._held[step] = theta, velocity if stride > 1 else start  # nothing is made again with a stride of 1
            last = theta
        self.end = last

    def backwards(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(t, theta_t, theta_{t+1}) from the last step to the first."""
        after = self.end
        for first in reversed(range(0, self._steps, self._stride)):
            number = min(self._stride, self._steps - first)
            states = [theta for theta, _ in self._descend(first, *self._held[first], number - 1)]
            for place in reversed(range(number)):
                yield first + place, states[place], after
                after = states[place]


def descend(
    fields: Sequence[Field],
    weigh: Weigh,
    descent: Descent,
    first: int,
    theta: Tensor,
    velocity: Tensor,
    steps: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """theta and velocity before step `first`, and after it and each of the following."""
    mu, decay = descent.momentum, descent.weight_decay
    yield theta, velocity
    for step in range(first, first + steps):
        field, eta = fields[step], descent.learning_rates[step]
        slope, _ = field.slope(theta, weigh(step, theta))
        if decay:
            slope = slope + decay * field.decays * theta
        velocity = mu * velocity + slope if mu else slope
        theta = theta - eta * (slope + mu * velocity if mu else slope)
        yield theta, velocity


def stride_for(steps: int, size: int, memory: float) -> int:
    """1 where `steps` vectors of `size` float32 numbers fit into `memory` bytes, else about the root of `steps`.

    DataUnavailable where even that is too much.
    """
    if 4 * steps * size <= memory:
        return 1
    stride = round(math.sqrt(steps))
    least = 4 * size * (2 * steps / stride + stride)
    if least > memory:
        raise DataUnavailable(
            f"the trajectory of {steps} steps of {size:,} numbers needs {least / 1e9:.1f} GB, with most of it made "
            f"again, and {memory / 1e9:.1f} GB may be taken",
            "a smaller model (model.width), or fewer recipe.steps",
        )
    return stride


def sweep(
    path: Path,
    fields: Sequence[Field],
    target: Target,
    weights: Sequence[Tensor],
    descent: Descent,
    measured: Sequence[float],
) -> Iterator[Moment]:
    """Back through a run, last step first. The outer loss is sum_t measured_t target(theta_t) over t = 1..T."""
    mu, decay = descent.momentum, descent.weight_decay
    by_theta = torch.zeros_like(path.end)  # a
    by_velocity = torch.zeros_like(path.end)  # b
    for step, theta, after in path.backwards():
        outer = 0.0
        if measured[step]:
            value, slope = target(after)
            outer = measured[step] * float(value)
            by_theta = by_theta + measured[step] * slope
        eta = descent.learning_rates[step]
        if mu:
            by_velocity = by_velocity - eta * mu * by_theta
        direction = by_velocity - eta * by_theta if mu else -eta * by_theta  # d
        slopes, product = fields[step].products(theta, weights[step], direction)
        if decay:
            product = product + decay * fields[step].decays * direction
        yield Moment(step, theta, direction, slopes, product, outer)
        by_theta = by_theta + product
        by_velocity = mu * by_velocity


def metagradient(
    losses: OfWeights,
    target: Callable[[dict[str, Tensor]], Tensor],
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
    steps = len(batches)
    counts = [0.0] * (steps - 1) + [1.0] if measured is None else list(measured)
    assert steps == len(weights) == len(descent.learning_rates) == len(counts) > 0, "one entry a step"
    shapes = {name: value.shape for name, value in start.items()}
    fields = [NetworkField(losses, start, [batch]) for batch in batches]

    def of_flat(theta: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            slope, value = grad_and_value(lambda theta: target(shaped(theta, shapes)))(theta)
        return value, slope

    path = Path(fields, flat(start), weights, descent)
    outer, slopes = 0.0, list(weights)
    for moment in sweep(path, fields, of_flat, weights, descent, counts):
        outer += moment.outer
        slopes[moment.step] = moment.slopes
    return Metagradient(outer, slopes, shaped(path.end, shapes))


def functional_losses(task: Task, model: nn.Module) -> tuple[OfWeights, dict[str, Tensor]]:
    """The task's losses as a function of the model's trainable parameters, and these as they are (copies)."""
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules()):
        raise ConfigError(
            "batch norm makes an example's loss depend on its batch while training: it has no weight of its own",
            "model=mlp, linear, perceptron or gpt, or model=convnet model.norm=group",
        )
    module = Losses(task, model)
    start = {name: value.clone() for name, value in module.trainable().items()}

    def losses(weights: dict[str, Tensor], batch: Batch) -> Tensor:
        found: Tensor = functional_call(module, weights, (batch.index, batch.inputs, batch.targets))
        return found

    return losses, start
