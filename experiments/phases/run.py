"""A phase turns a job into a published folder: score, prune, train, evaluate, search, simulate."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import LabError, RunFailed
from ..store.folders import Folder, Store
from ..store.provenance import code_version, library_warnings
from .evaluate import evaluate
from .plan import Job
from .prune import prune
from .score import score
from .search import search
from .simulate import simulate
from .train import train
from .work import Notify, Work

PHASES = {"score": score, "prune": prune, "train": train, "evaluate": evaluate, "search": search, "simulate": simulate}


def run(job: Job, store: Store, notify: Notify) -> Folder:
    """The job's folder: found in the store, or made and published. Its inputs must be there."""
    existing = store.find(job.phase, job.key)
    if existing is not None:
        return existing
    inputs = {name: store.get(needed.phase, needed.key) for name, needed in job.inputs.items()}
    _check(inputs.values(), notify)
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
        with library_warnings() as warned:
            metrics = _of_second(work) if _has_second(job) else PHASES[job.phase](work)
        _check_finite(metrics)
        record |= {"derived": work.derived, "warnings": warned, "machine": work.machine, "metrics": metrics}
        record["seconds"] = round(time.monotonic() - started, 3)
    return store.get(job.phase, job.key)


def _check(inputs: Iterable[Folder], notify: Notify) -> None:
    """Compare what the run reads with its hashes, once, before any of it is used."""
    for folder in inputs:
        folder.check()
        if not folder.is_hashed:
            notify("some inputs carry no hashes, as an older version made them, and are used unchecked", 0.0)


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
    if job.phase == "search" or job.recipe.get("policy"):
        import_module("torch._dynamo")  # torch, and what its function transforms import: contributions need them
    elif job.phase == "train" or any("train" in name for name in job.inputs):
        import_module("torch")


def _check_finite(metrics: Mapping[str, Any]) -> None:
    """A model that diverged at its last step, or so that only the dev split shows it, is no result."""
    wild = [name for name, value in metrics.items() if isinstance(value, float) and not np.isfinite(value)]
    if wild:
        raise RunFailed(
            f"training diverged: {', '.join(wild)} came out NaN or infinite", "a smaller recipe.learning_rate"
        )
