"""A data set on a device: batches whose rows keep their index, the model family trained on it, and the one loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ..contracts import IGNORED, Batch, Data, Examples, Indices, Kind, Split, num_batches
from ..errors import ConfigError
from .splits import sample

NORMALISATION_SAMPLE = 10_000  # images that give the mean and deviation of a channel
MODEL_SAMPLE = 2_000  # training examples that a model is drawn for: their shape, and the patches to whiten


class DeviceTask:
    """Images, token windows or vectors, held as one tensor a split on `device`.

    `architecture(examples, init)` builds the untrained model from the (normalised) training inputs and a generator.
    """

    def __init__(
        self,
        data: Data,
        architecture: Callable[[Tensor, Generator], nn.Module],
        *,
        device: torch.device,
        flip: bool = False,
        shift: int = 0,
    ) -> None:
        self.name = data.name
        self.kind: Kind = data.kind
        self.classes = data.classes
        self.device = device
        self._data = data
        self._architecture = architecture
        self._flip = flip
        self._shift = shift
        self._inputs: dict[Split, Tensor] = {}
        self._targets: dict[Split, Tensor] = {}
        self._mean, self._deviation = self._normalisation()

    @property
    def data(self) -> Data:
        """The data on the host."""
        return self._data

    def size(self, split: Split) -> int:
        return len(self._data.splits[split].ids)

    def labels(self, split: Split) -> Indices | None:
        """(N,) classes; None for text."""
        return None if self.kind == "text" else self._data.splits[split].targets

    def examples(self, split: Split) -> Examples:
        return self._data.splits[split]

    @cached_property
    def sample(self) -> Indices:
        """Rows of training examples that stand for all of them, drawn by their ids: whatever the order of files."""
        return sample(self._data.splits["train"].ids, NORMALISATION_SAMPLE, "sample of training examples")

    def batches(
        self,
        split: Split,
        *,
        size: int,
        index: Indices | None = None,
        order: Generator | None = None,
        augmentation: Generator | None = None,
    ) -> Iterator[Batch]:
        """Batches of near-equal size: `round(n / size)` of them, at least one, none of them a small remainder."""
        inputs, targets = self._on_device(split)
        number = self.size(split)
        visited = torch.arange(number) if order is None else torch.randperm(number, generator=order)
        if index is not None:
            kept = torch.zeros(number, dtype=torch.bool)
            kept[torch.tensor(index)] = True
            visited = visited[kept[visited]]
        moves = self._moves(number, augmentation)
        for rows in torch.tensor_split(visited, num_batches(len(visited), size)):
            place = rows.to(self.device)
            picked = inputs[place] if moves is None else self._moved(inputs, place, moves[rows].to(self.device))
            if self.kind == "images":
                picked = picked.to(memory_format=torch.channels_last)
            yield Batch(place, picked, targets[place])

    def stacked(
        self, split: Split, *, size: int, orders: Sequence[Generator], augmentations: Sequence[Generator]
    ) -> Iterator[Batch]:
        """The batches of several orders side by side, in one gather: index (M, B), inputs (M, B, ...) and targets."""
        inputs, targets = self._on_device(split)
        number = self.size(split)
        visited = torch.stack([torch.randperm(number, generator=order) for order in orders])
        moves = [self._moves(number, augmentation) for augmentation in augmentations]
        for rows in torch.tensor_split(visited, num_batches(number, size), dim=1):
            place = rows.flatten().to(self.device)
            own = [move[own] for move, own in zip(moves, rows, strict=True) if move is not None]
            picked = self._moved(inputs, place, torch.cat(own).to(self.device)) if own else inputs[place]
            yield Batch(place.view_as(rows), picked.view(*rows.shape, *picked.shape[1:]), targets[place].view_as(rows))

    def model(self, init: Generator) -> nn.Module:
        """An untrained model on the task's device, drawn from `init` alone."""
        inputs, _ = self._on_device("train")
        examples = inputs[torch.from_numpy(self.sample[:MODEL_SAMPLE]).to(self.device)]
        if self.kind == "images":
            examples = self._normalised(crop(examples, self._shift))
        model = self._architecture(examples.cpu(), init).to(self.device)
        return model.to(memory_format=torch.channels_last) if self.kind == "images" else model

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """(B, classes) or (B, T, vocabulary) logits, float32 whatever the model computes in."""
        inputs = self._normalised(batch.inputs) if self.kind == "images" else batch.inputs
        logits: Tensor = model(inputs)
        return logits.float()

    def losses(self, model: nn.Module, batch: Batch, outputs: Tensor | None = None) -> Tensor:
        """(B,) cross-entropy in nats; for text the mean over the window's tokens."""
        outputs = self.outputs(model, batch) if outputs is None else outputs
        flat = functional.cross_entropy(
            outputs.flatten(0, -2), batch.targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        if batch.targets.ndim == 1:
            return flat
        tokens = (batch.targets != IGNORED).sum(1).clamp(min=1)
        return flat.view_as(batch.targets).sum(1) / tokens

    def _on_device(self, split: Split) -> tuple[Tensor, Tensor]:
        """The split's tensors; training images carry a reflected border of `shift` pixels, cut off by the crop."""
        if split not in self._inputs:
            examples = self._data.splits[split]
            inputs = torch.from_numpy(np.array(examples.inputs))  # a copy: the file on the disk is never written to
            if self.kind == "text":
                inputs = inputs.long()
            if self.kind == "images" and split == "train" and self._shift:
                if self._shift >= (smallest := min(inputs.shape[2:])):
                    what = f"recipe.shift={self._shift} moves images of {smallest} pixels out of sight"
                    raise ConfigError(what, f"recipe.shift={smallest // 8}")
                border = (self._shift,) * 4
                inputs = functional.pad(inputs.float(), border, mode="reflect").to(torch.uint8)
            self._inputs[split] = inputs.to(self.device)
            self._targets[split] = torch.from_numpy(np.array(examples.targets)).to(self.device)
        return self._inputs[split], self._targets[split]

    def _normalisation(self) -> tuple[Tensor, Tensor]:
        """(C, 1, 1) mean and deviation of the training images' channels, in units of 0..255."""
        if self.kind != "images":
            return torch.zeros(1), torch.ones(1)
        images = torch.from_numpy(self._data.splits["train"].inputs[self.sample])
        deviation, mean = torch.std_mean(images.float(), dim=(0, 2, 3))
        return mean.view(-1, 1, 1).to(self.device), deviation.clamp(min=1).view(-1, 1, 1).to(self.device)

    def _normalised(self, images: Tensor) -> Tensor:
        return (images.float() - self._mean) / self._deviation

    def _moves(self, number: int, augmentation: Generator | None) -> Tensor | None:
        """(N, 3) mirror, down, right of every training image; the plain crop where there is no augmentation."""
        if self.kind != "images" or not (self._flip or self._shift):
            return None
        moves = torch.tensor([0, self._shift, self._shift]).repeat(number, 1)
        if augmentation is not None:
            if self._flip:
                moves[:, 0] = torch.randint(0, 2, (number,), generator=augmentation)
            if self._shift:
                moves[:, 1:] = torch.randint(0, 2 * self._shift + 1, (number, 2), generator=augmentation)
        return moves

    def _moved(self, inputs: Tensor, rows: Tensor, moves: Tensor) -> Tensor:
        """Subset, crop and mirror in one gather."""
        border = inputs.shape[-1] - self._data.splits["train"].inputs.shape[-1]
        height, width = inputs.shape[-2] - border, inputs.shape[-1] - border
        moves = moves if border or not self._shift else moves * torch.tensor([1, 0, 0], device=moves.device)
        down = torch.arange(height, device=self.device) + moves[:, 1:2]
        right = torch.arange(width, device=self.device).repeat(len(rows), 1)
        right = torch.where(moves[:, :1] == 1, right.flip(1), right) + moves[:, 2:3]
        channels = torch.arange(inputs.shape[1], device=self.device)
        return inputs[
            rows[:, None, None, None], channels[:, None, None], down[:, None, :, None], right[:, None, None, :]
        ]


def crop(images: Tensor, border: int) -> Tensor:
    """The images (N, C, H, W) without `border` pixels on each side."""
    return images[..., border : images.shape[-2] - border, border : images.shape[-1] - border]
