"""Accuracy of our loop and of the plain one after the same epochs on the same data: speed is not bought by accuracy.

CIFAR-10 where PRUNE_LAB_DATA holds it, else the embedded digits.
"""

from __future__ import annotations

import os
import statistics

from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.training.evaluation import evaluate

from . import ours, plain
from .contest import Comparison, compare

SEEDS = 3
EPOCHS = 4
CIFAR10 = ("task=cifar10", "task.examples=4000", "model.width=0.25")
DIGITS = ("task=digits", "model=convnet", "model.width=0.25")


def comparison(quick: bool) -> Comparison:
    """Test accuracy, mean over seeds; the target is a ratio of 1 less two standard errors of the difference."""
    on_cifar10 = "PRUNE_LAB_DATA" in os.environ and not quick
    chosen = ours.run(*(CIFAR10 if on_cifar10 else DIGITS))
    epochs, num_seeds = (1, 2) if quick else (EPOCHS, SEEDS)
    data = load_data(chosen.task)
    task = ours.task_of(chosen, data)
    accuracies: dict[str, list[float]] = {"ours": [], "baseline": []}
    for seed in range(num_seeds):
        models = {
            "ours": ours.trained(chosen, task, epochs=epochs, seed=seed),
            "baseline": plain.trained(chosen, data, task, epochs=epochs, seed=seed),
        }
        for side, model in models.items():
            metrics, _ = evaluate(task, model, "test")
            accuracies[side].append(float(metrics["accuracy"]))  # type: ignore[arg-type]
    mean = {side: statistics.mean(values) for side, values in accuracies.items()}
    error = (sum(statistics.variance(values) for values in accuracies.values()) / num_seeds) ** 0.5
    each = "; ".join(f"{side} {' '.join(f'{value:.3f}' for value in values)}" for side, values in accuracies.items())
    return compare(
        "accuracy",
        mean["ours"],
        mean["baseline"],
        "test accuracy",
        target=1 - 2 * error / mean["baseline"],
        note=f"{data.name}, {task.size('train'):,} training images, {epochs} epochs, {num_seeds} seeds ({each}); "
        "the target is equality less two standard errors",
        more_is_better=True,
    )
