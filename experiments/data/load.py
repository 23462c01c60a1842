"""From the settings of a task and a model to data on a device."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contracts import Data, ModelChoice, TaskChoice
from ..errors import ConfigError, RunFailed
from .texts import SecondText

if TYPE_CHECKING:
    import torch

    from .task import DeviceTask

SHIFTED = {f"task.{key}": f"shifted.{key}" for key in ("path", "column", "documents")}  # what errors call them
TARGET = {"task.path": "scorer.target", "task.column": "scorer.column"}


@lru_cache(maxsize=2)
def load_data(task: TaskChoice) -> Data:
    """The three splits: of the classes wanted, the training pool cut to size, its labels made noisy where asked."""
    from .columns import named
    from .relabel import relabelled
    from .splits import flip_labels, of_classes, pool

    found = task.fingerprint()
    if _loaded_from.setdefault(task, found) != found:
        _build_task.cache_clear()  # tasks of what was there before
    _loaded_from[task] = found
    data = task.load()
    if len(set(data.classes)) < len(data.classes):
        again = [name for place, name in enumerate(data.classes) if name in data.classes[:place]]
        raise ConfigError(f"task={task.name} has two classes of one name: {', '.join(dict.fromkeys(again))}")
    if task.plugin is not None:
        _check(task, data)
    if (labels := getattr(task, "labels", None)) is not None:
        data = relabelled(data, task, labels)
    if (classes := getattr(task, "classes", None)) is not None:
        data = of_classes(data, classes)
    train = data.splits["train"]
    if (group := getattr(task, "group", None)) is not None:
        train = replace(train, named=named(task, group, train.ids))
    if task.examples is not None:
        train = pool(train, task.examples)
    data = replace(data, splits={**data.splits, "train": train})
    data = replace(data, notes=(*data.notes, *_copies(task, data)))
    if noise := getattr(task, "label_noise", 0.0):
        train = flip_labels(train, noise)
    return replace(data, splits={**data.splits, "train": train})


_loaded_from: dict[TaskChoice, str] = {}  # the fingerprint of what load_data read


def data_of(task: TaskChoice, fingerprint: str) -> Data:
    """The data that a run was planned for; RunFailed where the files have changed since."""
    data = load_data(task)
    if _loaded_from[task] != fingerprint:  # read before the change, for an earlier run of this process
        load_data.cache_clear()
        data = load_data(task)
    unchanged(_loaded_from[task], fingerprint, f"the data of task={task.name}")
    return data


@lru_cache(maxsize=256)
def pool_size(task: TaskChoice, fingerprint: str) -> int:
    """Examples in the training pool. Data of this fingerprint are counted once, and their number is remembered."""
    from . import sources

    if task.examples is not None:
        return task.examples

    def counted() -> sources.Arrays:
        return {"size": np.array([len(load_data(task).splits["train"].ids)])}

    return int(sources.cached_arrays(sources.key_of("pool", fingerprint, *_settings(task)), counted)["size"][0])


def _settings(task: TaskChoice) -> tuple[Any, ...]:
    """What the splits depend on besides the bytes of the files; label noise is of what they hold."""
    settings = task.model_dump(mode="json", exclude={"path": True, "label_noise": True, "mixed": {"path": True}})
    return task.plugin, settings


def unchanged(found: object, planned: object, what: str) -> None:
    """Refuse to read what is no longer what the run's key says."""
    if found != planned:
        raise RunFailed(f"{what} changed since the run was planned", "the same command again")


def _copies(task: TaskChoice, data: Data) -> list[str]:
    """Notes on examples that two splits share: they are learnt from, or chosen by, and then judged by."""
    from . import copies, sources

    def found() -> list[str]:
        return copies.between(data.splits, data.kind)

    if sum(part.inputs.nbytes for part in data.splits.values()) < copies.SMALL:
        return found()
    key = sources.key_of("copies", copies.VERSION, task.fingerprint(), *_settings(task))
    return [str(note) for note in sources.cached_arrays(key, lambda: {"notes": np.array(found(), np.str_)})["notes"]]


def second_fingerprint(shifted: SecondText) -> str:
    """A hash of the bytes of the second text that evaluate measures."""
    from . import second

    return second.fingerprint(shifted.name, shifted.path, names=SHIFTED)


def target_fingerprint(path: str) -> str:
    """A hash of the bytes of the text that scorer=ngram_importance compares with."""
    from . import second

    return second.fingerprint("text", path, names=TARGET)


def target_texts(path: str, column: str) -> tuple[list[str], str]:
    """Its documents, the train part's where it has parts, and a sentence that says which."""
    from . import second

    found = second.documents("text", path, "train", column=column, limit=None, names=TARGET)
    return found.texts, f"target: {'; '.join(found.notes)}; {len(found.texts):,} documents"


def shifted_task(
    task: Any, model: ModelChoice, shifted: SecondText, device: torch.device
) -> tuple[DeviceTask, tuple[str, ...]]:
    """A text task with the second text as its test split, in the task's own tokens; with notes on the text."""
    from . import second
    from .task import DeviceTask

    data = load_data(task)
    examples, notes = second.windows(
        shifted.name,
        shifted.path,
        tokenizer=data.tokenizer,
        context=task.context,
        column=shifted.column,
        limit=shifted.documents,
        names=SHIFTED,
    )
    data = replace(data, splits={**data.splits, "test": examples})
    return DeviceTask(data, partial(model.build, data), device=device), notes


def build_task(run: Any, device: torch.device) -> DeviceTask:
    """The task of a run on a device, with the model family that the run trains on it."""
    return _build_task(run.task, run.model, run.recipe.flip, run.recipe.shift, device)


@lru_cache(maxsize=2)
def _build_task(task: TaskChoice, model: ModelChoice, flip: bool, shift: int, device: torch.device) -> DeviceTask:
    from .task import DeviceTask

    data = load_data(task)
    return DeviceTask(data, partial(model.build, data), device=device, flip=flip, shift=shift)


def _check(task: TaskChoice, data: Data) -> None:
    """Refuse data of a plug-in that would break, or mislead, far from here."""
    wrong = [] if data.kind == task.reads else [f"Data.kind is {data.kind} and reads is {task.reads}"]
    for name in ("train", "dev", "test"):
        part = data.splits.get(name)
        if part is None or not len(part.ids):
            wrong.append(f"there are no {name} examples")
            continue
        if not len(part.ids) == len(part.inputs) == len(part.targets) == len(set(part.ids.tolist())):
            wrong.append(f"{name} has {len(part.inputs)} inputs, {len(part.targets)} targets and "
                         f"{len(set(part.ids.tolist()))} different ids")  # fmt: skip
        if data.classes and not 0 <= part.targets.min() <= part.targets.max() < len(data.classes):
            wrong.append(f"{name} has targets outside of 0..{len(data.classes) - 1}")
        if data.kind == "vectors" and part.inputs.dtype != np.float32:
            wrong.append(f"{name} has inputs of type {part.inputs.dtype}, not float32")
    if wrong:
        raise ConfigError(f"task={task.name}: {'; '.join(wrong)}")
