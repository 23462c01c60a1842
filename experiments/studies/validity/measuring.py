"""One seed of the study: a run, what each estimator says of it, and the retrainings that judge."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...contracts import Data, Examples, Floats, Split, Work
from ...seeds import derive, deterministic, numpy_stream, torch_stream

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from ...data.task import DeviceTask
    from . import Validity

BODY_EPOCHS = 4.0  # of the pool, on which a body is trained
SHOWN = ("phi", "ct", "cosine")  # whose predictions are kept, for the picture


def measure(study: Validity, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Everything of one seed; see Validity.measure."""
    from ...contribution.settings import READABLE, readable
    from ...training.packing import subset
    from .estimators import contributions
    from .runs import followed, losses_of, retrained, smoothness

    deterministic()
    task = _task(study, work.seed, work.on(work.run.device))
    size, draw = task.size("train"), numpy_stream(work.seed, "targets")
    targets = np.sort(draw.choice(task.size("dev"), min(study.targets, task.size("dev")), replace=False))
    run = followed(task, study.recipe, targets, seed=work.seed)
    smooth = smoothness(run, seed=work.seed)
    work.decide(
        f"{study.title()}: {run.steps} steps on {size} examples, {len(run.start):,} numbers; metasmoothness "
        f"{smooth:.2f} (phi is read from {READABLE:g} up)"
    )
    work.notify("", 0.1)
    found = contributions(run, dimension=study.dimension, seed=work.seed)
    work.notify("", 0.4)
    chosen = derive(work.seed, "removals")
    kept = np.stack([subset(size, 1 - study.removed, seed=chosen, number=one) for one in range(study.removals)])
    kept = np.concatenate([np.ones((1, size), bool), kept])  # the first is the run itself
    seeds = [work.seed, *(derive(work.seed, "repeat", one) for one in range(study.repeats))]
    measured = []
    for number, seed in enumerate(seeds):
        share = 0.6 / len(seeds)
        notify = partial(_notify, work, 0.4 + share * number, share)
        measured.append(retrained(task, study.recipe, kept, targets, seed=seed, notify=notify))
    replayed = np.abs(losses_of(run) - measured[0][0]).max()
    tables, metrics = _compared(
        found, ~kept[1:], [losses[1:] for losses in measured], task.examples("dev").ids[targets]
    )
    metrics |= {
        "metasmoothness": smooth,
        "readable": float(readable(smooth)),
        "replay_error": float(replayed),
        "loss": float(measured[0][0].mean()),
        "steps": float(run.steps),
        "examples": float(size),
        "numbers": float(len(run.start)),
    }
    return tables, metrics


def spearman(predicted: Floats, measured: Floats) -> Floats:
    """(K,) rank correlation over the rows of each column of two (M, K); NaN where one of them does not vary."""
    from scipy.stats import rankdata

    return _correlation(*(rankdata(values, axis=0) for values in (predicted, measured)))


def removal_error(predicted: Floats, measured: Floats) -> float:
    """Standard error of the mean of `spearman` over its columns, by the jackknife over the rows, which they share."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=0) for values in (predicted, measured)]
    number = len(predicted)
    without = np.array(
        [
            _correlation(*(np.delete(one - (one > one[row]) - (one == one[row]) / 2, row, 0) for one in ranks)).mean()
            for row in range(number)
        ]
    )
    return float(np.sqrt((number - 1) / number * np.square(without - without.mean()).sum()))


def _correlation(first: Floats, second: Floats) -> Floats:
    first, second = first - first.mean(0), second - second.mean(0)
    with np.errstate(invalid="ignore"):
        return np.asarray((first * second).sum(0) / np.sqrt((first**2).sum(0) * (second**2).sum(0)))


def _compared(
    found: dict[str, Floats], removed: NDArray[np.bool_], measured: list[Floats], ids: NDArray[np.str_]
) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Of contributions (K, N) by estimator, the removed (M, N) and losses (M, K) by seed: tables and metrics.

    The predicted loss after a removal is the sum of the contributions of what is removed, up to a constant.
    """
    own, fresh = measured[0], measured[1:]
    rows, means = [], {"measured": own.mean(1)}
    for name, values in found.items():
        predicted = removed.astype(float) @ values.T  # (M, K)
        scores = {"lds": spearman(predicted, own)}
        scores["fresh"] = (
            np.mean([spearman(predicted, one) for one in fresh], 0) if fresh else np.full(len(ids), np.nan)
        )
        scores["removal_error"] = np.full(len(ids), removal_error(predicted, own))
        rows.append(pd.DataFrame({"estimator": name, "target": ids} | scores))
        if name in SHOWN:
            means[name] = predicted.mean(1)
    agreed = [np.nanmean(spearman(own, one)) for one in fresh]
    if fresh:
        means["fresh"] = np.mean(fresh, 0).mean(1)
    metrics = {"ceiling": float(np.mean(agreed)) if fresh else np.nan, "spread": float(own.std(0).mean())}
    table = pd.DataFrame({"removal": np.arange(len(removed))} | means)
    return {"lds": pd.concat(rows, ignore_index=True), "removals": table}, metrics


def _notify(work: Work, start: float, share: float, done: float) -> None:
    work.notify("", start + share * done)


def _task(study: Validity, seed: int, device: torch.device) -> DeviceTask:
    """The task on the device with the model that is trained on it; of a body's features where there is one."""
    from ...data.load import data_of
    from ...data.task import DeviceTask

    data, model = data_of(study.chosen_task, study.fingerprint), study.chosen_model
    if study.body is not None:
        data = _features(study, data, seed, device)
    return DeviceTask(data, partial(model.build, data), device=device)


def _features(study: Validity, data: Data, seed: int, device: torch.device) -> Data:
    """The data as what the body, trained on the pool, gives to its head."""
    import torch

    from ... import choices
    from ...data.task import DeviceTask
    from ...models.features import penultimate
    from ...training.begin import state_of
    from ...training.loop import train
    from ...training.policies.uniform import Uniform
    from ...training.recipes import Recipe, plan

    body: Any = choices.get("model", study.body["name"]).model_validate(study.body)  # type: ignore[index]
    recipe = Recipe(learning_rate=0.2, epochs=BODY_EPOCHS, flip=True, shift=2, precision="float32")
    task = DeviceTask(data, partial(body.build, data), device=device, flip=True, shift=2)
    size, model = task.size("train"), task.model(torch_stream(seed, "init"))
    duration = plan(size, size, batch_size=recipe.batch_size, budget="epochs", epochs=recipe.epochs)
    state = state_of(model, recipe, duration.steps)
    for _ in train(task, state, Uniform(), duration, seed=seed, batch_size=recipe.batch_size, device=device,
                   precision=torch.float32):  # fmt: skip
        pass
    names: tuple[Split, ...] = ("train", "dev", "test")
    seen = {name: penultimate(task, model, name).astype(np.float32) for name in names}
    mean, deviation = seen["train"].mean(0), seen["train"].std(0) + 1e-6
    splits = {name: Examples((seen[name] - mean) / deviation, data.splits[name].targets, data.splits[name].ids)
              for name in names}  # fmt: skip
    return Data(f"features of {data.name}", "vectors", splits, data.classes)
