"""Networks of linear layers: an MLP, a linear head, and the perceptron without a bias."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Generator, Tensor, nn

from .convnet import initialise


class Perceptron(nn.Module):
    """One weight vector: logits (-m/2, m/2) of the margin m = w.x, so that cross-entropy is the logistic loss."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.head = nn.Linear(dimension, 1, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        margin = self.head(vectors) / 2
        return torch.cat([-margin, margin], dim=1)


def mlp(examples: Tensor, init: Generator, *, classes: int, width: int, depth: int) -> nn.Module:
    """`depth` hidden layers of `width` GELU units over the flattened example; depth 0 is a linear head."""
    sizes = [examples[0].numel()] + [width] * depth
    layers: list[nn.Module] = [nn.Flatten()]
    for size_in, size_out in pairwise(sizes):
        layers += [nn.Linear(size_in, size_out), nn.GELU()]
    model = nn.Sequential(*layers, nn.Linear(sizes[-1], classes))
    initialise(model, init)
    return model


def perceptron(examples: Tensor, init: Generator) -> nn.Module:
    """A student for vectors (N, D) of two classes."""
    model = Perceptron(examples[0].numel())
    initialise(model, init)
    return model
