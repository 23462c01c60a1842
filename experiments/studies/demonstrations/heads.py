"""Designs as pruning rules: which part of a pool of images to keep for a linear head, when the test inputs are known.

A body is trained on images that are not in the pool. Its features of the pool and of some test inputs are all that a
design sees; EL2N sees the labels of the pool and no test input. Each head is trained to the optimum on what was kept,
and judged on other images of the same test distribution.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch

from ...contracts import Data, Examples, Floats, Indices, Work
from ...data.load import data_of
from ...data.task import DeviceTask
from ...models.features import penultimate
from ...models.networks.dense import mlp
from ...models.outputs import examine
from ...seeds import derive, deterministic, numpy_stream, torch_stream
from ...training.begin import state_of
from ...training.loop import train
from ...training.policies.uniform import Uniform
from ...training.recipes import Recipe, plan
from .rules import RULES

if TYPE_CHECKING:
    from . import Demonstrations

Kind = Literal["iid", "classes"]  # test images like the pool, or of some classes alone
KINDS: tuple[Kind, ...] = ("iid", "classes")
SHIFTED = 3  # classes of a shifted test
BODY = Recipe(learning_rate=0.2, epochs=6, flip=True, shift=2, precision="float32")
HEAD = Recipe(learning_rate=0.05, epochs=10, batch_size=100, flip=False, precision="float32")  # that EL2N looks at
PROXIES, EARLY = 3, 0.1  # heads that EL2N is the mean of, after this share of their training (arXiv:2107.07075)


def measure(study: Demonstrations, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Table `selected`: test, rule, share kept, examples kept, error on the test distribution."""
    deterministic()
    device = work.on(work.run.device)
    data = data_of(study.chosen_task, study.fingerprint)
    pool, test = _features(study, data, work, device)
    labels, truth = data.splits["train"].targets, data.splits["test"].targets
    scores = el2n(pool, labels, len(data.classes), data, work.seed, device)
    work.notify("", 0.5)
    rows = []
    for kind in KINDS:
        draw = numpy_stream(work.seed, f"test {kind}")
        known = draw.choice(len(data.classes), SHIFTED, replace=False)
        of_kind = draw.permutation(
            np.flatnonzero(np.isin(truth, known)) if kind == "classes" else np.arange(len(truth))
        )
        seen, judged = of_kind[: study.tests], of_kind[study.tests :]
        orders = _orders(study, pool, test[seen], scores, work.seed)
        for number, (rule, order) in enumerate(orders.items()):
            work.notify("", 0.5 + 0.5 * (KINDS.index(kind) + number / len(orders)) / len(KINDS))
            for share in study.keep:
                kept = order[: round(share * len(pool))]
                error = _error(pool[kept], labels[kept], test[judged], truth[judged])
                rows.append({"test": kind, "rule": rule, "share": share, "labels": len(kept), "error": error})
    whole = _error(pool, labels, test, truth)
    return {"selected": pd.DataFrame(rows)}, {"error_of_all": whole, "features": float(pool.shape[1])}


def _orders(study: Demonstrations, pool: Floats, seen: Floats, scores: Floats, seed: int) -> dict[str, Indices]:
    """What each rule would keep, first what it wants most; long enough for the largest share."""
    most = round(max(study.keep) * len(pool))
    scaled, asked = (one / np.sqrt(pool.shape[1]) for one in (pool, seen))  # of length about one, as the prior's θ
    shuffled = numpy_stream(seed, "ties").permutation(len(pool))
    hard = shuffled[np.argsort(-scores[shuffled], kind="stable")]
    draw = numpy_stream(seed, "random")
    designs = {name: rule(scaled, asked, most, noise=study.noise, draw=draw) for name, rule in RULES.items()}
    return designs | {"hard": hard, "easy": hard[::-1]}


def _error(inputs: Floats, labels: Indices, test: Floats, truth: Indices) -> float:
    """The share of test images that a head of this training set gets wrong; one class alone answers itself."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) < 2:
        return float((truth != labels[0]).mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        head = LogisticRegression(max_iter=200).fit(inputs, labels)
    return float((head.predict(test) != truth).mean())


def el2n(pool: Floats, labels: Indices, classes: int, data: Data, seed: int, device: torch.device) -> Floats:
    """(n,) the norm of softmax minus one-hot after a tenth of a head's training, the mean over heads."""
    examples = Examples(pool.astype(np.float32), labels, data.splits["train"].ids)
    vectors = Data("features", "vectors", {"train": examples, "dev": examples, "test": examples}, data.classes)
    task = DeviceTask(vectors, partial(mlp, classes=classes, width=0, depth=0), device=device)
    duration = plan(
        len(pool), len(pool), batch_size=HEAD.batch_size, budget="epochs", epochs=HEAD.epochs, stop_share=EARLY
    )
    scores = []
    for number in range(PROXIES):
        own = derive(seed, "proxy", number)
        state = state_of(task.model(torch_stream(own, "init")), HEAD, duration.steps)
        for _ in train(task, state, Uniform(), duration, seed=own, batch_size=HEAD.batch_size, device=device,
                       precision=torch.float32):  # fmt: skip
            pass
        scores.append(examine(task, state.model, "train")["error"])
    mean: Floats = np.mean(scores, 0)
    return mean


def _features(study: Demonstrations, data: Data, work: Work, device: torch.device) -> tuple[Floats, Floats]:
    """(n, D) and (N, D) features of the pool and of the test split by a body trained on the dev split, standardised."""
    from ... import choices
    from ...contracts import ModelChoice

    body = choices.get("model", "convnet").model_validate({"stride": 2})
    assert isinstance(body, ModelChoice)
    task = DeviceTask(data, partial(body.build, data), device=device, flip=True, shift=2)
    size = task.size("dev")
    duration = plan(size, size, batch_size=BODY.batch_size, budget="epochs", epochs=study.epochs)
    state = state_of(task.model(torch_stream(work.seed, "init")), BODY, duration.steps)
    for step in train(task, state, Uniform(), duration, seed=work.seed, batch_size=BODY.batch_size, device=device,
                      precision=torch.float32, split="dev"):  # fmt: skip
        work.notify("", 0.4 * step.number / duration.steps)
    pool, test = (penultimate(task, state.model, name) for name in ("train", "test"))
    mean, deviation = pool.mean(0), pool.std(0) + 1e-6
    return (pool - mean) / deviation, (test - mean) / deviation
