"""k-means of a few hundred weighted points, all restarts at once.

scikit-learn's runs one restart after another, and of so few points most of its time is spent on calls: for 20 restarts
on 64 points it takes 9 times as long as this (benchmarks/latents.py). The method is the same: greedy k-means++
(arXiv:2411.01115) and Lloyd's algorithm; the restart of least inertia is taken.
"""

from __future__ import annotations

import math

import numpy as np

from ...contracts import Floats, Indices


def k_means(
    points: Floats, weights: Floats, clusters: int, draw: np.random.Generator, *, restarts: int = 20, sweeps: int = 60
) -> Indices:
    """(U,) the cluster of each of the points (U, d), which weigh (U,); no more clusters than points."""
    clusters = min(clusters, len(points))
    squares = np.square(points).sum(1)
    apart = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)  # (U, U) squared distances
    centres = points[_begin(apart, weights, clusters, restarts, draw)]  # (R, K, d)
    labels = np.full((restarts, len(points)), -1)
    for _ in range(sweeps):
        distances = np.square(centres).sum(-1)[:, :, None] - 2 * centres @ points.T + squares  # (R, K, U)
        now = distances.argmin(1)
        settled, labels = (now == labels).all(), now
        nearest = np.take_along_axis(distances, labels[:, None], 1)[:, 0]
        if settled:
            break
        members = (labels[:, None] == np.arange(clusters)[:, None]) * weights  # (R, K, U)
        sizes = members.sum(-1, keepdims=True)
        centres = members @ points / np.where(sizes > 0, sizes, 1)
        for restart in np.flatnonzero((sizes == 0).any((1, 2))):  # the farthest points become empty clusters' centres
            empty = np.flatnonzero(sizes[restart, :, 0] == 0)
            farthest = np.argsort(-weights * nearest[restart], kind="stable")
            centres[restart, empty] = points[farthest[: len(empty)]]
    return np.asarray(labels[(weights * nearest).sum(1).argmin()], dtype=np.int64)


def _begin(apart: Floats, weights: Floats, clusters: int, restarts: int, draw: np.random.Generator) -> Indices:
    """(R, K) the points that are the first centres.

    Each is drawn in proportion to weight times squared distance to the nearest before it; of some draws the one that
    leaves the least inertia.
    """
    trials = 2 + int(math.log(clusters))
    nearest = np.ones((restarts, len(apart)))
    chosen = np.empty((restarts, clusters), dtype=np.int64)
    for place in range(clusters):
        mass = np.cumsum(weights * nearest, axis=1)
        marks = draw.random((restarts, trials if place else 1)) * mass[:, -1:]
        drawn = np.minimum((mass[:, None] <= marks[:, :, None]).sum(-1), len(apart) - 1)  # (R, trials)
        left = np.minimum(nearest[:, None], apart[drawn]) if place else apart[drawn]  # (R, trials, U)
        best = (left @ weights).argmin(1)[:, None]
        chosen[:, place] = np.take_along_axis(drawn, best, 1)[:, 0]
        nearest = np.take_along_axis(left, best[:, :, None], 1)[:, 0]
    return chosen
