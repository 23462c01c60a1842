"""Our side: the package's own loop and scorers, set up as a run of the command line sets them up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import numpy as np
import torch
from torch import nn

from prune_lab.cli import compose
from prune_lab.experiments import devices, packing, recipes, schema, seeds
from prune_lab.experiments.contracts import Data, Indices, Proxy
from prune_lab.experiments.loading import build_model
from prune_lab.experiments.policy import Uniform
from prune_lab.experiments.scoring import gradients, outputs
from prune_lab.experiments.tasks.task import DeviceTask
from prune_lab.experiments.training import State, train

from .contest import CPU, Lap

SEED = 0
ENDLESS = 1_000_000  # steps of a schedule that no lap comes to the end of


def study(*overrides: str) -> schema.Study:
    """The settings that the command line would make of these overrides."""
    (found,) = compose.studies("train", overrides)
    return found


def task_of(chosen: schema.Study, data: Data) -> DeviceTask:
    return DeviceTask(
        data,
        lambda examples, init: build_model(chosen.model, data, examples, init),
        device=CPU,
        flip=chosen.recipe.flip,
        shift=chosen.recipe.shift,
    )


def training_lap(chosen: schema.Study, data: Data, kept: Indices | None = None) -> Lap:
    """A lap is an epoch over `kept` examples; returns how many."""
    task = task_of(chosen, data)
    recipe = chosen.recipe
    state = _state(chosen, task, task.model(seeds.torch_stream(SEED, "init")), ENDLESS)
    visited = task.size("train") if kept is None else len(kept)
    steps = recipes.num_batches(visited, recipe.batch_size)
    precision, _ = devices.resolve_precision(recipe.precision, CPU)

    def lap() -> float:
        until = recipes.Plan(ENDLESS, steps, state.step + steps)
        for _ in train(
            task,
            state,
            Uniform(kept),
            until,
            seed=SEED,
            batch_size=recipe.batch_size,
            device=CPU,
            precision=precision,
            clip=recipe.clip,
        ):
            pass
        return visited

    return _as_in_a_run(lap)


def trained(
    chosen: schema.Study, task: DeviceTask, *, epochs: int, seed: int, kept: Indices | None = None
) -> nn.Module:
    """The model after a whole schedule of `epochs` over `kept` examples."""
    recipe = chosen.recipe
    pool = task.size("train")
    visited = pool if kept is None else len(kept)
    duration = recipes.plan(pool, visited, batch_size=recipe.batch_size, budget="epochs", epochs=epochs)
    model = task.model(seeds.torch_stream(seed, "init"))
    state = _state(chosen, task, model, duration.steps)
    precision, _ = devices.resolve_precision(recipe.precision, CPU)
    with _deterministic():
        for _ in train(
            task,
            state,
            Uniform(kept),
            duration,
            seed=seed,
            batch_size=recipe.batch_size,
            device=CPU,
            precision=precision,
            clip=recipe.clip,
        ):
            pass
    return model


def packed_lap(chosen: schema.Study, data: Data, models: int, share: float, epochs: int) -> Lap:
    """A lap trains `models` on random subsets together; returns how many."""
    task, recipe = task_of(chosen, data), chosen.recipe
    size = task.size("train")
    duration = recipes.plan(size, size, batch_size=recipe.batch_size, budget="epochs", epochs=epochs)
    members = np.stack([packing.subset(size, share, seed=SEED, number=number) for number in range(models)])
    precision, _ = devices.resolve_precision(recipe.precision, CPU)

    def lap() -> float:
        pack = packing.Pack([task.model(seeds.torch_stream(SEED, "init", number)) for number in range(models)])
        for _ in packing.train(
            task,
            pack,
            members,
            duration,
            seed=SEED,
            batch_size=recipe.batch_size,
            precision=precision,
            optimizer=recipe.optimizer,
            learning_rate=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            schedule=recipe.schedule,
            warmup=recipe.warmup,
            clip=recipe.clip,
        ):
            pass
        return models

    return _as_in_a_run(lap)


def single_lap(chosen: schema.Study, data: Data, models: int, share: float, epochs: int) -> Lap:
    """A lap trains `models` on the same subsets, one after the other; returns how many."""
    task = task_of(chosen, data)
    size = task.size("train")
    subsets = [np.flatnonzero(packing.subset(size, share, seed=SEED, number=number)) for number in range(models)]

    def lap() -> float:
        for number, kept in enumerate(subsets):
            trained(chosen, task, epochs=epochs, seed=number, kept=kept)
        return models

    return lap


def scoring_lap(chosen: schema.Study, data: Data, scorer: str) -> Lap:
    """A lap scores every training image; returns how many."""
    task = task_of(chosen, data)
    proxy = Proxy(task.model(seeds.torch_stream(SEED, "init")).eval(), {})
    score: Callable[..., object] = {"el2n": outputs.el2n, "grand": gradients.grand}[scorer]

    def lap() -> float:
        score(task, [proxy])
        return task.size("train")

    return _as_in_a_run(lap)


def _state(chosen: schema.Study, task: DeviceTask, model: nn.Module, steps: int) -> State:
    recipe = chosen.recipe
    optimizers = recipes.optimizers(
        model,
        recipe.optimizer,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    return State(model, optimizers, recipes.schedulers(optimizers, recipe.schedule, steps=steps, warmup=recipe.warmup))


def _as_in_a_run(lap: Lap) -> Lap:
    """Our runs ask for deterministic algorithms; the baseline, in the same process, does not pay for that."""

    @wraps(lap)
    def wrapped() -> float:
        with _deterministic():
            return lap()

    return wrapped


@contextmanager
def _deterministic() -> Iterator[None]:
    fill = torch.utils.deterministic.fill_uninitialized_memory
    seeds.deterministic()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = fill
