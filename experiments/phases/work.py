"""What a running phase has: its folder, its inputs, its data on a device, and the decisions that it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contracts import Data, Floats, Indices, Proxy
from ..data.load import build_task, data_of
from ..data.splits import fold_of
from ..errors import LabError
from ..laws.guessing import chance
from ..seeds import derive, torch_stream
from ..store import files
from ..store.folders import Folder, Store
from .plan import Job, packs
from .settings import Run

LONGER = 4  # times: what is proposed where proxies are at chance
Notify = Callable[[str, float], None]  # a sentence or "", and the share of the phase that is done


@dataclass
class Work:
    """What a running phase fills: its folder's files, the decisions it reports, and metrics."""

    job: Job
    folder: Path
    inputs: Mapping[str, Folder]
    store: Store
    notify: Notify
    derived: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)

    def decide(self, sentence: str) -> None:
        """Say a decision once and record it."""
        self.derived.append(sentence)
        self.notify(sentence, 0.0)

    @property
    def run(self) -> Run:
        return self.job.run

    @property
    def seed(self) -> int:
        """The run's seed; of a proxy, one drawn from the score's seed and the proxy's number."""
        seed = drawn_from(self.job.settings)
        return derive(seed, "proxy", self.asks["number"]) if "number" in self.asks else seed

    @property
    def seeds(self) -> list[int]:
        """Of proxies that are trained packed: each has the seed that it would have alone."""
        return [derive(drawn_from(self.job.settings), "proxy", number) for number in self.asks["numbers"]]

    @property
    def asks(self) -> Mapping[str, Any]:
        """What a scorer asked for, where this run is evidence of a score."""
        asked: Mapping[str, Any] = self.job.settings.get("proxy", {})
        return asked

    @property
    def resume(self) -> Path:
        """Where checkpoints stay until the run is published."""
        return self.store.resume_folder(self.job.phase, self.job.key)

    @cached_property
    def data(self) -> Data:
        """The run's data, with the notes on them said."""
        planned = self.job if "fingerprint" in self.job.settings else self.job.inputs["train"]  # evaluate
        data = data_of(self.run.task, planned.settings["fingerprint"])
        for note in data.notes:
            self.decide(note)
        return data

    @cached_property
    def task(self) -> Any:
        """The run's task on its device, the choices said and recorded."""
        from ..devices import keep_freed_memory
        from ..seeds import deterministic

        deterministic()
        keep_freed_memory()
        device = self.on(self.run.device)
        assert self.data is not None
        return build_task(self.run, device)

    def on(self, name: str) -> Any:
        """The device of that name, said and recorded with the machine."""
        from ..devices import machine, resolve_device

        device, reason = resolve_device(name)
        self.decide(reason)
        self.machine.update(machine(device))
        return device

    def kept(self) -> Indices | None:
        """The kept examples' places in the pool, where the run is of a pruned set."""
        if "prune" not in self.inputs:
            return None
        return kept_of(self.inputs["prune"], self.data.splits["train"].ids)


@dataclass
class Evidence:
    """What a score may look at: the data, and the proxies that its scorer asked for."""

    work: Work
    columns: dict[str, Floats] = field(default_factory=dict)  # more columns of scores.parquet

    @property
    def data(self) -> Data:
        return self.work.data

    @property
    def task(self) -> Any:
        return self.work.task

    @property
    def seed(self) -> int:
        if "seed" not in self.work.job.settings:
            raise LabError(
                f"scorer={self.work.run.scorer.name} draws at random without saying so", "draws = True in it"
            )
        return self.work.seed

    @property
    def folders(self) -> list[Path]:
        return [folder.path for folder in self.work.inputs.values()]

    @cached_property
    def proxies(self) -> list[Proxy]:
        found: dict[int, Proxy] = {}
        for places, folder in zip(packs(self.work.run), self.work.inputs.values(), strict=True):
            found |= zip(places, proxies_of(folder, self.task), strict=True)
        return [found[place] for place in sorted(found)]

    def decide(self, sentence: str) -> None:
        self.work.decide(sentence)


def kept_of(folder: Folder, ids: NDArray[np.str_]) -> Indices:
    """The places that a prune folder keeps of the pool with these ids (N,); RunFailed where they are of another."""
    table = folder.table("kept.parquet", ["index", "id"])
    kept: Indices = table["index"].to_numpy(np.int64)
    inside = bool(len(kept)) and kept[0] >= 0 and kept[-1] < len(ids) and bool((np.diff(kept) > 0).all())
    if not inside or not np.array_equal(ids[kept], table["id"].to_numpy(str)):
        raise files.damage(folder.path, "the places and ids in kept.parquet are not those of the training pool")
    return kept


