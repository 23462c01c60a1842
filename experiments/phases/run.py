"""The phases: score, prune, train, evaluate, simulate, search. Each turns a job into a published folder.

The longer ones have files of their own: judging (score), teaching (train), searching (search).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from ..errors import LabError, RunFailed
from ..scoring.settings import MaskScorer
from ..seeds import derive, numpy_stream
from ..store.folders import Folder, Store
from ..store.provenance import code_version
from .plan import Job
from .score import score
from .search import search
from .train import train
from .work import Notify, Work, data_of, machine_of, model_of, say_if_equal, task_of

CURVE = 40  # points of a theory curve
BEST = ("accuracy", "error", "loss", "bits_per_byte", "shifted_loss", "shifted_bits_per_byte")  # of the best dev epoch


def run(job: Job, store: Store, notify: Notify) -> Folder:
    """The job's folder: found in the store, or made and published. Its inputs must be there."""
    existing = store.find(job.phase, job.key)
    if existing is not None:
        return existing
    inputs = {name: store.get(needed.phase, needed.key) for name, needed in job.inputs.items()}
    _start_up(job)
    started = time.monotonic()
    record: dict[str, Any] = {
        "phase": job.phase,
        "key": job.key,
        "name": job.name,
        "recipe": job.recipe,
        "inputs": {name: needed.key for name, needed in job.inputs.items()},
        "code": code_version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with store.draft(job.phase, job.key, record) as folder:
        work = Work(job, folder, inputs, store, notify)
        metrics = _of_second(work) if _has_second(job) else PHASES[job.phase](work)
        _check_finite(metrics)
        record |= {"derived": work.derived, "machine": work.machine, "metrics": metrics}
        record["seconds"] = round(time.monotonic() - started, 3)
    return store.get(job.phase, job.key)


def _has_second(job: Job) -> bool:
    return "start" in (job.inputs.get("train") or job).inputs


def _of_second(work: Work) -> dict[str, Any]:
    """What is run on a second set calls its settings finetune.task in its errors."""
    try:
        return PHASES[work.job.phase](work)
    except LabError as error:
        what, mend = (
            words and re.sub(r"(?<![\w.])task\.", "finetune.task.", words) for words in (error.what, error.mend)
        )
        raise type(error)(what or "", mend) from error


def _start_up(job: Job) -> None:
    """Import torch before the clock starts: a command's first run is not charged for what serves all of them."""
    if job.phase in ("train", "search"):
        import_module("torch._dynamo")  # torch, and what its optimisers import at their first use
    elif any("train" in name for name in job.inputs):
        import_module("torch")


def _check_finite(metrics: Mapping[str, Any]) -> None:
    """A model that diverged at its last step, or so that only the dev split shows it, is no result."""
    wild = [name for name, value in metrics.items() if isinstance(value, float) and not np.isfinite(value)]
    if wild:
        raise RunFailed(
            f"training diverged: {', '.join(wild)} came out NaN or infinite", "a smaller recipe.learning_rate"
        )


# ---- prune -----------------------------------------------------------------------------------------------------------


def _prune(work: Work) -> dict[str, Any]:
    from ..data.splits import check_enough
    from ..pruning.rules import select

    run = work.job.run
    if isinstance(run.scorer, MaskScorer) and "score" in work.inputs and run.scorer.keep != run.keep:
        work.decide(
            f"warning: keep={run.keep:g}, and the mask was learned for {run.scorer.keep:g}: "
            f"scorer.keep={run.keep:g} learns one for it"
        )
    data = data_of(work)
    train = data.splits["train"]
    labels = None if data.kind == "text" else train.targets
    scores = probability = None
    if "score" in work.inputs:
        scored = pd.read_parquet(work.inputs["score"].path / "scores.parquet").set_index("id")
        scored = scored.loc[list(train.ids)]  # of the pool, which may be a part of it
        scores = scored["score"].to_numpy(np.float64)
        probability = scored["probability"].to_numpy(np.float64) if "probability" in scored else None
        say_if_equal(work, scores)
    kept = select(
        scores,
        run.keep,
        rule=run.rule,
        labels=labels,
        order=numpy_stream(run.seed, "prune"),
        balance=run.balance,
        drop_hardest=run.drop_hardest,
        size=len(train.ids),
        probability=probability,
    )
    check_enough(len(kept), train.targets, f"keep={run.keep:g}")
    pd.DataFrame({"index": kept, "id": train.ids[kept]}).to_parquet(work.folder / "kept.parquet", index=False)
    metrics: dict[str, Any] = {"kept": len(kept), "pool": len(train.ids)}
    if labels is not None:
        pool_counts = np.bincount(labels, minlength=len(data.classes))
        kept_counts = np.bincount(labels[kept], minlength=len(data.classes))
        classes = {
            "label": np.arange(len(data.classes)),
            "name": data.classes,
            "pool": pool_counts,
            "kept": kept_counts,
        }
        pd.DataFrame(classes).to_parquet(work.folder / "classes.parquet", index=False)
        share = kept_counts / np.maximum(1, pool_counts)
        metrics |= {"smallest_class_kept": float(share.min()), "largest_class_kept": float(share.max())}
        lost = [data.classes[c] for c in np.flatnonzero((kept_counts == 0) & (pool_counts > 0))]
        if lost:
            work.decide(f"every example of {', '.join(lost)} was dropped (balance={run.balance}): see balance=0.5")
    from ..pruning.distribution import compare
    from ..pruning.gallery import gallery

    measures, sentences = compare(train, kept, kind=data.kind, classes=data.classes)
    pd.DataFrame(measures).to_parquet(work.folder / "distribution.parquet", index=False)
    for sentence in sentences:
        work.decide(f"{work.job.name}: {sentence}")
    gallery(data, kept, scores).to_parquet(work.folder / "gallery.parquet", index=False)
    return metrics


# ---- evaluate --------------------------------------------------------------------------------------------------------


def _evaluate(work: Work) -> dict[str, Any]:
    from ..training.evaluation import evaluate

    task = task_of(work)
    second = _second_task(work, task)
    trained = work.inputs["train"]

    def measured(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        model = model_of(trained, task, name)
        metrics, examples = evaluate(task, model, "test")
        if second is not None:
            shifted, _ = evaluate(second, model, "test")
            metrics |= {f"shifted_{metric}": shifted[metric] for metric in ("loss", "bits_per_byte")}
        return metrics, examples

    metrics, examples = measured("model")
    test = task.examples("test")
    table = pd.DataFrame({"index": np.arange(len(test.ids)), "id": test.ids} | examples)
    best = measured("best")[0] if (trained.path / "best.safetensors").exists() else metrics
    metrics |= {f"{name}_best": best[name] for name in BEST if name in best}
    table.to_parquet(work.folder / "examples.parquet", index=False)
    (work.folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    return dict(metrics)


def _second_task(work: Work, task: Any) -> Any:
    """The task with the second text as its test split; None where no second text is asked for."""
    from ..data.load import shifted_task

    run = work.job.run
    if run.shifted is None:
        return None
    second, notes = shifted_task(run, task.device)
    number = second.size("test")
    work.decide(f"second text: {'; '.join(notes)}; {number:,} windows in the tokens of {run.task.name}")
    return second


# ---- simulate --------------------------------------------------------------------------------------------------------


def _simulate(work: Work) -> dict[str, Any]:
    """The theory's curve, and the errors of students drawn at its finite dimension."""
    from ..studies.perceptron.theory import generalization_error, simulate

    machine_of(work, "cpu")
    settings, recipe = work.job.run.theory, work.job.recipe
    theta, margin = recipe["theory"]["theta"], recipe["theory"]["margin"]
    chosen = {"theta": theta, "rule": recipe["rule"], "margin": margin}
    keep, drawn = recipe["keep"], []
    for draw in range(settings.draws):
        for place, alpha in enumerate(settings.alphas):
            work.notify("", (draw + place / len(settings.alphas)) / settings.draws)
            seed = derive(recipe["seed"], "simulate", draw, place)
            drawn.append((alpha, draw, simulate(settings.dimension, alpha, keep, seed=seed, **chosen)))
    simulated = pd.DataFrame(drawn, columns=["alpha", "draw", "error"])
    simulated.to_parquet(work.folder / "simulated.parquet", index=False)
    span = np.geomspace(min(settings.alphas), max(settings.alphas), CURVE)
    alphas = np.unique(np.concatenate([span, settings.alphas]))
    errors = [generalization_error(float(alpha), keep, **chosen) for alpha in alphas]
    pd.DataFrame({"alpha": alphas, "error": errors}).to_parquet(work.folder / "theory.parquet", index=False)
    return {"points": len(settings.alphas), "draws": settings.draws, "smallest_error": float(np.min(errors))}


PHASES = {
    "score": score,
    "prune": _prune,
    "train": train,
    "evaluate": _evaluate,
    "simulate": _simulate,
    "search": search,
}
