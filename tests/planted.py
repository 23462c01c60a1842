"""Digits in which it is known what is wrong, hard or redundant, and what every score finds in them.

`python -m tests.planted` prints the ranges over six draws that experiments/scoring/README.md shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from benchmarks.planting import KINDS, planted
from prune_lab.experiments.contracts import Floats, Indices, Proxy, Split
from prune_lab.experiments.contribution.masks import learn
from prune_lab.experiments.contribution.updates import Descent
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.models.networks.dense import mlp
from prune_lab.experiments.scoring import subsets
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.training import packing
from prune_lab.experiments.training.contrastive import contrast, projecting
from prune_lab.experiments.training.loop import State
from prune_lab.experiments.training.optimizers import optimizers, schedulers
from prune_lab.experiments.training.policies.uniform import Uniform
from prune_lab.experiments.training.recipes import Plan, plan
from prune_lab.experiments.training.run import fit

from .scores import score

EPOCHS, MODELS = 30, 64


@dataclass(frozen=True)
class Planted:
    """`flipped` have another class's label, `blended` are half another class, `copied` are there four times."""

    task: DeviceTask
    rows: Mapping[str, Indices]  # flipped, blended, copied; plain: the rest
    trained: Sequence[Proxy]  # to the end, with their trajectories
    early: Sequence[Proxy]  # for a tenth of the schedule
    untrained: Sequence[Proxy]
    members: NDArray[np.bool_]  # (M, N) subsets of an ensemble, trained to the end
    right: Mapping[Split, NDArray[np.bool_]]  # (M, N) of train and (M, J) of dev: what its models get right
    encoders: Sequence[Proxy]  # one, by SimCLR

    def auroc(self, scores: Floats, kind: str) -> float:
        """Probability that one of this kind scores higher than a plain example, ties half; `scores` (proxies, N)."""
        ours, plain = (scores.mean(0)[self.rows[name]] for name in (kind, "plain"))
        ranks = rankdata(np.concatenate([ours, plain]))
        return float((ranks[: len(ours)].sum() - len(ours) * (len(ours) + 1) / 2) / (len(ours) * len(plain)))


SCORES: dict[str, Callable[[Planted], Floats]] = {  # as the settings have them by default, unless the name says more
    "el2n": lambda p: score("el2n", p.task, p.early),
    "el2n squared": lambda p: score("el2n", p.task, p.early, convention="squared"),
    "el2n ccs": lambda p: score("el2n", p.task, p.trained, convention="ccs"),
    "grand": lambda p: score("grand", p.task, p.early),
    "grand last_layer": lambda p: score("grand", p.task, p.early, gradients="last_layer"),
    "grand epoch=0": lambda p: score("grand", p.task, p.untrained),
    "forgetting": lambda p: score("forgetting", p.task, p.trained),
    "forgetting zero": lambda p: score("forgetting", p.task, p.trained, never_learned="zero"),
    "margin": lambda p: score("margin", p.task, p.trained),
    "aum": lambda p: score("aum", p.task, p.trained),
    "loss": lambda p: score("loss", p.task, p.trained),
    "entropy": lambda p: score("entropy", p.task, p.trained),
    "prototypes": lambda p: score("prototypes", p.task, p.trained[:1]),
    "prototypes supervised": lambda p: score("prototypes", p.task, p.trained[:1], supervised=True),
    "prototypes simclr": lambda p: score("prototypes", p.task, p.encoders),
    "dyn_unc": lambda p: score("dyn_unc", p.task, p.trained, window=10),
    "dual": lambda p: score("dual", p.task, p.trained, window=10),
    "tdds": lambda p: score("tdds", p.task, p.trained, window=10),
    "moderate": lambda p: score("moderate", p.task, p.trained[:1]),
    "k_center": lambda p: score("k_center", p.task, p.trained[:1]),
    "herding": lambda p: score("herding", p.task, p.trained[:1]),
    "facility_location": lambda p: score("facility_location", p.task, p.trained[:1]),
    "graph_cut": lambda p: score("graph_cut", p.task, p.trained[:1]),
    "craig": lambda p: score("craig", p.task, p.trained[:1]),
    "d2": lambda p: chosen_by_d2(p, gamma=0.1),
    "d2 gamma=1": lambda p: chosen_by_d2(p, gamma=1.0),
    "duplicates": lambda p: score("duplicates", p.task, p.trained[:1]),
    "ensemble_disagreement": lambda p: score("ensemble_disagreement", p.task, p.trained),
    "ddd": lambda p: score("ddd", p.task, p.trained),
    "memorization": lambda p: subsets.memorization(p.members, p.right["train"])[None],
    "influence_max": lambda p: subsets.influence_max(p.members, p.right["dev"])[None],
    "influence_sum_abs": lambda p: subsets.influence_sum_abs(p.members, p.right["dev"])[None],
    "class_error": lambda p: score("class_error", p.task, p.trained),
    "tracin": lambda p: score("tracin", p.task, [p.early[0], p.trained[0]]),
    "trak dimension=128": lambda p: score("trak", p.task, p.trained, dimension=128, damping=0.01),
    "input_norm": lambda p: score("input_norm", p.task),
    "mask": lambda p: learned_mask(p),
}


