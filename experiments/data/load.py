"""From a task's and a model's settings to a task on a device. The loaders themselves never see a settings object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from ..contracts import Data
from ..phases import settings as schema
from .settings import DigitsTask, ImageTask, PerceptronTask, SecondText, TaskSettings, TextTask

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor, nn

    from .task import DeviceTask
    from .text import Source

SHIFTED = {f"task.{key}": f"shifted.{key}" for key in ("path", "column", "documents")}  # what errors call them

TARGET = {"task.path": "scorer.target", "task.column": "scorer.column"}


def fingerprint(task: TaskSettings) -> str:
    """A hash of the bytes that a task's results depend on, without loading them."""
    from . import digits, images, perceptron, text

    if isinstance(task, DigitsTask):
        return digits.fingerprint()
    if isinstance(task, PerceptronTask):
        return perceptron.fingerprint()
    if isinstance(task, ImageTask):
        return images.fingerprint(task.name, task.path)
    return text.fingerprint(task.name, task.path, _mixed(task))


@lru_cache(maxsize=2)
def load_data(task: TaskSettings) -> Data:
    """The three splits, the training pool cut to size, its labels made noisy where asked."""
    from . import digits, images, perceptron, text
    from .splits import flip_labels, of_classes, pool

    if isinstance(task, DigitsTask):
        data = digits.load(dev=task.dev)
    elif isinstance(task, PerceptronTask):
        data = perceptron.load(
            dimension=task.dimension,
            train=task.train,
            test=task.test,
            dev=task.dev,
            seed=task.data_seed,
            spread=task.spread,
            shift=task.shift,
            target=task.target,
            orthogonal=task.orthogonal,
        )
    elif isinstance(task, ImageTask):
        data = images.load(task.name, task.path, dev=task.dev, test=task.test, label=task.label, size=task.size)
    else:
        data = text.load(
            task.name,
            task.path,
            column=task.column,
            documents=task.documents,
            vocabulary=task.vocabulary,
            context=task.context,
            dev=task.dev,
            test=task.test,
            mixed=_mixed(task),
        )
    if isinstance(task, DigitsTask | ImageTask) and task.classes is not None:
        data = of_classes(data, task.classes)
    train = data.splits["train"]
    if task.examples is not None:
        train = pool(train, task.examples)
    if not isinstance(task, TextTask) and task.label_noise:
        train = flip_labels(train, task.label_noise, len(data.classes))
    return replace(data, splits={**data.splits, "train": train})


def _mixed(task: TextTask) -> Source | None:
    from .text import Source

    return None if task.mixed is None else Source(**task.mixed.model_dump())


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


def shifted_task(run: schema.Run, device: torch.device) -> tuple[DeviceTask, tuple[str, ...]]:
    """The run's task with the second text as its test split, in the task's own tokens; with notes on the text."""
    from . import second
    from .task import DeviceTask

    shifted, data = run.shifted, load_data(run.task)
    assert shifted is not None
    assert isinstance(run.task, TextTask)
    examples, notes = second.windows(
        shifted.name,
        shifted.path,
        tokenizer=data.tokenizer,
        context=run.task.context,
        column=shifted.column,
        limit=shifted.documents,
        names=SHIFTED,
    )
    data = replace(data, splits={**data.splits, "test": examples})
    return DeviceTask(data, _architecture(run.model, data), device=device), notes


def build_task(run: schema.Run, device: torch.device) -> DeviceTask:
    """The task of a run on a device, with the run's model family."""
    return _build_task(run.task, run.model, run.recipe.flip, run.recipe.shift, device)


@lru_cache(maxsize=2)
def _build_task(
    task: TaskSettings, model: schema.ModelSettings, flip: bool, shift: int, device: torch.device
) -> DeviceTask:
    from .task import DeviceTask

    data = load_data(task)
    return DeviceTask(data, _architecture(model, data), device=device, flip=flip, shift=shift)


def _architecture(model: schema.ModelSettings, data: Data) -> Callable[[Tensor, Generator], nn.Module]:
    return lambda examples, init: build_model(model, data, examples, init)


def build_model(model: schema.ModelSettings, data: Data, examples: Tensor, init: Generator) -> nn.Module:
    """An untrained model for examples like these."""
    from ..models import convnet, dense, gpt, resnet

    classes = len(data.classes)
    match model:
        case schema.ConvnetModel():
            return convnet.convnet(
                examples,
                init,
                classes=classes,
                width=model.width,
                stride=model.stride,
                whitening=model.whitening,
                norm=model.norm,
            )
        case schema.ResnetModel():
            return resnet.resnet18(examples, init, classes=classes, width=model.width)
        case schema.MlpModel():
            return dense.mlp(examples, init, classes=classes, width=model.width, depth=model.depth)
        case schema.LinearModel():
            return dense.mlp(examples, init, classes=classes, width=0, depth=0)
        case schema.PerceptronModel():
            return dense.perceptron(examples, init)
        case schema.GptModel():
            return gpt.gpt(
                init,
                vocabulary=data.vocabulary,
                context=examples.shape[1],
                width=model.width,
                depth=model.depth,
                heads=model.heads,
                positions=model.positions,
                tied=model.tied,
            )
