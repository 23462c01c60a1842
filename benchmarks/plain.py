"""The baselines: float32, contiguous, a DataLoader over a per-example Dataset, a loop over examples to score them.

What most people write first. The network, its first weights and the optimiser's numbers are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset, Subset

from prune_lab.experiments import seeds
from prune_lab.experiments.contracts import IGNORED, Data, Indices
from prune_lab.experiments.data.splits import sample
from prune_lab.experiments.data.task import NORMALISATION_SAMPLE, DeviceTask
from prune_lab.experiments.models.networks.gpt import Attention, Gpt, rotate
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.training.optimizers import schedulers
from prune_lab.experiments.training.recipes import Recipe

from .contest import DEVICE, Lap
from .ours import ENDLESS, SEED, task_of


class Images(Dataset[tuple[Tensor, int]]):
    """One image at a time, as torchvision's transforms: to float, normalised, padded, cropped at random, mirrored."""

    def __init__(self, data: Data, *, flip: bool = False, shift: int = 0) -> None:
        examples = data.splits["train"]
        self.images, self.labels = examples.inputs, examples.targets
        rows = sample(examples.ids, NORMALISATION_SAMPLE, "sample of training examples")
        pixels = torch.from_numpy(self.images[rows]).float() / 255
        deviation, mean = torch.std_mean(pixels, dim=(0, 2, 3), keepdim=True)
        self.mean, self.deviation = mean[0], deviation[0]
        self.flip, self.shift = flip, shift

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(np.array(self.images[row])).float() / 255
        image = (image - self.mean) / self.deviation
        if self.shift:
            height, width = image.shape[-2:]
            image = functional.pad(image[None], (self.shift,) * 4, mode="reflect")[0]
            down, right = torch.randint(0, 2 * self.shift + 1, (2,)).tolist()
            image = image[:, down : down + height, right : right + width]
        if self.flip and torch.rand(()) < 0.5:
            image = image.flip(-1)
        return image, int(self.labels[row])


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """One window of tokens at a time."""

    def __init__(self, data: Data) -> None:
        self.examples = data.splits["train"]

    def __len__(self) -> int:
        return len(self.examples.ids)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        tokens = torch.from_numpy(np.array(self.examples.inputs[row])).long()
        return tokens, torch.from_numpy(np.array(self.examples.targets[row]))


class PlainAttention(nn.Module):
    """softmax(Q K^T / sqrt(d) + mask) V written out, with the weights of ours."""

    def __init__(self, ours: Attention) -> None:
        super().__init__()
        self.heads, self.projections, self.out = ours.heads, ours.projections, ours.out

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor] | None, _cache: None = None) -> Tensor:
        batch, length, width = hidden.shape
        size = width // self.heads
        query, key, value = (
            part.view(batch, length, self.heads, size).transpose(1, 2)
            for part in self.projections(hidden).split(width, dim=-1)
        )  # (B, heads, T, D / heads)
        if rotation is not None:
            query, key = rotate(query, *rotation), rotate(key, *rotation)
        mask = torch.tril(torch.ones(length, length, dtype=torch.bool, device=hidden.device))
        scores = (query @ key.transpose(-2, -1)) / math.sqrt(size)
        mixed = scores.masked_fill(~mask, -math.inf).softmax(dim=-1) @ value
        projected: Tensor = self.out(mixed.transpose(1, 2).contiguous().view(batch, length, width))
        return projected


def plain_model(task: DeviceTask, seed: int = SEED) -> nn.Module:
    """Our network with our first weights, contiguous, its attention written out."""
    model = task.model(seeds.torch_stream(seed, "init")).to(memory_format=torch.contiguous_format)
    if isinstance(model, Gpt):
        for layer in model.layers:
            layer.attention = PlainAttention(layer.attention)
    return model


def training_lap(chosen: Run, data: Data, kept: Indices | None = None) -> Lap:
    """A lap is an epoch over `kept` examples; returns how many."""
    model = plain_model(task_of(chosen, data))
    rows: Dataset[tuple[Tensor, Tensor]] = _rows(chosen, data)  # type: ignore[assignment]
    if kept is not None:
        rows = Subset(rows, kept.tolist())
    loader = DataLoader(rows, batch_size=chosen.recipe.batch_size, shuffle=True, num_workers=0)
    optimizer, schedule = _optimizer(chosen.recipe, model, ENDLESS)

    def lap() -> float:
        _epoch(model, loader, optimizer, schedule, chosen.recipe.clip)
        return len(rows)  # type: ignore[arg-type]

    return lap


def trained(chosen: Run, data: Data, task: DeviceTask, *, epochs: int, seed: int) -> nn.Module:
    """The model after a whole schedule of `epochs`."""
    torch.manual_seed(seed)
    loader = DataLoader(_rows(chosen, data), batch_size=chosen.recipe.batch_size, shuffle=True, num_workers=0)
    model = plain_model(task, seed)
    optimizer, schedule = _optimizer(chosen.recipe, model, epochs * len(loader))
    for _ in range(epochs):
        _epoch(model, loader, optimizer, schedule, chosen.recipe.clip)
    return model


def scoring_lap(chosen: Run, data: Data, scorer: str, examples: int) -> Lap:
    """A lap scores the first `examples` one by one; returns how many."""
    model = plain_model(task_of(chosen, data)).eval()
    rows = Images(data)

    def lap() -> float:
        for _ in scores(model, rows, scorer, examples):
            pass
        return examples

    return lap


def scores(model: nn.Module, rows: Images, scorer: str, examples: int) -> Iterator[float]:
    """EL2N or GraNd of the first `examples`, one forward (and backward) pass each."""
    for row in range(examples):
        image, label = rows[row]
        image = image.to(DEVICE)
        if scorer == "el2n":
            with torch.no_grad():
                error = model(image[None]).softmax(1)[0] - functional.one_hot(torch.tensor(label, device=DEVICE), 10)
            yield error.norm().item()
        else:
            model.zero_grad()
            functional.cross_entropy(model(image[None]), torch.tensor([label], device=DEVICE)).backward()
            norms = [weight.grad.norm() for weight in model.parameters() if weight.grad is not None]
            yield torch.stack(norms).norm().item()


def _rows(chosen: Run, data: Data) -> Images | Windows:
    if data.kind == "text":
        return Windows(data)
    return Images(data, flip=chosen.recipe.flip, shift=chosen.recipe.shift)


def _optimizer(recipe: Recipe, model: nn.Module, steps: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """PyTorch's optimiser as its defaults run it (not fused), with our recipe's numbers and groups."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trainable if weight.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [weight for weight in trainable if weight.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, recipe.learning_rate, momentum=recipe.momentum, nesterov=True)
    else:
        assert recipe.optimizer == "adamw", f"no baseline for optimizer={recipe.optimizer}"
        optimizer = torch.optim.AdamW(groups, recipe.learning_rate, betas=(0.9, 0.95))
    (schedule,) = schedulers([optimizer], recipe.schedule, steps=steps, warmup=recipe.warmup)
    return optimizer, schedule


def _epoch(
    model: nn.Module,
    loader: DataLoader[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    schedule: LambdaLR,
    clip: float | None,
) -> None:
    model.train()
    for inputs, targets in loader:
        optimizer.zero_grad()
        outputs = model(inputs.to(DEVICE))
        loss = functional.cross_entropy(outputs.flatten(0, -2), targets.flatten().to(DEVICE), ignore_index=IGNORED)
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        schedule.step()
