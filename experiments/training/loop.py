"""One loop over a Task under a Policy. It yields what happened at each step, and resumes from a checkpoint to the bit.

Every random number comes from a stream named by its epoch, so a run's state is its weights, its optimisers and a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ..contracts import Batch, Policy, Split, Task, num_batches
from ..devices import autocast
from ..errors import RunFailed
from ..seeds import torch_stream
from ..store import checkpoints
from .recipes import Plan


@dataclass(frozen=True, slots=True)
class Step:
    """What one step saw, before its update."""

    number: int  # steps taken so far, this one included
    epoch: int  # from 0, over the visited examples
    batch: Batch
    outputs: Tensor  # logits, detached
    losses: Tensor  # (B,), detached


@dataclass(slots=True)
class State:
    """All that a run is, besides its recipe."""

    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    schedulers: list[LambdaLR]
    step: int = 0
    epoch: int = 0
    taken: int = 0  # batches of this epoch

    def save(self, path: Path, extra: dict[str, Any]) -> None:
        """Write atomically: a checkpoint is whole or not there."""
        content = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [{"last_epoch": scheduler.last_epoch} for scheduler in self.schedulers],
            "step": self.step,
            "epoch": self.epoch,
            "taken": self.taken,
            "extra": extra,
        }
        checkpoints.write(path, content)

    def load(self, content: dict[str, Any]) -> dict[str, Any]:
        """Take a checkpoint's state; returns its `extra`."""
        self.model.load_state_dict(content["model"])
        for optimizer, saved in zip(self.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for scheduler, saved in zip(self.schedulers, content["schedulers"], strict=True):
            scheduler.last_epoch = saved["last_epoch"]
        self.step, self.epoch, self.taken = content["step"], content["epoch"], content["taken"]
        extra: dict[str, Any] = content["extra"]
        return extra


def train(
    task: Task,
    state: State,
    policy: Policy,
    plan: Plan,
    *,
    seed: int,
    batch_size: int,
    device: torch.device,
    precision: torch.dtype,
    clip: float | None = None,
    split: Split = "train",
) -> Iterator[Step]:
    """Train `state` in place from its step to `plan.stop`.

    The loss of a step is the weighted mean of its examples' losses. Raises RunFailed where the loss stops being finite.
    """
    while state.step < plan.stop:
        epoch, done = state.epoch, state.taken
        visited = policy.visited(epoch, state.step / plan.steps)
        last = num_batches(task.size(split) if visited is None else len(visited), batch_size)
        batches = task.batches(
            split,
            size=batch_size,
            index=visited,
            order=torch_stream(seed, "order", epoch),
            augmentation=torch_stream(seed, "augmentation", epoch),
        )
        for number, batch in enumerate(batches):
            if number < done:  # taken before the checkpoint
                continue
            state.model.train()
            with autocast(device, precision):
                outputs = task.outputs(state.model, batch)
            losses = task.losses(state.model, batch, outputs)
            policy.observe(state.step, batch.index, losses.detach())
            weights = policy.weights(state.step, batch.index)
            loss = (weights * losses).sum() / weights.sum()
            update(state, loss, steps=plan.steps, clip=clip)
            state.epoch, state.taken = (epoch + 1, 0) if number + 1 == last else (epoch, number + 1)
            yield Step(state.step, epoch, batch, outputs.detach(), losses.detach())
            if state.step >= plan.stop:
                return


def update(state: State, loss: Tensor, *, steps: int, clip: float | None) -> None:
    """One step of the optimisers down the loss, of `steps` in all."""
    check = 1 if loss.device.type == "cpu" else 32  # reading the loss waits for a GPU
    if state.step % check == 0 and not torch.isfinite(loss):
        raise RunFailed(
            f"the loss became {loss.item()} at step {state.step + 1} of {steps}",
            "a smaller recipe.learning_rate, or recipe.clip=1.0",
        )
    loss.backward()  # type: ignore[no-untyped-call]
    if clip is not None:
        nn.utils.clip_grad_norm_([weight for weight in state.model.parameters() if weight.requires_grad], clip)
    for optimizer, scheduler in zip(state.optimizers, state.schedulers, strict=True):
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        scheduler.step()
    state.step += 1
