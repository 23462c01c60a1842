"""Groups of examples: classes, sources of text or what task.group reads; how contributions lie within and between."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..contracts import Examples, Floats, Indices, Kind

Names = NDArray[np.str_]

SOURCES = 100  # folders of text at most that count as sources


def groups_of(examples: Examples, kind: Kind, classes: Sequence[str]) -> tuple[list[str], Indices | None]:
    """Names, and (N,) the group of each example: what task.group reads, or its class, or the folder of its document.

    Nothing where text has one folder, or hundreds.
    """
    if examples.named is not None:
        names, groups = np.unique(examples.named, return_inverse=True)
        return names.tolist(), groups
    if kind != "text":
        return list(classes), examples.targets
    names, groups = np.unique(folders(examples.ids), return_inverse=True)
    return (names.tolist(), groups) if 2 <= len(names) <= SOURCES else ([], None)


def document_ids(windows: Names) -> list[str]:
    """(N,) the document of each window, which is called `document#number`."""
    return [str(name).rpartition("#")[0] for name in windows]


def folders(windows: Names) -> list[str]:
    """(N,) the folder of each window's document."""
    return [document.rpartition("/")[0] for document in document_ids(windows)]


def between(values: Floats, weights: Floats, groups: Indices) -> float:
    """Share in [0, 1] of the weighted variance of values (N,) that is between the groups' means; NaN: none varies."""
    weights = weights / weights.sum()
    means, mass = means_of(values, weights, groups, 1 + int(groups.max()))
    mean, total = weights @ values, weights @ (values - weights @ values) ** 2
    live = mass > 0
    return float(mass[live] @ (means[live] - mean) ** 2 / total) if total > 0 else math.nan


def means_of(values: Floats, weights: Floats, groups: Indices, number: int) -> tuple[Floats, Floats]:
    """(G,) weighted means of values (N,) in `number` groups, NaN in one without weight, and (G,) their weights."""
    mass: Floats = np.bincount(groups, weights, number).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = np.bincount(groups, weights * values, number) / mass
    return means, mass
