"""What a running phase has: its folder, its inputs, its data on a device, and the decisions that it says aloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import Data, Floats, Indices
from ..data.load import build_task, load_data
from ..seeds import numpy_stream, torch_stream
from ..store.folders import Folder, Store
from .plan import Job

Notify = Callable[[str, float], None]  # a sentence or "", and the share of the phase that is done


@dataclass(slots=True)
class Work:
    """What a running phase fills: its folder's files, decisions said aloud, and metrics."""

    job: Job
    folder: Path
    inputs: Mapping[str, Folder]
    store: Store
    notify: Notify
    derived: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, Floats] = field(default_factory=dict)  # more columns of scores.parquet

    def decide(self, sentence: str) -> None:
        """Say a decision once and record it."""
        self.derived.append(sentence)
        self.notify(sentence, 0.0)


def data_of(work: Work) -> Data:
    data = load_data(work.job.run.task)
    for note in data.notes:
        work.decide(note)
    return data


def task_of(work: Work) -> Any:
    """The run's task on its device, the choices said and recorded."""
    from ..devices import keep_freed_memory
    from ..seeds import deterministic

    deterministic()
    keep_freed_memory()
    device = machine_of(work, work.job.run.device)
    data_of(work)
    return build_task(work.job.run, device)


def machine_of(work: Work, name: str) -> Any:
    """The device of that name, said and recorded with the machine."""
    from ..devices import machine, resolve_device

    device, reason = resolve_device(name)
    work.decide(reason)
    work.machine.update(machine(device))
    return device


def kept_of(work: Work) -> Indices | None:
    """The kept examples' places in the pool, where the run is of a pruned set."""
    import pandas as pd

    if "prune" not in work.inputs:
        return None
    kept: Indices = pd.read_parquet(work.inputs["prune"].path / "kept.parquet")["index"].to_numpy(np.int64)
    return kept


def model_of(folder: Folder, task: Any, name: str) -> Any:
    """The trained model of a train folder, in eval mode."""
    from safetensors.torch import load_model

    model = task.model(torch_stream(0, "init"))
    load_model(model, str(folder.path / f"{name}.safetensors"), device=str(task.device))
    return model.eval()


def say_if_equal(work: Work, scores: Floats) -> None:
    """Equal scores rank nothing, and ties break by index."""
    if scores.size > 1 and np.ptp(scores) == 0:
        work.decide(f"warning: all {scores.size} scores are {scores[0]:g}; rule=hard, easy and middle take by index")


def say_if_shared(work: Work, task: Any, rows: Indices) -> None:
    """Of a target that is trained on, contributions say what is known by heart."""
    known, dev = {row.tobytes() for row in task.examples("train").inputs[rows]}, task.examples("dev").inputs
    if again := sum(row.tobytes() in known for row in dev):
        work.decide(f"warning: {again} of {len(dev)} dev examples are among the {len(rows)} trained on, byte by byte")


def fold_of(groups: Indices, folds: int) -> Indices:
    """(N,) the fold of each example: whole groups (documents), dealt at random by a fixed seed."""
    unique, member = np.unique(groups, return_inverse=True)
    dealt: Indices = numpy_stream(0, "folds").permutation(len(unique)) % folds
    return dealt[member]
