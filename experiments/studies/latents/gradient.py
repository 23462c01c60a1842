"""The gradient version: what stands beside a tuple is predicted by a network that SGD trains (arXiv:2605.27734 §4).

One network a level, from the bottom up; the level above sees the clusters of its outputs and sends nothing back (the
paper's stop-gradients). Clusters are found by k-means, in place of the paper's contrastive module.
"""

from __future__ import annotations

import numpy as np

from ...contracts import Floats
from ...seeds import derive, numpy_stream
from .contexts import Level, Target, contexts
from .settings import Gradient


def trained(settings: Gradient, level: Level, target: Target, seed: int) -> tuple[Floats, Floats]:
    """(U, V, K) the network's softmax outputs for each of the U tuples met, and (U,) how often each was met.

    The loss of a batch of strings is the cross-entropy of every symbol that stands beside one of its tuples. It depends
    on the batch only by how often a tuple has a symbol beside it, so that one pass over the different tuples is enough.
    """
    import torch
    from torch import nn

    every = contexts(level, target)
    tuples, views, symbols = every.shape
    inputs = torch.from_numpy(_one_hot(level)).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "network", level.number))
        network = nn.Sequential(
            nn.Linear(inputs.shape[1], settings.width), nn.ReLU(), nn.Linear(settings.width, views * symbols)
        )
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    draw = numpy_stream(seed, "batches", level.number)
    learned = level.strings.learned
    for _ in range(settings.steps):
        rows = draw.integers(learned, size=min(settings.batch_size, learned))
        counts = torch.from_numpy(contexts(level, target, rows)).float()
        logits = network(inputs).reshape(tuples, views, symbols)
        loss = -(counts * logits.log_softmax(-1)).sum() / counts.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        chance: Floats = network(inputs).reshape(tuples, views, symbols).softmax(-1).double().numpy()
    return chance, every.sum((1, 2))


def _one_hot(level: Level) -> Floats:
    """(U, s K) each tuple as the symbols below that it is made of."""
    branching, number = level.strings.branching, int(level.below.max()) + 1
    _, first = np.unique(level.ids.ravel(), return_index=True)
    position, string = np.divmod(first, level.ids.shape[1])
    parts = [np.eye(number)[level.below[position * branching + place, string]] for place in range(branching)]
    return np.concatenate(parts, axis=1)
