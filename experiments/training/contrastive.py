"""SimCLR (arXiv:2002.05709): an encoder trained without labels, by telling two views of one image from all others.

Batch norm stays in training mode over both views: the loss is of a batch, not of an example, so the loop of training.py
cannot serve. Interrupted and resumed, it comes to the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ..contracts import Batch, Task
from ..devices import autocast
from ..errors import ConfigError
from ..models.features import head
from ..models.networks.convnet import initialise
from ..seeds import torch_stream
from ..store import checkpoints
from .loop import State, update
from .recipes import Plan
from .views import view

PROJECTED = 128  # dimensions that views are compared in, as published


@contextmanager
def projecting(model: nn.Module, init: Generator) -> Iterator[None]:
    """Within, the model's head is a projection with one hidden layer as wide as the features; the old head returns."""
    old = head(model)
    (name,) = [name for name, module in model.named_modules() if module is old]
    parent, _, place = name.rpartition(".")
    width = old.in_features
    projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTED))
    initialise(projection, init)
    setattr(model.get_submodule(parent), place, projection.to(old.weight.device))
    try:
        yield
    finally:
        setattr(model.get_submodule(parent), place, old)


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """() NT-Xent of two views (B, D) of B images, eq. 1: cross-entropy of finding a view's other half.

    Similarities are cosines over `temperature`; a view's candidates are all 2 B - 1 others.
    """
    views = functional.normalize(torch.cat([first, second]), dim=1)
    similarity = views @ views.T / temperature
    similarity = similarity.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), -torch.inf)
    number = len(first)
    other = torch.arange(2 * number, device=views.device).roll(number)
    return functional.cross_entropy(similarity, other)


def contrast(
    task: Task,
    state: State,
    plan: Plan,
    *,
    seed: int,
    batch_size: int,
    precision: torch.dtype,
    temperature: float,
    checkpoint: Path,
    notify: Callable[[str, float], None],
    checkpoint_seconds: float,
    clip: float | None = None,
) -> dict[str, list[Any]]:
    """Train a model that is `projecting` to the end of the plan, from `checkpoint` where there is one.

    Returns what each step was: step, epoch, loss, examples (each seen in two views). The labels are never read.
    """
    device = next(state.model.parameters()).device
    steps: dict[str, list[Any]] = {"step": [], "epoch": [], "loss": [], "examples": []}
    if task.size("train") < 2 * plan.steps_per_epoch:
        raise ConfigError("an image alone in its batch has no other to be told from", "a larger recipe.batch_size")
    if (content := checkpoints.read(checkpoint, notify, device)) is not None:
        with checkpoints.taken(checkpoint):
            steps = state.load(content)["steps"]
        notify(f"resuming from step {state.step} of {plan.stop}", state.step / plan.stop)
    last_saved = time.monotonic()
    while state.step < plan.stop:
        epoch, done = state.epoch, state.taken
        for number, views in enumerate(pairs(task, size=batch_size, seed=seed, epoch=epoch, skip=done), start=done):
            state.model.train()
            with autocast(device, precision):
                outputs = task.outputs(state.model, views)
            first, second = outputs.chunk(2)
            loss = nt_xent(first, second, temperature)
            update(state, loss, steps=plan.steps, clip=clip)
            state.epoch, state.taken = (epoch, number + 1) if number + 1 < plan.steps_per_epoch else (epoch + 1, 0)
            row = {"step": state.step, "epoch": epoch, "loss": loss.detach(), "examples": len(outputs) // 2}
            for name, value in row.items():
                steps[name].append(value)
            notify("", state.step / plan.stop)
            if time.monotonic() - last_saved > checkpoint_seconds and state.step < plan.stop:
                state.save(checkpoint, {"steps": steps})
                last_saved = time.monotonic()
            if state.step >= plan.stop:
                break
    return steps | {"loss": [float(loss) for loss in steps["loss"]]}


def pairs(task: Task, *, size: int, seed: int, epoch: int, skip: int = 0) -> Iterator[Batch]:
    """An epoch's batches of 2 B views, an image's halves B apart, without the first `skip`; its targets are no labels.

    A view is the task's own augmentation (mirror and shift, as the recipe says), and a random view of that.
    """
    sides = [
        task.batches(
            "train",
            size=size,
            order=torch_stream(seed, "order", epoch),
            augmentation=torch_stream(seed, "augmentation", epoch, side),
        )
        for side in (0, 1)
    ]
    for number, halves in enumerate(zip(*sides, strict=True)):
        if number < skip:
            continue
        seen = [view(half.inputs, torch_stream(seed, "view", epoch, number, s)) for s, half in enumerate(halves)]
        index = torch.cat([half.index for half in halves])
        yield Batch(index, torch.cat(seen), index)
