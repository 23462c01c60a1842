"""Teacher-student perceptron (arXiv:2206.14486 §2): Gaussian inputs, labels by a random teacher."""

from __future__ import annotations

import numpy as np

from ..contracts import Data, Examples, Floats, Split
from ..seeds import numpy_stream

VERSION = 1


def fingerprint() -> str:
    """A constant: the data follow from the settings, and from how they are drawn."""
    return f"perceptron-{VERSION}"


def load(*, dimension: int, train: int, test: int, dev: float, seed: int = 0) -> Data:
    """Vectors as train, dev and test: inputs (N, D) float32 from N(0, I), targets 1 where teacher . input > 0, else 0.

    The teacher is uniform on the sphere of radius sqrt(D). `dev` is a share of `train`. A longer training split begins
    with the shorter ones.
    """
    teacher = numpy_stream(seed, "perceptron teacher").standard_normal(dimension)
    teacher *= np.sqrt(dimension) / np.linalg.norm(teacher)
    developed = min(max(1, round(dev * train)), train - 1)
    sizes: dict[Split, int] = {"train": train - developed, "dev": developed, "test": test}
    notes = (f"perceptron: drawn from task.data_seed={seed}", f"dev: {developed} of {train} training examples")
    splits = {name: _draw(teacher, name, size, seed) for name, size in sizes.items()}
    return Data("perceptron", "vectors", splits, ("-1", "+1"), notes)


def _draw(teacher: Floats, name: str, size: int, seed: int) -> Examples:
    inputs = numpy_stream(seed, f"perceptron {name}").standard_normal((size, len(teacher)), dtype=np.float32)
    labels = (inputs @ teacher > 0).astype(np.int64)  # in float64: no label hangs on the last bit of a sum
    return Examples(inputs, labels, np.array([f"{name}/{row:05}" for row in range(size)]))