def proxies_of(folder: Folder, task: Any) -> list[Proxy]:
    """The trained proxies of a folder, with what was recorded of every example along the way."""
    path, asked = folder.path / "trajectory.npz", folder.record["recipe"]["proxy"]
    recorded = files.arrays(path) if folder.has(path.name) else {}  # (epochs, N); of a pack (M, epochs, N)
    if any(values.shape[-1:] != (task.size("train"),) for values in recorded.values()):
        raise files.damage(folder.path, "trajectory.npz is not of this training pool")
    if "numbers" in asked:
        of_each = [{name: values[one] for name, values in recorded.items()} for one in range(len(asked["numbers"]))]
        return [_proxy(folder, task, f"model_{one}", values) for one, values in enumerate(of_each)]
    held_out = None
    if "fold" in asked:
        seed = drawn_from(folder.record["recipe"])
        held_out = fold_of(task.examples("train"), asked["folds"], seed=seed) == asked["fold"]
    return [_proxy(folder, task, "model", recorded, held_out)]


def _proxy(folder: Folder, task: Any, name: str, recorded: Mapping[str, Any], held_out: Any = None) -> Proxy:
    trajectory = {name: values.astype(np.float64) for name, values in recorded.items()}
    return Proxy(model_of(folder, task, name), trajectory, held_out)


def model_of(folder: Folder, task: Any, name: str) -> Any:
    """The trained model of a train folder, in eval mode."""
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    model = task.model(torch_stream(0, "init"))
    try:
        load_model(model, str(folder.path / f"{name}.safetensors"), device=str(task.device))
    except (OSError, RuntimeError, SafetensorError) as error:  # RuntimeError: weights of another model
        raise files.damage(folder.path, f"{name}.safetensors: {error}") from error
    return model.eval()


def say_if_equal(work: Work, scores: Floats) -> None:
    """Equal scores rank nothing, and ties break at random."""
    if scores.size > 1 and np.ptp(scores) == 0:
        work.decide(f"warning: all {scores.size} scores are {scores[0]:g}; they rank nothing, and a rule keeps any")


def say_if_shared(work: Work, task: Any, rows: Indices) -> None:
    """Of a target that is trained on, contributions say what is known by heart."""
    known, dev = {row.tobytes() for row in task.examples("train").inputs[rows]}, task.examples("dev").inputs
    if again := sum(row.tobytes() in known for row in dev):
        work.decide(f"warning: {again} of {len(dev)} dev examples are among the {len(rows)} trained on, byte by byte")


def say_if_guessing(work: Work, task: Any, steps: int, accuracy: float | None) -> None:
    """A model that is no better on dev than its largest class, within two standard errors."""
    share, most = guessing(task.data)
    if accuracy is not None and accuracy <= most:
        work.decide(
            f"warning: accuracy on dev is {accuracy:.2f} after {steps} steps, and guessing gives {share:.2f}: scores "
            "of such a model rank nothing (more recipe.epochs, or a smaller recipe.batch_size)"
        )


def say_if_proxies_guess(work: Work) -> None:
    """Which setting to change where the proxies of a score are no better than guessing."""
    _, most = guessing(work.data)
    records = [folder.record for folder in work.inputs.values() if "dev_accuracy_last" in folder.record["metrics"]]
    number = {one["key"]: one["metrics"].get("proxies", 1) for one in records}
    at_chance = [one for one in records if one["metrics"]["dev_accuracy_last"] <= most]
    if not at_chance:
        return
    recipe, asked = at_chance[0]["recipe"]["recipe"], at_chance[0]["recipe"]["proxy"]
    unit = next(name for name in ("epochs", "steps", "examples") if recipe[name] is not None)
    setting, now = ("scorer.epoch", asked["epoch"]) if asked.get("epoch") else (f"recipe.{unit}", recipe[unit])
    work.decide(
        f"warning: {sum(number[one['key']] for one in at_chance)} of {sum(number.values())} proxies are no better than "
        f"guessing on dev, and scores of such proxies rank little: set {setting}={LONGER * now:g}, which is "
        f"{LONGER} times as long"
    )


def guessing(data: Data) -> tuple[float, float]:
    """Accuracy on dev of its largest class, and that plus two standard errors; below zero where dev cannot tell."""
    labels = data.splits["dev"].targets
    if not data.classes or not len(labels):
        return 0.0, -1.0
    share, most = chance(np.bincount(labels))
    return share, most if most < 1 else -1.0


def drawn_from(recipe: Mapping[str, Any]) -> int:
    """The seed of a recipe's randomness; a score that all seeds share is drawn apart from that of any of them."""
    return derive(recipe["seed"], "shared") if recipe.get("shared") else int(recipe["seed"])
