"""Seconds to train models packed, against one at a time: an ensemble on random subsets, and the proxies of a score."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from prune_lab.cli import compose
from prune_lab.experiments.data.load import build_task, load_data
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.phases.train import train
from prune_lab.experiments.phases.work import Work
from prune_lab.experiments.store.folders import Store

from . import ours
from .contest import DEVICE, Contest, Lap

MODELS, SHARE = 32, 0.7
RUN = ("task=digits",)
PROXIES = 10
OF = {"mlp": ("model=mlp",), "linear": ("model=linear",), "convnet": ("model=convnet", "model.norm=group")}


def contests(quick: bool) -> list[Contest]:
    chosen = ours.run(*RUN)
    models, epochs = (2, 1) if quick else (MODELS, 5)
    return [
        Contest(
            "packing",
            f"s for {MODELS} models",
            lambda: load_data(chosen.task),
            lambda data: ours.packed_lap(chosen, data, models, SHARE, epochs),
            lambda data: ours.single_lap(chosen, data, models, SHARE, epochs),
            1 if quick else 3,
            f"MLP of {chosen.model.width} x {chosen.model.depth}, {models} models a lap, {epochs} epochs, each on "
            f"{SHARE:g} of the digits; baseline: the training loop on each subset, which skips the rest",
            amount=MODELS,
        ),
        *(_proxies(name, words, quick) for name, words in OF.items()),
    ]


def _proxies(name: str, words: tuple[str, ...], quick: bool) -> Contest:
    """A model that is not packed by itself is raced all the same: why it is not."""
    number, epochs = (2, 1) if quick else (PROXIES, 2 if name == "convnet" else 10)
    few = ("task.examples=100",) if quick else ()
    words = (*RUN, *few, *words, "scorer=aum", f"scorer.proxies={number}", f"recipe.epochs={epochs}")
    return Contest(
        f"packing.{name}",
        f"s for {PROXIES} proxies",
        lambda: None,
        lambda _: proxies_lap(words, number, packed=True),
        lambda _: proxies_lap(words, number, packed=False),
        1 if quick else 3,
        f"{number} proxies of scorer=aum a lap, {epochs} epochs of the digits, all that a job of the phase train does; "
        "baseline: a job for each",
        target=None if name == "convnet" else 2.5,
        amount=PROXIES,
    )


def proxies_lap(words: tuple[str, ...], number: int, *, packed: bool, made: dict[str, Any] | None = None) -> Lap:
    """A lap trains the proxies of a score and writes what they leave; returns how many. `made`: metrics by input."""
    (chosen,) = compose.runs("score", words)
    ours._as_in_a_run()
    with mock.patch.object(type(chosen.model), "packs", packed):
        jobs: Mapping[str, Any] = job_of("score", chosen).inputs
    task = build_task(chosen, DEVICE)

    def lap() -> float:
        with tempfile.TemporaryDirectory() as place:
            for name, job in jobs.items():
                folder = Path(place) / name
                folder.mkdir()
                work = Work(job, folder, {}, Store(Path(place)), lambda sentence, share: None)
                work.task = task
                metrics = train(work)
                if made is not None:
                    made[name] = metrics
        return number

    return lap
