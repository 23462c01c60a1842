"""Small real data sets with four features, for a classifier that was trained on drawn functions alone."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Literal

import numpy as np

from ...contracts import Floats, Indices
from .learners import CLASSES, FEATURES

DATA = ("iris", "wine", "breast_cancer", "digits", "balance_scale")
Kind = Literal["iid", "focus"]  # test points drawn like the pool, or the neighbours of a random example
KINDS: tuple[Kind, ...] = ("iid", "focus")


@lru_cache
def examples(name: str) -> tuple[Floats, Indices]:
    """(N, 4) features with mean 0 and deviation 1, and (N,) classes 0, 1, 2.

    From scikit-learn, but for balance_scale; what has more than four features by its first four principal components.
    Neither step sees a label.
    """
    inputs, labels = balance_scale() if name == "balance_scale" else _bundled(name)
    inputs = (inputs - inputs.mean(0)) / np.maximum(inputs.std(0), 1e-9)
    if inputs.shape[1] > FEATURES:
        from sklearn.decomposition import PCA

        inputs = PCA(FEATURES, whiten=True, random_state=0).fit_transform(inputs)
    return np.asarray(inputs, float), np.asarray(labels, np.int64)


def balance_scale() -> tuple[Floats, Indices]:
    """The 625 examples of the UCI set of this name by their rule: which side has the larger weight times distance."""
    inputs = np.array(list(product(range(1, 6), repeat=4)), float)
    left, right = inputs[:, 0] * inputs[:, 1], inputs[:, 2] * inputs[:, 3]
    return inputs, np.where(left > right, 0, np.where(left < right, 1, 2))


def split(draw: np.random.Generator, name: str, kind: Kind, *, pool: int, tests: int) -> tuple[Indices, Indices]:
    """(pool,) and (tests,) places of examples, no place in both."""
    inputs, _ = examples(name)
    order = draw.permutation(len(inputs))
    if kind == "focus":
        distance = np.square(inputs - inputs[order[0]]).sum(1)
        order = order[np.argsort(distance[order] > np.sort(distance)[tests - 1], kind="stable")]  # the nearest first
    return order[tests : tests + pool], order[:tests]


def smallest() -> int:
    """Examples of the smallest set."""
    return min(len(examples(name)[0]) for name in DATA)


def _bundled(name: str) -> tuple[Floats, Indices]:
    from sklearn import datasets

    inputs, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    few = labels < CLASSES
    return inputs[few], labels[few]
