"""The step of an optimiser as torch.optim takes it, and the step back: how an outer loss depends on what went in.

A state is (theta, moments...), vectors of P numbers each; g is the step's gradient. Of an outer loss with derivatives
`adjoint` by the state after a step, `back` gives the derivative by g, and those by the state before it where g is held:
the Hessian's share, which acts through g, is added in adjoint.py. Adjoints may be (K, P): K outer losses at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from ..errors import ConfigError
from ..training.recipes import Recipe, factor_of

State = tuple[Tensor, ...]
BETAS, EPSILON = (0.9, 0.95), 1e-8  # those of training/optimizers.py


class Update(Protocol):
    """An optimiser over a number of steps. `decays` (P,) is one where weight decay applies, else zero."""

    @property
    def learning_rates(self) -> Sequence[float]:
        """(T,)."""
        ...

    @property
    def moments(self) -> int:
        """Vectors beside theta."""
        ...

    reads_moments: ClassVar[bool]  # whether `back` needs them

    def step(self, step: int, state: State, gradient: Tensor, decays: Tensor) -> State:
        """The state after the step."""
        ...

    def back(self, step: int, before: State, after: State, adjoint: State, decays: Tensor) -> tuple[Tensor, State]: ...

    def now(self, step: int, after: State, vector: Tensor) -> Tensor:
        """vector . d theta' / d g at fixed moments: along it a gradient says what this one update does."""
        ...

    def times(self, factor: float) -> Update:
        """The same with all steps that many times as long."""
        ...


@dataclass(frozen=True, slots=True)
class Descent:
    """SGD with Nesterov momentum: theta' = theta - eta (g + mu v'), v' = mu v + g; decay is part of g.

    With a and b the derivatives by theta' and v', that by g is d = b - eta (1 + mu) a, and by v it is
    mu (b - eta mu a).
    """

    learning_rates: Sequence[float]  # (T,)
    momentum: float = 0.0
    weight_decay: float = 0.0
    reads_moments: ClassVar[bool] = False

    @property
    def moments(self) -> int:
        return 1 if self.momentum else 0

    def step(self, step: int, state: State, gradient: Tensor, decays: Tensor) -> State:
        theta, eta, mu = state[0], self.learning_rates[step], self.momentum
        if self.weight_decay:
            gradient = gradient + self.weight_decay * decays * theta
        if not mu:
            return (theta - eta * gradient,)
        velocity = mu * state[1] + gradient
        return theta - eta * (gradient + mu * velocity), velocity

    def back(self, step: int, before: State, after: State, adjoint: State, decays: Tensor) -> tuple[Tensor, State]:
        eta, mu = self.learning_rates[step], self.momentum
        by_theta = adjoint[0]
        direction, rest = -eta * by_theta, adjoint[1:]
        if mu:
            by_velocity = adjoint[1] - eta * mu * by_theta
            direction, rest = by_velocity + direction, (mu * by_velocity,)
        if self.weight_decay:
            by_theta = by_theta + self.weight_decay * decays * direction
        return direction, (by_theta, *rest)

    def now(self, step: int, after: State, vector: Tensor) -> Tensor:
        return -self.learning_rates[step] * (1 + self.momentum) * vector

    def times(self, factor: float) -> Descent:
        return replace(self, learning_rates=[factor * eta for eta in self.learning_rates])


@dataclass(frozen=True, slots=True)
class AdamW:
    """AdamW: m' = beta m + (1 - beta) g, v' = gamma v + (1 - gamma) g^2, theta' = (1 - eta decay) theta - eta u with
    u = m^ / (sqrt(v^) + epsilon), hats corrected for the start at zero.

    A number whose gradient was zero so far has v' = 0, where u has no derivative by v': it is taken as zero.
    """

    learning_rates: Sequence[float]  # (T,)
    weight_decay: float = 0.0
    moments: ClassVar[int] = 2
    reads_moments: ClassVar[bool] = True

    def step(self, step: int, state: State, gradient: Tensor, decays: Tensor) -> State:
        theta, first, second = state
        beta, gamma = BETAS
        first = beta * first + (1 - beta) * gradient
        second = gamma * second + (1 - gamma) * gradient.square()
        if self.weight_decay:
            theta = theta * (1 - self.learning_rates[step] * self.weight_decay * decays)
        return theta - self._scale(step) * first / self._root(step, second), first, second

    def back(self, step: int, before: State, after: State, adjoint: State, decays: Tensor) -> tuple[Tensor, State]:
        beta, gamma = BETAS
        by_theta, by_first, by_second = adjoint
        _, first, second = after
        gradient = (first - beta * before[1]) / (1 - beta)
        root, scale = self._root(step, second), self._scale(step)
        by_first = by_first - scale * by_theta / root
        steep = 0.5 / (second * (1 - gamma ** (step + 1))).sqrt()  # d root / d v'
        by_second = by_second + by_theta * torch.where(second > 0, scale * first * steep / root.square(), 0.0)
        direction = torch.where(second > 0, (1 - beta) * by_first + 2 * (1 - gamma) * gradient * by_second, 0.0)
        if self.weight_decay:
            by_theta = by_theta * (1 - self.learning_rates[step] * self.weight_decay * decays)
        return direction, (by_theta, beta * by_first, gamma * by_second)

    def now(self, step: int, after: State, vector: Tensor) -> Tensor:
        return -(1 - BETAS[0]) * self._scale(step) * vector / self._root(step, after[2])

    def times(self, factor: float) -> AdamW:
        return replace(self, learning_rates=[factor * eta for eta in self.learning_rates])

    def _scale(self, step: int) -> float:
        return self.learning_rates[step] / (1 - BETAS[0] ** (step + 1))

    def _root(self, step: int, second: Tensor) -> Tensor:
        return (second / (1 - BETAS[1] ** (step + 1))).sqrt() + EPSILON


def update_of(recipe: Recipe, steps: int) -> Update:
    """The recipe's optimiser, its schedule over so many steps. ConfigError where none of these is differentiated."""
    if recipe.optimizer == "muon" or recipe.clip is not None:
        raise ConfigError(
            "a run is differentiated through SGD or AdamW, without a clipped gradient",
            "recipe.optimizer=sgd or adamw, and recipe.clip=null",
        )
    factor = factor_of(recipe.schedule, steps, recipe.warmup)
    rates = [recipe.learning_rate * factor(step) for step in range(steps)]
    if recipe.optimizer == "adamw":
        return AdamW(rates, recipe.weight_decay)
    return Descent(rates, recipe.momentum, recipe.weight_decay)
