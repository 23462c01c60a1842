"""The beginning of a training run: how long it takes, its optimisers, and what is said of both."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..contracts import Work
from .loop import State
from .optimizers import optimizers, schedulers
from .recipes import Plan, Recipe, plan


def begin(work: Work, model: nn.Module, visited: int, *, budget: str = "epochs") -> tuple[Plan, dict[str, Any]]:
    """How long the run trains on `visited` examples an epoch, said, and its sizes for the record."""
    recipe, pool, asks = work.run.recipe, work.task.size("train"), work.asks
    duration = plan(
        pool,
        visited,
        batch_size=recipe.batch_size,
        budget=budget,
        epochs=recipe.epochs,
        steps=recipe.steps,
        examples=recipe.examples,
        stop_epoch=asks.get("epoch"),
        stop_share=asks.get("share"),
        most_epochs=asks.get("most_epochs"),
    )
    if derived := recipe.derivation(visited if "fold" in asks else pool):
        work.decide(derived)
    early = "" if duration.stop == duration.steps else f", the first of a schedule of {duration.steps}"
    work.decide(
        f"to train: {duration.stop} steps{early}; {duration.stop / duration.steps_per_epoch:g} epochs of {visited} "
        f"examples in batches of about {visited / duration.steps_per_epoch:.4g}, "
        f"about {round(duration.stop * visited / duration.steps_per_epoch):,} examples in all"
    )
    if moved := recipe.augmentation:
        work.decide(moved)
    parameters = sum(weight.numel() for weight in model.parameters())
    adapted = getattr(model, "adapted", None)
    work.decide(f"model {work.run.model.name}: {parameters:,} parameters" + (f", {adapted}" if adapted else ""))
    sizes = {"examples": visited, "pool": pool, "steps": duration.stop, "parameters": parameters}
    return duration, sizes | {"epochs": duration.stop / duration.steps_per_epoch}


def state_of(model: nn.Module, recipe: Recipe, steps: int) -> State:
    """The model as it begins, with the recipe's optimisers and their schedules over `steps`."""
    made = optimizers(
        model,
        recipe.optimizer,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    return State(model, made, schedulers(made, recipe.schedule, steps=steps, warmup=recipe.warmup))
