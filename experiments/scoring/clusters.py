"""Directions of features, their means by class and by k-means, and distances to them."""

from __future__ import annotations

import numpy as np

from ..contracts import Floats, Indices
from ..errors import ConfigError


def class_distances(directions: Floats, labels: Indices) -> Floats:
    """(N,) cosine distance to the mean of the own class."""
    present, own = np.unique(labels, return_inverse=True)
    sums = np.zeros((present.size, directions.shape[1]))
    np.add.at(sums, own, directions)
    similarity: Floats = (directions * unit(sums)[own]).sum(1)
    return 1 - similarity


def cluster_distances(directions: Floats, clusters: int, *, seed: int) -> Floats:
    """(N,) cosine distance to the nearest k-means centre."""
    nearest: Floats = (directions @ centres(directions, clusters, seed=seed).T).max(1)
    return 1 - nearest


def centres(directions: Floats, clusters: int, *, seed: int) -> Floats:
    """(clusters, D) k-means centres, scaled to unit length."""
    from sklearn.cluster import MiniBatchKMeans

    if clusters > len(directions):
        raise ConfigError(f"scorer.clusters={clusters} is more than the {len(directions)} training examples")
    means = MiniBatchKMeans(clusters, random_state=seed % 2**32, batch_size=1024, n_init=3).fit(directions)
    return unit(means.cluster_centers_.astype(np.float64))


def unit(vectors: Floats) -> Floats:
    """Rows scaled to unit length; a zero row stays zero, at distance 1 from everything."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Floats = vectors / np.where(lengths > 0, lengths, 1)
    return scaled
