"""One seed of the study: a corpus, a base pretrained on it, and every arm of reinforcement from this base."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...contracts import Work
from .corpus import Corpus, corpus, held_out
from .task import FORMATS, answers, parse

if TYPE_CHECKING:
    from . import Formats

PRETRAINING = 0.3  # of the progress of a run


def measure(study: Formats, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Everything of one seed; see Formats.measure."""
    import torch

    from ...seeds import derive, deterministic, torch_stream
    from .pretraining import pretrained, task_of
    from .reinforcing import measured, reinforced

    deterministic()
    made = corpus(study, work.seed)
    dev = corpus(study.model_copy(update={"examples": 1000, "repeats": (1, 1, 1)}), derive(work.seed, "dev"))
    task = task_of(study, made, dev, torch.device("cpu"))
    base = pretrained(study, task, work, PRETRAINING)
    parameters = sum(weight.numel() for weight in base.parameters())
    work.decide(
        f"{study.title()}: {parameters:,} parameters, pretrained for {study.steps} steps of {study.batch_size} on "
        f"{len(made.formats):,} examples"
    )
    tested = held_out(study, work.seed)
    before, found = measured(study, base, base, tested, torch_stream(work.seed, "look"))
    rows: list[dict[str, Any]] = []
    looks: list[dict[str, Any]] = []
    number = len(study.arms) * study.repeats_of_arms
    for place, arm in enumerate(study.arms):
        named = {"arm": arm.called, "algorithm": arm.algorithm, "rate": arm.learning_rate, "kl": arm.kl,
                 "online": arm.online, "distinct_only": arm.distinct, "loss": arm.loss}  # fmt: skip
        for repeat in range(study.repeats_of_arms):
            done = place * study.repeats_of_arms + repeat
            learner = reinforced(
                study, arm, base, seed=work.seed, repeat=repeat, checkpoint=work.resume / f"arm_{place}_{repeat}",
                notify=partial(_notify, work, done, number), decide=work.decide,
            )  # fmt: skip
            told = named | {"repeat": repeat, "prompts": arm.prompts, "samples_each": arm.samples}
            rows += [told | row for row in learner.rows]
            looks += [told | row for row in ({"rollout": 0} | before, *learner.looks)]
    tables = {"corpus": counted(made), "base": of_base(found), "rollouts": pd.DataFrame(rows)}
    metrics = {"parameters": float(parameters), "base_accuracy": before["accuracy"]}
    return tables | {"looks": pd.DataFrame(looks)}, metrics


def counted(made: Corpus) -> pd.DataFrame:
    """Of each format: its share of the corpus, and the share of its examples with a right answer."""
    right = parse(made.traces).answers == answers(made.chains)
    return pd.DataFrame(
        [
            {"format": name, "share": float((made.formats == place).mean()),
             "right": float(right[made.formats == place].mean()), "number": int((made.formats == place).sum())}
            for place, name in enumerate(FORMATS)
        ]
    )  # fmt: skip


def of_base(found: Any) -> pd.DataFrame:
    """How many of the base's samples of each held-out chain are of each format (or of none), and how many right."""
    formats, rewards = (one.reshape(-1, found.samples) for one in (found.parsed.formats, found.rewards.numpy()))
    return pd.concat(
        [
            pd.DataFrame({"chain": np.arange(len(formats)), "format": name, "sampled": (formats == place).sum(1),
                          "right_ones": ((formats == place) * rewards).sum(1).astype(int)})
            for place, name in ((-1, "none"), *enumerate(FORMATS))
        ], ignore_index=True,
    )  # fmt: skip


def _notify(work: Work, done: int, number: int, sentence: str, share: float) -> None:
    work.notify(sentence, PRETRAINING + (1 - PRETRAINING) * (done + share) / number)
