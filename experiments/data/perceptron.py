"""Teacher-student perceptron: Gaussian inputs, labels by a random teacher.

As arXiv:2206.14486 §2 has it, or as arXiv:2402.17759 §4 does, whose target inputs are of another distribution.
"""

from __future__ import annotations

import numpy as np

from ..contracts import Data, Examples, Floats, Split
from ..seeds import numpy_stream

VERSION = 1


def fingerprint() -> str:
    """A constant: the data follow from the settings, and from how they are drawn."""
    return f"perceptron-{VERSION}"


def load(
    *,
    dimension: int,
    train: int,
    test: int,
    dev: float,
    seed: int = 0,
    spread: float = 1.0,
    shift: float = 0.0,
    target: int | None = None,
    orthogonal: bool = False,
) -> Data:
    """Vectors as train, dev and test: inputs (N, D) float32 from N(0, spread^2 I), targets 1 where teacher . input > 0.

    The teacher is uniform on the sphere of radius sqrt(D). `dev` is a share of `train`; with `target` it is that many
    examples of the test's distribution, N(shift, I). A longer training split begins with the shorter ones, unless
    `orthogonal`: its inputs are then at right angles, of length spread sqrt(D) (and no more than D of them).
    """
    teacher = numpy_stream(seed, "perceptron teacher").standard_normal(dimension)
    teacher *= np.sqrt(dimension) / np.linalg.norm(teacher)
    developed = 0 if target is not None else min(max(1, round(dev * train)), train - 1)
    own, theirs = (spread, 0.0), (1.0, shift)
    parts: dict[Split, tuple[int, tuple[float, float]]] = {
        "train": (train - developed, own),
        "dev": (developed, own) if target is None else (target, theirs),
        "test": (test, theirs),
    }
    of = f"{developed} of {train} training examples" if target is None else f"{target} of the test's distribution"
    notes = (f"perceptron: drawn from task.data_seed={seed}", f"dev: {of}")
    splits = {
        name: _draw(teacher, name, size, seed, *moments, orthogonal and name == "train")
        for name, (size, moments) in parts.items()
    }
    return Data("perceptron", "vectors", splits, ("-1", "+1"), notes)


def _draw(teacher: Floats, name: str, size: int, seed: int, spread: float, shift: float, orthogonal: bool) -> Examples:
    inputs = numpy_stream(seed, f"perceptron {name}").standard_normal((size, len(teacher)), dtype=np.float32)
    if orthogonal:
        inputs = np.linalg.qr(inputs.T)[0].T * np.float32(np.sqrt(len(teacher)))
    inputs = np.float32(spread) * inputs + np.float32(shift)
    labels = (inputs @ teacher > 0).astype(np.int64)  # in float64: no label hangs on the last bit of a sum
    return Examples(inputs, labels, np.array([f"{name}/{row:05}" for row in range(size)]))
