"""Teacher-student perceptron: Gaussian inputs, labels by a random teacher.

As arXiv:2206.14486 §2 has it, or as arXiv:2402.17759 §4 does, whose target inputs are of another distribution.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from ..choices import choice
from ..contracts import Count, Data, Examples, Floats, Kind, Share, Split, TaskChoice
from ..seeds import numpy_stream

VERSION = 1


@choice("task", "perceptron", source="arXiv:2206.14486 §2")
class Perceptron(TaskChoice):
    """Teacher-student perceptron: Gaussian inputs, labels by a random teacher."""

    reads: ClassVar[Kind] = "vectors"
    embedded: ClassVar[bool] = True

    examples: Count | None = None  # size of the training pool; null: all of it
    dev: Annotated[float, Field(gt=0, le=0.5)] = 0.1  # share of the training data carved out as dev
    label_noise: Share = 0.0  # share of training labels replaced by another class
    dimension: Annotated[int, Field(ge=2)] = 64  # numbers an example
    train: Annotated[int, Field(ge=20)] = 4096  # examples before dev is carved out
    test: Annotated[int, Field(ge=2)] = 8192  # test examples
    data_seed: int = 0  # of the teacher and of the inputs
    spread: Annotated[float, Field(gt=0)] = 1.0  # standard deviation of the training inputs
    shift: float = 0.0  # mean of each coordinate of the test inputs, whose standard deviation is 1
    target: Annotated[int, Field(ge=4)] | None = None  # dev examples of the test's distribution; null: a share of train
    orthogonal: bool = False  # training inputs at right angles, at most `dimension` of them

    @model_validator(mode="after")
    def _target(self) -> Perceptron:
        if self.orthogonal and (self.train > self.dimension or self.target is None):
            raise ValueError(
                f"task.orthogonal=true has room for task.train={self.dimension} (task.dimension), and its dev is drawn "
                "apart: say task.target=4096"
            )
        if self.target is None and (self.spread != 1 or self.shift):
            raise ValueError("task.spread and task.shift set train and test apart: also say task.target=4096 for dev")
        return self

    def fingerprint(self) -> str:
        return fingerprint()

    def load(self) -> Data:
        return load(
            dimension=self.dimension,
            train=self.train,
            test=self.test,
            dev=self.dev,
            seed=self.data_seed,
            spread=self.spread,
            shift=self.shift,
            target=self.target,
            orthogonal=self.orthogonal,
        )


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
