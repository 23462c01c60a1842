"""One seed of the study: a corpus, a base pretrained on it, and every arm of reinforcement from this base."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...contracts import Indices, Work
from .corpus import Corpus, corpus, held_out
from .task import FORMATS, answers, parse

if TYPE_CHECKING:
    from . import Formats

DEV = 500  # examples on which the loss is followed while the base is trained
PRETRAINING, METERING = 0.3, 0.4  # of the progress of a run


def measure(study: Formats, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Everything of one seed; see Formats.measure."""
    import torch

    from ...seeds import derive, deterministic, torch_stream
    from .equality import contributions
    from .pretraining import pretrained, task_of
    from .pruning import kept
    from .reinforcing import measured, reinforced

    deterministic()
    made = corpus(study, work.seed)
    fewer = study.model_copy(update={"examples": min(DEV, study.examples), "repeats": (1, 1, 1)})
    dev = corpus(fewer, derive(work.seed, "dev"))
    task = task_of(study, made, dev, torch.device("cpu"))
    rows_kept = kept(study, made, task, work, PRETRAINING / 2)
    taken: list[torch.Tensor] | None = [] if study.meter else None
    base = pretrained(study, task, work, PRETRAINING, kept=rows_kept, taken=taken)
    parameters = sum(weight.numel() for weight in base.parameters())
    work.decide(
        f"{study.title()}: {parameters:,} parameters, pretrained for {study.steps} steps of {study.batch_size} on "
        f"{len(made.formats) if rows_kept is None else len(rows_kept):,} examples"
    )
    tested = held_out(study, work.seed)
    before, found = measured(study, base, base, tested, torch_stream(work.seed, "look"))
    rows: list[dict[str, Any]] = []
    looks: list[dict[str, Any]] = []
    number, done, end = sum(arm.streams for arm in study.arms), 0, 1 - METERING * study.meter
    for place, arm in enumerate(study.arms):
        named = {"arm": arm.called, "algorithm": arm.algorithm, "rate": arm.learning_rate, "kl": arm.kl,
                 "online": arm.online, "distinct_only": arm.distinct, "loss": arm.loss}  # fmt: skip
        for repeat in range(arm.streams):
            learner = reinforced(
                study, arm, base, seed=work.seed, repeat=repeat, checkpoint=work.resume / f"arm_{place}_{repeat}",
                notify=partial(_notify, work, done / number, 1 / number, end), decide=work.decide,
            )  # fmt: skip
            done += 1
            told = named | {"repeat": repeat, "prompts": arm.prompts, "samples_each": arm.samples}
            rows += [told | row for row in learner.rows]
            looks += [told | row for row in ({"rollout": 0} | before, *learner.looks)]
    tables: dict[str, pd.DataFrame] = {
        "corpus": counted(made, rows_kept),
        "base": of_base(found),
        "rollouts": pd.DataFrame(rows),
    }
    if taken is not None:
        tables["pretraining"] = contributions(
            study, task, made.formats, rows_kept, taken, seed=work.seed,
            notify=lambda done: work.notify("", 1 - METERING * (1 - done)),
        )  # fmt: skip
    metrics = {"parameters": float(parameters), "base_accuracy": before["accuracy"]}
    return tables | {"looks": pd.DataFrame(looks)}, metrics


def counted(made: Corpus, rows_kept: Indices | None = None) -> pd.DataFrame:
    """Of each format: its share of the corpus and of what is kept, and the share of both with a right answer."""
    right = parse(made.traces).answers == answers(made.chains)
    rows_kept = np.arange(len(right)) if rows_kept is None else rows_kept
    rows = []
    for place, name in enumerate(FORMATS):
        own, left = made.formats == place, made.formats[rows_kept] == place
        shares = {"number": int(own.sum()), "share": float(own.mean()), "kept_share": float(left.mean())}
        kept_right = float(right[rows_kept][left].mean()) if left.any() else np.nan
        rows.append({"format": name} | shares | {"right": float(right[own].mean()), "kept_right": kept_right})
    return pd.DataFrame(rows)


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


def _notify(work: Work, done: float, part: float, end: float, sentence: str, share: float) -> None:
    work.notify(sentence, PRETRAINING + (end - PRETRAINING) * (done + part * share))
