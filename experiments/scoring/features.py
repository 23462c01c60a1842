"""Scores from penultimate features, the input of the last linear layer: how far from a prototype an example lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..contracts import IGNORED, Floats, Indices, Proxy, Split, Task
from ..errors import ConfigError
from ..seeds import derive
from ..training.evaluation import BATCH, evaluating, place


def head(model: nn.Module) -> nn.Linear:
    """The model's last linear layer, in the order of `modules()`."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise ConfigError(f"{type(model).__name__} has no linear layer to take features or gradients from")
    return layers[-1]


def penultimate(task: Task, model: nn.Module, split: Split) -> Floats:
    """(N, D) inputs of the head; of text the mean over a window's tokens."""
    caught: list[Tensor] = []
    found: dict[str, Floats] = {}
    hook = head(model).register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    try:
        with evaluating(model), torch.inference_mode():
            for batch in task.batches(split, size=BATCH[task.kind]):
                caught.clear()
                task.outputs(model, batch)
                features = caught[-1].float()
                if features.ndim == 3:
                    counted = (batch.targets != IGNORED).unsqueeze(-1)
                    features = (features * counted).sum(1) / counted.sum(1)
                place(found, batch, {"features": features}, task.size(split))
    finally:
        hook.remove()
    return found["features"]


def prototypes(
    task: Task, proxies: Sequence[Proxy], *, supervised: bool = False, clusters: int = 10, seed: int = 0
) -> Floats:
    """(proxies, N) cosine distance to the nearest of `clusters` k-means centres, or to the own class's mean feature.

    arXiv:2206.14486 §6, there with SwAV features. Features are scaled to unit length before their means are taken.
    """
    labels = task.labels("train")
    if supervised and labels is None:
        raise ConfigError("scorer.supervised=true needs classes, and this data set has none")
    rows = []
    for number, proxy in enumerate(proxies):
        directions = unit(penultimate(task, proxy.model, "train"))
        if supervised:
            assert labels is not None
            rows.append(class_distances(directions, labels))
        else:
            rows.append(cluster_distances(directions, clusters, seed=derive(seed, "prototypes", number)))
    return np.stack(rows)


def moderate(task: Task, proxies: Sequence[Proxy]) -> Floats:
    """(proxies, N) Euclidean distance to the own class's median feature: Moderate coreset (ICLR 2023).

    Published with the examples in the middle kept, all classes in one ranking: rule=middle.
    """
    labels = task.labels("train")
    assert labels is not None, "moderate needs classes"
    rows = []
    for proxy in proxies:
        found = penultimate(task, proxy.model, "train")
        distance = np.empty(len(found))
        for label in np.unique(labels):
            own = labels == label
            distance[own] = np.linalg.norm(found[own] - np.median(found[own], axis=0), axis=1)
        rows.append(distance)
    return np.stack(rows)


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