class Watched(dict[Split, Any]):
    """Arrays of splits that note which split is read."""

    def __init__(self, of: Mapping[Split, Any], read: set[str]) -> None:
        super().__init__(of)
        self.read = read

    def __getitem__(self, split: Split) -> Any:
        self.read.add(split)
        return super().__getitem__(split)


def watched(monkeypatch: pytest.MonkeyPatch, task: DeviceTask) -> set[str]:
    """The splits of the task that are read from now on."""
    read: set[str] = set()
    batches = task.batches  # on the device a split is kept, and its arrays are not asked for again

    def noted(split: Split, **more: Any) -> Any:
        read.add(split)
        return batches(split, **more)

    monkeypatch.setattr(task, "batches", noted)
    monkeypatch.setattr(task, "_data", replace(task.data, splits=Watched(task.data.splits, read)))
    return read


def chosen_by_d2(planted: Planted, *, gamma: float) -> Floats:
    return score("d2", planted.task, planted.trained[:1], gamma=gamma)


def learned_mask(planted: Planted) -> Floats:
    """(1, N) logits of a mask for half of the pool: ten steps over single runs of 20 steps, two epochs each."""
    learned = learn(
        planted.task, Descent([0.05] * 20, momentum=0.9, weight_decay=5e-4), keep=0.5, steps=10, runs=1, outer="end",
        relaxation="topk", temperature=1.0, learning_rate=0.3, batch_size=64, seed=0,
        notify=lambda sentence, share: None,
    )  # fmt: skip
    logits: Floats = learned.logits.numpy()[None]
    return logits


def plant(*, seed: int = 0) -> Planted:
    """650 training examples and three proxies of each age."""
    data, rows = planted(seed)

    def architecture(examples: torch.Tensor, init: torch.Generator) -> torch.nn.Module:
        return mlp(examples, init, classes=10, width=64, depth=1)

    task = DeviceTask(data, architecture, device=torch.device("cpu"))

    def train_for(epochs: int) -> list[Proxy]:
        return [_proxy(task, 100 * seed + number, epochs) for number in range(3)]

    members, right = ensemble(task, 100 * seed)
    encoders = [encoder(task, 100 * seed)]
    return Planted(task, rows, train_for(EPOCHS), train_for(EPOCHS // 10), train_for(0), members, right, encoders)


def ensemble(
    task: DeviceTask, seed: int, *, models: int = MODELS, epochs: int = EPOCHS
) -> tuple[NDArray[np.bool_], Mapping[Split, NDArray[np.bool_]]]:
    """Models trained as the proxies are, but on random subsets of 0.7: who was in which, and what each gets right."""
    size = task.size("train")
    members = np.stack([packing.subset(size, 0.7, seed=seed, number=number) for number in range(models)])
    pack = packing.Pack([task.model(torch_stream(seed, "init", number)) for number in range(models)])
    for _ in packing.train(
        task, pack, members, plan(size, size, batch_size=64, budget="epochs", epochs=epochs), seed=seed, batch_size=64,
        precision=torch.float32, optimizer="sgd", learning_rate=0.05, momentum=0.9, weight_decay=5e-4,
        schedule="linear", warmup=0.1,
    ):  # fmt: skip
        pass
    return members, {split: packing.correct(task, pack, split, size=512) for split in ("train", "dev")}


def _proxy(task: DeviceTask, number: int, epochs: int) -> Proxy:
    model = task.model(torch_stream(number, "init"))
    duration = plan(
        task.size("train"), task.size("train"), batch_size=64, budget="epochs", epochs=EPOCHS, stop_epoch=epochs
    )
    result = fit(
        task, _state(model, duration), Uniform(), duration, seed=number, batch_size=64, precision=torch.float32,
        checkpoint=Path("none"), notify=lambda sentence, share: None, observe=True, movement=True,
        checkpoint_seconds=math.inf,
    )  # fmt: skip
    return Proxy(model.eval(), {name: values.astype(np.float64) for name, values in result.trajectory.items()})


def encoder(task: DeviceTask, number: int) -> Proxy:
    """An encoder by SimCLR, for as many epochs as a proxy to its end."""
    model = task.model(torch_stream(number, "init"))
    duration = plan(task.size("train"), task.size("train"), batch_size=64, budget="epochs", epochs=EPOCHS)
    with projecting(model, torch_stream(number, "projection")):
        contrast(
            task, _state(model, duration), duration, seed=number, batch_size=64, precision=torch.float32,
            temperature=0.5, checkpoint=Path("none"), notify=lambda sentence, share: None, checkpoint_seconds=math.inf,
        )  # fmt: skip
    return Proxy(model.eval(), {})


def _state(model: torch.nn.Module, duration: Plan) -> State:
    made = optimizers(model, "sgd", learning_rate=0.05, momentum=0.9, weight_decay=5e-4)
    return State(model, made, schedulers(made, "linear", steps=duration.steps, warmup=0.1))


if __name__ == "__main__":
    draws = [plant(seed=seed) for seed in range(6)]
    for name, score in SCORES.items():
        found = [[planted.auroc(scores, kind) for kind in KINDS] for planted in draws for scores in [score(planted)]]
        low, high = np.min(found, axis=0), np.max(found, axis=0)
        print(name, *(f"| {kind} {a:.2f} to {b:.2f}" for kind, a, b in zip(KINDS, low, high, strict=True)))
