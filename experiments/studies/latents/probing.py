"""Linear probes: which levels of the grammar can be read off which layer of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...contracts import Indices, Work
from .network import Encoder, built, trained

if TYPE_CHECKING:
    from . import Latents

RIDGE = 1e-3  # of a probe, times the number of its examples
CURVES = ["target", "strings", "step", "loss", "level", "layer", "chosen_by", "accuracy"]


def measured(
    study: Latents, work: Work, pool: Sequence[Indices], tested: Sequence[Indices], probed: Sequence[Indices]
) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Tables `levels`, of the best layer of each level, and `curves`, of every layer along training.

    The best layer is the one whose probe is best on half of the tested strings; the accuracy is of the other half.
    """
    device = work.on(work.run.device)
    found: list[tuple[object, ...]] = []
    sizes = [(target, number) for target in study.targets for number in sorted(study.sizes)]
    for done, (target, number) in enumerate(sizes):
        if target == "untrained":
            network = built(study.network, study.vocabulary, pool[-1].shape[1], work.seed).to(device).eval()
            looks: Iterator[tuple[int, float, Encoder]] = iter([(0, np.nan, network)])
        else:
            strings = pool[-1][:number]
            looks = trained(study.network, strings, study.vocabulary, study.branching, target, work.seed, device)
        for step, loss, network in looks:
            found += [(target, number, step, loss, *row) for row in probes(network, probed, tested, device)]
            work.notify("", (done + step / study.network.steps) / len(sizes))
    curves = pd.DataFrame(found, columns=CURVES)
    last = curves[curves["step"] == curves.groupby(["target", "strings"])["step"].transform("max")]
    best = last.loc[last.groupby(["target", "strings", "level"])["chosen_by"].idxmax()]
    levels = best[["target", "strings", "level", "layer", "accuracy"]].assign(ari=np.nan)
    return {"levels": levels.reset_index(drop=True), "curves": curves}, {}


def probes(
    network: Encoder, probed: Sequence[Indices], tested: Sequence[Indices], device: torch.device
) -> list[tuple[int, int, float, float]]:
    """(level, layer, accuracy on one half of the tested strings, on the other) of a linear probe for each level.

    A probe reads a symbol of level k off the mean state of the s^k tokens under it; it is fitted by ridge regression on
    one-hot symbols of the probed strings.
    """
    with torch.no_grad():
        states, others = (network(torch.from_numpy(strings[-1]).to(device)) for strings in (probed, tested))
    rows = []
    depth, half = len(probed) - 1, len(tested[0]) // 2
    for level in range(1, depth):
        true, wanted = (torch.from_numpy(strings[depth - level]).to(device) for strings in (probed, tested))
        for layer, (state, other) in enumerate(zip(states, others, strict=True)):
            probe = fitted(pooled(state, true.shape[1]), true.reshape(-1))
            guesses = (pooled(other, true.shape[1]) @ probe).argmax(1)
            right = (guesses.reshape(wanted.shape) == wanted).double()
            rows.append((level, layer, float(right[:half].mean()), float(right[half:].mean())))
    return rows


def pooled(states: Tensor, patches: int) -> Tensor:
    """(N patches, d + 1) the mean of each patch's states (N, T, d), and a one."""
    number, length, width = states.shape
    means = states.reshape(number * patches, length // patches, width).mean(1).double()
    return torch.cat([means, means.new_ones(len(means), 1)], dim=1)


def fitted(inputs: Tensor, symbols: Tensor) -> Tensor:
    """(d + 1, K) ridge regression of one-hot symbols (n,) on inputs (n, d + 1), the last of which is one."""
    scale = inputs.std(0) + 1e-6
    scale[-1] = 1.0
    scaled, wanted = inputs / scale, torch.nn.functional.one_hot(symbols).to(inputs)
    square = scaled.T @ scaled + RIDGE * len(inputs) * torch.eye(inputs.shape[1]).to(inputs)
    weights: Tensor = torch.linalg.solve(square, scaled.T @ wanted)
    return weights / scale[:, None]
