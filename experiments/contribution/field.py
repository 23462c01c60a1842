"""The gradient field of some examples: what a step of descent follows, and what differentiates that step.

Weights of a model are one flat vector theta (P,). Two kinds: any network by `torch.func`, and a linear model in closed
form, which is a hundred times faster where a step is a few matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Protocol

import torch
from torch import Tensor
from torch.func import grad, jvp
from torch.nn import functional

from ..contracts import Batch
from .losses import differentiable

Weights = Mapping[str, Tensor]  # a model's trainable parameters by name
PROBES = 8  # random directions that a norm is estimated from
OfWeights = Callable[[dict[str, Tensor], Batch], Tensor]  # (B,) one loss an example


class Field(Protocol):
    """N examples' losses l_n as functions of theta; g_n and H_n are their gradients and Hessians."""

    size: int  # N
    decays: Tensor  # (P,) one where weight decay applies, else zero

    def losses(self, theta: Tensor) -> Tensor:
        """(N,)."""
        ...

    def slope(self, theta: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(P,) gradient of sum_n w_n l_n, and (N,) the losses."""
        ...

    def products(self, theta: Tensor, weights: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) direction . g_n, and (P,) the Hessian of sum_n w_n l_n times the direction: one fused pass."""
        ...

    def bends(self, theta: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """(N,) first . H_n second."""
        ...

    def rates(self, theta: Tensor, direction: Tensor) -> Tensor:
        """(N,) direction . g_n alone."""
        ...

    def norms(self, theta: Tensor) -> Tensor:
        """(N,) Euclidean norms of g_n."""
        ...


class NetworkField:
    """A network's, `batches` of examples at a time (that is the memory it needs), forward over reverse."""

    def __init__(self, losses: OfWeights, like: Weights, batches: Sequence[Batch]) -> None:
        self._losses, self._batches = losses, batches
        self._shapes = {name: value.shape for name, value in like.items()}
        sizes = [len(batch.index) for batch in batches]
        self._ends = list(pairwise([0, *accumulate(sizes)]))
        self.size = sum(sizes)
        self.decays = flat({name: torch.full_like(value, float(value.ndim >= 2)) for name, value in like.items()})

    @property
    def batches(self) -> Sequence[Batch]:
        return self._batches

    def losses(self, theta: Tensor) -> Tensor:
        with differentiable():
            return torch.cat([self._each(theta, batch) for batch in self._batches])

    def slope(self, theta: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        total, losses = torch.zeros_like(theta), []
        with differentiable():
            for batch, (first, last) in zip(self._batches, self._ends, strict=True):
                part, each = grad(self._weighted, has_aux=True)(theta, batch, weights[first:last])
                total += part
                losses.append(each)
        return total, torch.cat(losses)

    def products(self, theta: Tensor, weights: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        total, rates = torch.zeros_like(theta), []
        with differentiable():
            for batch, (first, last) in zip(self._batches, self._ends, strict=True):

                def gradient(theta: Tensor, batch: Batch = batch, row: Tensor = weights[first:last]) -> object:
                    return grad(self._weighted, has_aux=True)(theta, batch, row)

                part, rate = jvp(gradient, (theta,), (direction,))[1]
                total = total + part  # not in place: the direction may be one of many, under vmap
                rates.append(rate)
        return torch.cat(rates), total

    def bends(self, theta: Tensor, first: Tensor, second: Tensor) -> Tensor:
        found = []
        with differentiable():
            for batch in self._batches:

                def along(theta: Tensor, batch: Batch = batch) -> Tensor:
                    return self._rate(theta, first, batch)

                found.append(jvp(along, (theta,), (second,))[1])
        return torch.cat(found)

    def rates(self, theta: Tensor, direction: Tensor) -> Tensor:
        with differentiable():
            return torch.cat([self._rate(theta, direction, batch) for batch in self._batches])

    def norms(self, theta: Tensor) -> Tensor:
        """Estimated: along a Gaussian direction v, v . g_n has the mean square ||g_n||^2; off by a quarter or so."""
        draw = torch.Generator().manual_seed(0)  # the CPU's, so that a GPU estimates the same
        squares = theta.new_zeros(self.size)
        for _ in range(PROBES):
            along = torch.randn(theta.shape, generator=draw, dtype=theta.dtype)
            squares += self.rates(theta, along.to(theta.device)).square()
        return (squares / PROBES).sqrt()

    def _rate(self, theta: Tensor, direction: Tensor, batch: Batch) -> Tensor:
        rate: Tensor = jvp(lambda theta: self._each(theta, batch), (theta,), (direction,))[1]
        return rate

    def _each(self, theta: Tensor, batch: Batch) -> Tensor:
        return self._losses(shaped(theta, self._shapes), batch)

    def _weighted(self, theta: Tensor, batch: Batch, weights: Tensor) -> tuple[Tensor, Tensor]:
        each = self._each(theta, batch)
        return (weights * each).sum(), each


class LinearField:
    """Cross-entropy of logits linear in the inputs, in closed form. theta is (D, C) flat; one column: two classes.

    Of one column the logit m is that of class 1 over class 0, so that the loss is the logistic one.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, *, columns: int, bias: bool) -> None:
        ones = [torch.ones_like(inputs[:, :1])] if bias else []
        self._inputs = torch.cat([inputs, *ones], 1).T.contiguous()  # (D, N): both products then stream through memory
        self._columns, self.size = columns, len(inputs)
        self._targets = targets if columns > 1 else targets.to(inputs.dtype)
        decays = torch.ones(len(self._inputs), columns, dtype=inputs.dtype, device=inputs.device)
        decays[inputs.shape[1] :] = 0
        self.decays = decays.flatten()

    def losses(self, theta: Tensor) -> Tensor:
        return self._of(self._logits(theta))

    def slope(self, theta: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        logits = self._logits(theta)
        return self._back(weights.unsqueeze(1) * self._residuals(logits)), self._of(logits)

    def products(self, theta: Tensor, weights: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        logits, along = self._logits(theta), self._logits(direction)
        product = self._back(weights.unsqueeze(1) * self._curved(logits, along))
        return (self._residuals(logits) * along).sum(1), product

    def bends(self, theta: Tensor, first: Tensor, second: Tensor) -> Tensor:
        logits, one, two = (self._logits(vector) for vector in (theta, first, second))
        return (one * self._curved(logits, two)).sum(1)

    def rates(self, theta: Tensor, direction: Tensor) -> Tensor:
        return (self._residuals(self._logits(theta)) * self._logits(direction)).sum(1)

    def norms(self, theta: Tensor) -> Tensor:
        """A gradient is the outer product of the input and the residual."""
        residuals = self._residuals(self._logits(theta))
        return self._inputs.square().sum(0).sqrt() * residuals.square().sum(1).sqrt()

    def _logits(self, theta: Tensor) -> Tensor:
        return (theta.view(-1, self._columns).T @ self._inputs).T  # (N, C)

    def _back(self, values: Tensor) -> Tensor:
        return (self._inputs @ values).flatten()

    def _of(self, logits: Tensor) -> Tensor:
        if self._columns > 1:
            return functional.cross_entropy(logits, self._targets, reduction="none")
        return functional.binary_cross_entropy_with_logits(logits[:, 0], self._targets, reduction="none")

    def _residuals(self, logits: Tensor) -> Tensor:
        """(N, C) derivative of each loss by its logits."""
        if self._columns == 1:
            return logits.sigmoid() - self._targets.unsqueeze(1)
        return logits.softmax(1).scatter_add(1, self._targets.unsqueeze(1), -torch.ones_like(logits[:, :1]))

    def _curved(self, logits: Tensor, along: Tensor) -> Tensor:
        """(N, C) second derivative of each loss by its logits, times `along`."""
        if self._columns == 1:
            probability = logits.sigmoid()
            return probability * (1 - probability) * along
        probability = logits.softmax(1)
        return probability * (along - (probability * along).sum(1, keepdim=True))


def flat(weights: Weights) -> Tensor:
    """(P,) all weights in their order."""
    return torch.cat([value.reshape(-1) for value in weights.values()])


def shaped(theta: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The weights by name again."""
    parts = torch.split(theta, [shape.numel() for shape in shapes.values()])
    return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
