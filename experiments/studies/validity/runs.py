"""A run that is differentiated, and the same run without some of its examples, many at once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...contracts import Batch, Floats, Indices, Task
from ...contribution.adjoint import Path, end_of, first_batches, functional_losses
from ...contribution.field import NetworkField, OfWeights, flat
from ...contribution.smoothness import metasmoothness
from ...contribution.updates import Update, update_of
from ...models.outputs import BATCH
from ...seeds import torch_stream
from ...training import packing
from ...training.recipes import Plan, Recipe, plan


@dataclass(frozen=True, slots=True)
class Run:
    """A run on all examples: each step is along the mean loss of its batch."""

    task: Task
    model: nn.Module  # as it began
    losses: OfWeights
    like: dict[str, Tensor]  # the trainable weights by name, as they began
    start: Tensor  # (P,)
    batches: list[Batch]  # one a step
    fields: list[NetworkField]
    update: Update
    path: Path
    target: NetworkField  # of the K target examples
    targets: list[NetworkField]  # of one each

    @property
    def steps(self) -> int:
        return len(self.batches)

    @property
    def size(self) -> int:
        return self.task.size("train")


def planned(task: Task, recipe: Recipe) -> Plan:
    size = task.size("train")
    return plan(size, size, batch_size=recipe.batch_size, budget="epochs", epochs=recipe.epochs)


def followed(task: Task, recipe: Recipe, targets: Indices, *, seed: int) -> Run:
    """The run of a seed, whose states are all held."""
    steps = planned(task, recipe).stop
    model = task.model(torch_stream(seed, "init"))
    losses, like = functional_losses(task, model)
    start = flat(like)
    batches = first_batches(task, recipe.batch_size, steps, seed)
    fields = [NetworkField(losses, like, [batch]) for batch in batches]
    update = update_of(recipe, steps)
    path = Path(fields, start, [means(batch, start) for batch in batches], update)
    held = NetworkField(losses, like, list(task.batches("dev", size=len(targets), index=targets)))
    alone = [
        NetworkField(losses, like, list(task.batches("dev", size=1, index=targets[[one]])))
        for one in range(len(targets))
    ]
    return Run(task, model, losses, like, start, batches, fields, update, path, held, alone)


def means(batch: Batch, like: Tensor) -> Tensor:
    """(B,) weights of the mean."""
    return like.new_full((len(batch.index),), 1 / len(batch.index))


def losses_of(run: Run) -> Floats:
    """(K,) of the targets at the end of the run."""
    found: Floats = run.target.losses(run.path.end).double().cpu().numpy()
    return found


def smoothness(run: Run, *, seed: int) -> float:
    """Metasmoothness in the weights of the examples; a step's loss is their weighted mean, as in training."""

    def train(factors: Tensor) -> Tensor:
        def weigh(step: int, _: Tensor) -> Tensor:
            row = factors[run.batches[step].index]
            return row / row.sum()

        return end_of(run.fields, weigh, run.update, run.start)

    return metasmoothness(train, run.start.new_ones(run.size), seed=seed)


def retrained(
    task: Task,
    recipe: Recipe,
    kept: NDArray[np.bool_],
    targets: Indices,
    *,
    seed: int,
    notify: Callable[[float], None],
) -> Floats:
    """(M, K) the targets' losses after training on each of the kept sets (M, N): same start and order of batches.

    Infinite where training on a set diverged.
    """
    first, duration = task.model(torch_stream(seed, "init")), planned(task, recipe)
    size, found = packing.pack_size(first), []
    for start in range(0, len(kept), size):
        members = kept[start : start + size]
        pack = packing.Pack([copy.deepcopy(first) for _ in members])
        steps = packing.train(
            task, pack, members, duration, seed=seed, batch_size=recipe.batch_size, precision=torch.float32,
            optimizer=recipe.optimizer, learning_rate=recipe.learning_rate, momentum=recipe.momentum,
            weight_decay=recipe.weight_decay, schedule=recipe.schedule, warmup=recipe.warmup, strict=False,
        )  # fmt: skip
        with sdpa_kernel(SDPBackend.MATH):  # the kernel that is vectorised over models
            for step in steps:
                notify((start + len(members) * step / duration.stop) / len(kept))
        with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
            batches = task.batches("dev", size=BATCH[task.kind], index=targets)
            parts = [pack.losses(task, batch, pack.outputs(task, batch)) for batch in batches]
        found.append(torch.cat(parts, 1).double().cpu().numpy())
    losses: Floats = np.concatenate(found)
    return np.where(np.isfinite(losses), losses, np.inf)
