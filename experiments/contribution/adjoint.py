"""How the outcome of a training run depends on the weight of every example at every step: the exact adjoint.

Step t is theta_{t+1} = U_t(theta_t, moments, g_t) with U_t the optimiser's update (updates.py) and g_t the gradient of
sum_n w_tn l_n(theta_t). Backward, with d the derivative of the outer loss by g_t, the derivative by w_tn is
d . grad l_n, and by theta_t it is that of U_t at a fixed gradient plus H_t d. One forward-over-reverse pass gives the
products with all gradients and with the Hessian H_t together (forward over reverse, as in arXiv:2505.00793).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from ..contracts import Batch, Indices, Task
from ..errors import ConfigError, DataUnavailable
from ..seeds import torch_stream
from .field import Field, NetworkField, OfWeights, Weights, flat, shaped
from .losses import Losses
from .updates import State, Update

Target = Callable[[Tensor], tuple[Tensor, Tensor]]  # theta -> the loss that counts, and its gradient (P,)
Products = tuple[Tensor, Tensor]
Weigh = Callable[[int, Tensor], Tensor]  # step, theta -> the step's weights (N,)


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of a run, seen from the end of it. Of K outer losses at once, all but theta have K rows."""

    step: int
    theta: Tensor  # (P,) before the step
    direction: Tensor  # (P,) d: derivative of the outer loss by the step's gradient
    slopes: Tensor  # (N,) d . grad l_n: derivative by each example's weight
    product: Tensor  # (P,) H d
    outer: Tensor  # () what the model after the step adds to the outer loss


@dataclass(frozen=True, slots=True)
class Metagradient:
    """The outer loss of a run, and its derivative by the weight of each step's examples."""

    outer: float
    slopes: Sequence[Tensor]  # T of (B,)
    end: dict[str, Tensor]  # theta_T


class Path:
    """The states before and after each step of a run. With a stride, only those at 0, stride, 2 stride, ... are held,
    and the rest made again: 2 T/stride + stride vectors in place of T, at the price of one more run."""

    def __init__(
        self, fields: Sequence[Field], start: Tensor, weights: Sequence[Tensor], update: Update, *, stride: int = 1
    ) -> None:
        self._descend = partial(descend, fields, lambda step, _: weights[step], update)
        self._steps, self._stride = len(fields), stride
        self._held: dict[int, State] = {}
        self._last = initial(update, start)
        for step, state in enumerate(self._descend(0, self._last, len(fields))):
            if step % stride == 0:  # with a stride of 1 nothing is made again from the moments
                self._held[step] = state if stride > 1 or update.reads_moments else state[:1]
            self._last = state
        self.end = self._last[0]

    def states(self) -> Iterator[tuple[int, State, State]]:
        """(t, the state before step t, and that after it) from the last step to the first."""
        after = self._last
        for first in reversed(range(0, self._steps, self._stride)):
            number = min(self._stride, self._steps - first)
            states = [self._held[first], *islice(self._descend(first, self._held[first], number - 1), 1, None)]
            for place in reversed(range(number)):
                yield first + place, states[place], after
                after = states[place]

    def backwards(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(t, theta_t, theta_{t+1}) from the last step to the first."""
        for step, before, after in self.states():
            yield step, before[0], after[0]


def initial(update: Update, start: Tensor) -> State:
    """The state of an optimiser that begins at theta = `start`."""
    return start, *[torch.zeros_like(start) for _ in range(update.moments)]


def descend(
    fields: Sequence[Field], weigh: Weigh, update: Update, first: int, state: State, steps: int
) -> Iterator[State]:
    """The state before step `first`, and after it and each of the following."""
    yield state
    for step in range(first, first + steps):
        slope, _ = fields[step].slope(state[0], weigh(step, state[0]))
        state = update.step(step, state, slope, fields[step].decays)
        yield state


def end_of(fields: Sequence[Field], weigh: Weigh, update: Update, start: Tensor) -> Tensor:
    """(P,) theta_T of a run, of which nothing is held."""
    states = descend(fields, weigh, update, 0, initial(update, start), len(fields))
    return deque(states, maxlen=1)[0][0]


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
    update: Update,
    measured: Sequence[float],
) -> Iterator[Moment]:
    """Back through a run, last step first. The outer loss is sum_t measured_t target(theta_t) over t = 1..T.

    A target of K losses (K,) with gradients (K, P) is swept for all of them at once.
    """
    adjoint = tuple(torch.zeros_like(path.end) for _ in range(1 + update.moments))
    for step, before, after in path.states():
        field, row, theta = fields[step], weights[step], before[0]
        outer = theta.new_zeros(())
        if measured[step]:
            value, slope = target(after[0])
            outer = measured[step] * value
            adjoint = (adjoint[0] + measured[step] * slope, *adjoint[1:])
        direction, (by_theta, *rest) = update.back(step, before, after, adjoint, field.decays)

        def products(along: Tensor, field: Field = field, theta: Tensor = theta, row: Tensor = row) -> Products:
            return field.products(theta, row, along)

        slopes, product = products(direction) if direction.ndim == 1 else vmap(products)(direction)
        yield Moment(step, theta, direction, slopes, product, outer)
        adjoint = (by_theta + product, *rest)


def metagradient(
    losses: OfWeights,
    target: Callable[[dict[str, Tensor]], Tensor],
    start: Weights,
    batches: Sequence[Batch],
    weights: Sequence[Tensor],
    update: Update,
    measured: Sequence[float] | None = None,
) -> Metagradient:
    """Train from `start` on sum_n w_tn l_n, and sweep back; `target(theta)` is the scalar loss that counts.

    The outer loss is sum_t measured_t target(theta_t) over t = 1..T; None: the target at the end. 1/T each is the area
    under its curve. `batches`, `weights` (T of (B,)) and `measured` have one entry a step. Every state is held: T
    models in memory (AdamW: 3 T), so runs are short. A step costs about one gradient forward and three back.
    """
    steps = len(batches)
    counts = [0.0] * (steps - 1) + [1.0] if measured is None else list(measured)
    assert steps == len(weights) == len(update.learning_rates) == len(counts) > 0, "one entry a step"
    shapes = {name: value.shape for name, value in start.items()}
    fields = [NetworkField(losses, start, [batch]) for batch in batches]

    def of_flat(theta: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            slope, value = grad_and_value(lambda theta: target(shaped(theta, shapes)))(theta)
        return value, slope

    path = Path(fields, flat(start), weights, update)
    outer, slopes = 0.0, list(weights)
    for moment in sweep(path, fields, of_flat, weights, update, counts):
        outer += float(moment.outer)
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


def first_batches(task: Task, size: int, number: int, seed: int, *, index: Indices | None = None) -> list[Batch]:
    """The first `number` batches of as many shuffled epochs as that takes, of all examples or those of `index`."""
    found: list[Batch] = []
    for epoch in count():
        order, augmentation = (torch_stream(seed, name, epoch) for name in ("order", "augmentation"))
        found += task.batches("train", size=size, index=index, order=order, augmentation=augmentation)
        if len(found) >= number:
            break
    return found[:number]
