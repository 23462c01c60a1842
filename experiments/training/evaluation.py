"""The metrics of a split under a trained model."""

from __future__ import annotations

import math

import numpy as np
from torch import nn

from ..contracts import Examples, Floats, Indices, Split, Task
from ..models.outputs import examine

Metrics = dict[str, float | list[float | None]]


def evaluate(task: Task, model: nn.Module, split: Split) -> tuple[Metrics, dict[str, Floats]]:
    """The split's metrics, and what `examine` saw of every example."""
    seen = examine(task, model, split)
    if task.kind == "text":
        return text_metrics(seen, task.examples(split)), seen
    labels = task.labels(split)
    assert labels is not None, f"task {task.name} of kind {task.kind} has no labels"
    return class_metrics(seen, labels, num_classes=len(task.classes)), seen


def class_metrics(seen: dict[str, Floats], labels: Indices, *, num_classes: int) -> Metrics:
    """accuracy, error (1 - accuracy), loss (nats), worst_class_accuracy, per_class accuracy (None: class not there)."""
    members = np.bincount(labels, minlength=num_classes)
    right = np.bincount(labels, weights=seen["correct"], minlength=num_classes)
    per_class = [float(r / m) if m else None for r, m in zip(right, members, strict=True)]
    accuracy = float(seen["correct"].mean())
    return {
        "accuracy": accuracy,
        "error": 1 - accuracy,
        "loss": float(seen["loss"].mean()),
        "worst_class_accuracy": min(share for share in per_class if share is not None),
        "per_class": list(per_class),
    }


def text_metrics(seen: dict[str, Floats], examples: Examples) -> Metrics:
    """loss (nats a token), bits_per_byte, accuracy and perplexity, every token counting once.

    bits_per_byte = nats of all tokens / ln 2 / bytes of the text they stand for.
    """
    tokens, num_bytes = examples.units["tokens"], examples.units["bytes"]
    filled = tokens > 0
    nats = float((seen["loss"] * tokens)[filled].sum())
    loss = nats / float(tokens.sum())
    return {
        "loss": loss,
        "bits_per_byte": nats / math.log(2) / float(num_bytes.sum()),
        "accuracy": float((seen["correct"] * tokens)[filled].sum() / tokens.sum()),
        "perplexity": math.exp(loss) if loss < 700 else math.inf,
    }
