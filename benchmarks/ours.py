"""Our side: the package's own loop and scorers, set up as a run of the command line sets them up."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from prune_lab.cli import compose
from prune_lab.experiments import choices, devices, seeds
from prune_lab.experiments.contracts import Data, Indices, Policy, Proxy, ScorerChoice, TrainingRun, num_batches
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.scoring.evidence import Given
from prune_lab.experiments.training import packing, recipes
from prune_lab.experiments.training.begin import state_of
from prune_lab.experiments.training.loop import State, train
from prune_lab.experiments.training.policies.uniform import Uniform

from .contest import DEVICE, Arithmetic, Lap

SEED = 0
ENDLESS = 1_000_000  # steps of a schedule that no lap comes to the end of


def run(*overrides: str) -> Run:
    """The settings that the command line would make of these overrides."""
    (found,) = compose.runs("train", overrides)
    return found


def task_of(chosen: Run, data: Data) -> DeviceTask:
    return DeviceTask(
        data,
        partial(chosen.model.build, data),
        device=DEVICE,
        flip=chosen.recipe.flip,
        shift=chosen.recipe.shift,
    )


def training_lap(chosen: Run, data: Data, kept: Indices | None = None) -> Lap:
    """A lap is an epoch over `kept` examples under the run's policy; returns how many."""
    _as_in_a_run()
    task = task_of(chosen, data)
    recipe = chosen.recipe
    state = _state(chosen, task, task.model(seeds.torch_stream(SEED, "init")), ENDLESS)
    visited = task.size("train") if kept is None else len(kept)
    steps = num_batches(visited, recipe.batch_size)
    precision, _ = devices.resolve_precision(recipe.precision, DEVICE)
    policy = _policy(chosen, task, state.model, kept, precision)

    def lap() -> float:
        until = recipes.Plan(ENDLESS, steps, state.step + steps)
        for _ in train(
            task,
            state,
            policy,
            until,
            seed=SEED,
            batch_size=recipe.batch_size,
            device=DEVICE,
            precision=precision,
            clip=recipe.clip,
        ):
            pass
        return visited

    return lap


def trained(chosen: Run, task: DeviceTask, *, epochs: int, seed: int, kept: Indices | None = None) -> nn.Module:
    """The model after a whole schedule of `epochs` over `kept` examples."""
    _as_in_a_run()
    recipe = chosen.recipe
    pool = task.size("train")
    visited = pool if kept is None else len(kept)
    duration = recipes.plan(pool, visited, batch_size=recipe.batch_size, budget="epochs", epochs=epochs)
    model = task.model(seeds.torch_stream(seed, "init"))
    state = _state(chosen, task, model, duration.steps)
    precision, _ = devices.resolve_precision(recipe.precision, DEVICE)
    for _ in train(
        task,
        state,
        Uniform(kept),
        duration,
        seed=seed,
        batch_size=recipe.batch_size,
        device=DEVICE,
        precision=precision,
        clip=recipe.clip,
    ):
        pass
    return model


def packed_lap(chosen: Run, data: Data, models: int, share: float, epochs: int) -> Lap:
    """A lap trains `models` on random subsets together; returns how many."""
    _as_in_a_run()
    task, recipe = task_of(chosen, data), chosen.recipe
    size = task.size("train")
    duration = recipes.plan(size, size, batch_size=recipe.batch_size, budget="epochs", epochs=epochs)
    members = np.stack([packing.subset(size, share, seed=SEED, number=number) for number in range(models)])
    precision, _ = devices.resolve_precision(recipe.precision, DEVICE)

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

    return lap


def single_lap(chosen: Run, data: Data, models: int, share: float, epochs: int) -> Lap:
    """A lap trains `models` on the same subsets, one after the other; returns how many."""
    task = task_of(chosen, data)
    size = task.size("train")
    subsets = [np.flatnonzero(packing.subset(size, share, seed=SEED, number=number)) for number in range(models)]

    def lap() -> float:
        for number, kept in enumerate(subsets):
            trained(chosen, task, epochs=epochs, seed=number, kept=kept)
        return models

    return lap


def scoring_lap(chosen: Run, data: Data, scorer: str) -> Lap:
    """A lap scores every training image; returns how many."""
    _as_in_a_run()
    task = task_of(chosen, data)
    proxy = Proxy(task.model(seeds.torch_stream(SEED, "init")).eval(), {})
    score, evidence = choices.get("scorer", scorer)(), Given(task, [proxy])
    assert isinstance(score, ScorerChoice)

    def lap() -> float:
        score.score(evidence)
        return task.size("train")

    return lap


def arithmetic(chosen: Run, data: Data, *, trains: bool, backward: bool) -> Arithmetic:
    """Of an example: forward, and backward where asked; in the precision that it trains in, or in float32."""
    task = task_of(chosen, data)
    model = task.model(seeds.torch_stream(SEED, "init"))
    batch = next(task.batches("train", size=16))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # counted as matrix products
        losses = task.losses(model, batch).sum()
        if backward:
            losses.backward()  # type: ignore[no-untyped-call]
    precision = devices.resolve_precision(chosen.recipe.precision, DEVICE)[0] if trains else torch.float32
    return Arithmetic(counter.get_total_flops() / len(batch.index), precision)


def _policy(chosen: Run, task: DeviceTask, model: nn.Module, kept: Indices | None, precision: torch.dtype) -> Policy:
    training = TrainingRun(task, model, kept, SEED, chosen.recipe.batch_size, precision, {}, lambda _: None)
    return chosen.policy.build(training)


def _state(chosen: Run, task: DeviceTask, model: nn.Module, steps: int) -> State:
    return state_of(model, chosen.recipe, steps)


def _as_in_a_run() -> None:
    """What a run sets for its whole process, too."""
    devices.resolve_device(str(DEVICE))
    seeds.deterministic()
    devices.keep_freed_memory()
