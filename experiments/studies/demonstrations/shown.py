"""Learners that were trained here and are shown the chosen examples: a regressor, a classifier, a reader of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...contracts import Floats, Work
from ...seeds import deterministic, numpy_stream
from . import language, real
from .choosing import Problems, Value, adaptive, answers, designed, least_confident, most_doubted, sal, with_bias
from .design import posterior_variance
from .learners import FEATURES, Learner, trained_classifier, trained_regressor
from .linear import checkpoints
from .rules import RULES
from .worlds import World, predicted, world

if TYPE_CHECKING:
    from . import Demonstrations

TRAINING = 0.6  # of a run's progress


def measure(study: Demonstrations, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Table `selected`: data, test, rule, labels, error: means over draws. Of linear worlds variances, Bayes' error."""
    deterministic()
    learner, parameters = _trained(study, work)
    rows, panels = [], list(_panels(study, work.seed))
    for number, (data, test, problems, worlds) in enumerate(panels):
        for rule, picks in _choices(study, learner, problems, work.seed):
            for labels in checkpoints(study.budget):
                row = {"data": data, "test": test, "rule": rule, "labels": labels}
                rows.append(row | _quality(learner, problems, worlds, picks[:, :labels]))
        work.notify("", TRAINING + (1 - TRAINING) * (number + 1) / len(panels))
    return {"selected": pd.DataFrame(rows)}, {"parameters": float(parameters)}


def _trained(study: Demonstrations, work: Work) -> tuple[Learner, int]:
    """The learner of this seed, and how many numbers it has."""
    shape = {"steps": study.steps, "width": study.width, "depth": study.depth, "most": study.budget + 1}
    learner: Learner
    match study.learner:
        case "regressor":
            learner = trained_regressor(work, **shape, noise=study.noise, share=TRAINING)
        case "classifier":
            learner = trained_classifier(work, **shape, share=TRAINING)
        case _:
            learner = language.trained_reader(work, **shape, share=TRAINING)
    parameters = sum(weight.numel() for weight in learner.model.parameters())
    work.decide(f"{study.learner}: {parameters:,} parameters, {study.steps:,} steps of training")
    return learner, parameters


def _choices(study: Demonstrations, learner: Learner, problems: Problems, seed: int) -> list[tuple[str, Tensor]]:
    """(B, budget) picks by rule."""
    found = [(rule, designed(problems, rule, study.budget, noise=study.noise, seed=seed)) for rule in RULES]
    values: dict[str, Value] = {"most_doubted": most_doubted, "sal_max": sal("max"), "sal_mean": sal("mean")}
    if study.learner == "regressor":
        values["sal_two_samples"] = sal("max", "two_samples", seed)
    else:
        values["least_confident"] = least_confident
        biased = with_bias(problems)
        found += [
            (f"{rule}_bias", designed(biased, rule, study.budget, noise=study.noise, seed=seed))
            for rule in ("go", "v_optimal")
        ]
    return found + [(name, adaptive(learner, problems, value, study.budget)) for name, value in values.items()]


def _quality(learner: Learner, problems: Problems, worlds: list[World], picks: Tensor) -> dict[str, float]:
    """The learner's error, and of linear worlds that of the exact posterior with its largest and mean variance."""
    said = answers(learner, problems, picks, problems.test)
    found = {"error": float(learner.error(said, problems.truth).mean())}
    if worlds:
        pairs = list(zip(worlds, picks.numpy(), strict=True))
        variances = [posterior_variance(one.pool, own, one.test, noise=one.noise) for one, own in pairs]
        bayes = [np.square(predicted(one, own) - one.truth).mean() for one, own in pairs]
        found |= {
            "bayes_error": float(np.mean(bayes)),
            "max_variance": float(np.mean([one.max() for one in variances])),
            "mean_variance": float(np.mean([one.mean() for one in variances])),
        }
    return found


Panel = tuple[str, str, Problems, list[World]]  # data, kind of test, problems, and the worlds where they are linear


def _panels(study: Demonstrations, seed: int) -> list[Panel]:
    if study.learner == "regressor":
        return [("linear", kind, *_linear(study, seed, kind)) for kind in ("iid", "shifted")]
    if study.learner == "classifier":
        return [(name, kind, _real(study, seed, name, kind), []) for name in real.DATA for kind in real.KINDS]
    return [("sentences", kind, _sentences(study, seed, kind), []) for kind in ("iid", "topic")]


def _linear(study: Demonstrations, seed: int, kind: str) -> tuple[Problems, list[World]]:
    sizes = {"dimension": FEATURES, "pool": study.pool, "tests": study.tests}
    worlds = [
        world(numpy_stream(seed, f"world {kind}", number), kind, **sizes, shift=study.shift, noise=study.noise)  # type: ignore[arg-type]
        for number in range(study.draws)
    ]
    return _problems(
        *(np.array([getattr(one, name) for one in worlds]) for name in ("pool", "labels", "test", "truth"))
    ), worlds


def _real(study: Demonstrations, seed: int, name: str, kind: real.Kind) -> Problems:
    inputs, labels = real.examples(name)
    pairs = [
        real.split(numpy_stream(seed, f"split {name} {kind}", number), name, kind, pool=study.pool, tests=study.tests)
        for number in range(study.draws)
    ]
    pool, test = (np.array(places) for places in zip(*pairs, strict=True))
    return _problems(inputs[pool], labels[pool], inputs[test], labels[test])


def _problems(pool: Floats, labels: Floats, test: Floats, truth: Floats) -> Problems:
    def tensor(values: Floats) -> Tensor:
        return torch.from_numpy(values.astype(np.int64 if values.dtype.kind == "i" else np.float32))

    return Problems(tensor(pool), tensor(labels), tensor(test), tensor(truth), pool, test)


def _sentences(study: Demonstrations, seed: int, kind: str) -> Problems:
    """Sentences; of the kind `topic` all test sentences have the same first word."""
    draw = numpy_stream(seed, f"sentences {kind}")
    number = study.pool + study.tests
    sentences = draw.integers(0, language.CHOICES, (study.draws, number, language.PLACES))
    if kind == "topic":
        sentences[:, study.pool :, 0] = draw.integers(0, language.CHOICES, (study.draws, 1))
    labels = torch.from_numpy(language.answered(language.functions(draw, study.draws), sentences))
    texts = torch.from_numpy(sentences)
    words = language.bag_of_words(texts)
    at = study.pool
    return Problems(texts[:, :at], labels[:, :at], texts[:, at:], labels[:, at:], words[:, :at], words[:, at:])
