"""Seconds that one CIFAR-10 model takes from its first step to its last, and its test accuracy, beside airbench94's.

The baseline is published, not run: cifar10-airbench's README, 94.01 % in 3.83 s on an A100, its uncompiled version.
"""

from __future__ import annotations

import statistics
import time

from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.training.evaluation import evaluate

from . import ours
from .contest import Comparison, compare, settle

SEEDS = 3
PUBLISHED = 3.83  # seconds
CIFAR10 = ("task=cifar10", "model.width=1", "recipe.batch_size=1024", "recipe.learning_rate=1.6", "recipe.epochs=12")
DIGITS = ("task=digits", "model=convnet", "model.width=0.25", "recipe.epochs=2")


def comparison(quick: bool) -> Comparison:
    """Mean seconds over seeds after a first epoch that is not counted. On a CPU it takes hours."""
    chosen = ours.run(*(DIGITS if quick else CIFAR10))
    epochs = int(chosen.recipe.epochs or 1)
    data = load_data(chosen.task)
    task = ours.task_of(chosen, data)
    ours.trained(chosen, task, epochs=1, seed=SEEDS)
    seconds, accuracies = [], []
    for seed in range(1 if quick else SEEDS):
        settle()
        begin = time.perf_counter()
        model = ours.trained(chosen, task, epochs=epochs, seed=seed)
        settle()
        seconds.append(time.perf_counter() - begin)
        accuracies.append(evaluate(task, model, "test")[0]["accuracy"])
    reached = ", ".join(f"{accuracy:.4f}" for accuracy in accuracies)
    return compare(
        "model",
        statistics.mean(seconds),
        PUBLISHED,
        "s a model",
        target=None,
        note=f"{data.name}, {task.size('train'):,} training images, {epochs} epochs in batches of "
        f"{chosen.recipe.batch_size}, test accuracy {reached}; baseline: airbench94's published time to 94 % on an "
        "A100, not run here",
        more_is_better=False,
    )
