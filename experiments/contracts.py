"""The protocols and frozen values that everyone agrees on. Does no work, imports no torch at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
Split = Literal["train", "dev", "test"]
Kind = Literal["images", "text", "vectors"]
IGNORED = -100  # a target that is padding: not part of any loss


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a split. `index` is the rows' place in the whole split, kept through every subset and shuffle."""

    index: Tensor  # (B,) int64
    inputs: Tensor  # (B, C, H, W) uint8 images, or (B, T) int64 tokens, or (B, D) float32
    targets: Tensor  # (B,) classes, or (B, T) next tokens with IGNORED where there is none


@dataclass(frozen=True, slots=True)
class Examples:
    """One split of a data set on the host, before it goes to a device."""

    inputs: NDArray[np.generic]  # (N, C, H, W) uint8 | (N, T) integer tokens | (N, D) float32
    targets: NDArray[np.int64]  # (N,) | (N, T)
    ids: NDArray[np.str_]  # (N,) what a person calls the example; unique within a split
    groups: Indices | None = None  # (N,) the unit of splitting: a window's document
    units: Mapping[str, Indices] = field(default_factory=dict)  # {"tokens": (N,), "bytes": (N,)} for text
    noisy: NDArray[np.bool_] | None = None  # (N,) labels that we made wrong on purpose; None where there are none

    def take(self, rows: Indices) -> Examples:
        """The same split with only these rows, in this order."""
        groups = None if self.groups is None else self.groups[rows]
        units = {name: values[rows] for name, values in self.units.items()}
        noisy = None if self.noisy is None else self.noisy[rows]
        return Examples(self.inputs[rows], self.targets[rows], self.ids[rows], groups, units, noisy)


@dataclass(frozen=True, slots=True)
class Data:
    """A data set: its three splits, what it is, and how it was found."""

    name: str
    kind: Kind
    splits: Mapping[Split, Examples]
    classes: tuple[str, ...]  # names of the classes; empty for text
    notes: tuple[str, ...] = ()  # decisions taken while loading, said aloud and recorded
    vocabulary: int = 0  # number of tokens, text only
    decode: Callable[[Sequence[int]], str] | None = None  # tokens to text, text only
    tokenizer: bytes = b""  # its serialized form, text only


class Task(Protocol):
    """A data set on a device, the model family trained on it, and the loss that joins them."""

    name: str
    kind: Kind
    classes: tuple[str, ...]

    def size(self, split: Split) -> int: ...
    def labels(self, split: Split) -> Indices | None: ...
    def examples(self, split: Split) -> Examples: ...

    def batches(
        self,
        split: Split,
        *,
        size: int,
        index: Indices | None = None,
        order: Generator | None = None,
        augmentation: Generator | None = None,
    ) -> Iterator[Batch]:
        """Batches of near-equal size over `index` (all by default).

        `order`'s permutation and `augmentation`'s draws are over the whole split and then filtered: two runs differ
        only in what is missing.
        """
        ...

    def model(self, init: Generator) -> nn.Module: ...

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """(B, classes) or (B, T, vocabulary) logits."""
        ...

    def losses(self, model: nn.Module, batch: Batch, outputs: Tensor | None = None) -> Tensor:
        """(B,) one differentiable loss an example: the only loss anyone may use. `outputs` saves the forward pass."""
        ...


class Policy(Protocol):
    """How much example `n` weighs at step `t`."""

    def visited(self, epoch: int, progress: float) -> Indices | None:
        """The examples that this epoch visits; None: all. `progress` is the share of the steps taken before it."""
        ...

    def weights(self, step: int, index: Tensor) -> Tensor:
        """(B,) non-negative weights; the loop divides by their sum."""
        ...

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        """(B,) losses of a step's examples, before its update."""
        ...

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs for the weights to come out the same."""
        ...

    def restore(self, state: dict[str, Tensor]) -> None: ...


@dataclass(frozen=True, slots=True)
class Proxy:
    """What a trained proxy leaves for scorers: its weights, and what was seen of every example along the way."""

    model: nn.Module  # in eval mode, on the task's device
    trajectory: Mapping[str, Floats]  # name -> (epochs, N): loss, correct, margin, error, probability, entropy
    held_out: NDArray[np.bool_] | None = None  # (N,) examples the proxy was not trained on; None: it saw them all
