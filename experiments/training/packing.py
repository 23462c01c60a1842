"""Packed runs: many models of one architecture trained together.

Their weights lie stacked in one tensor a layer, (M, ...), and one vectorised step moves all of them. The models share
the schedule; initialisation, subset and, where each has a seed of its own, order of batches and augmentation are their
own. Each learns what it would learn alone in the loop of `training`, where its subset weighs one and the rest zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from ..contracts import Batch, Split, Task
from ..devices import autocast
from ..errors import ConfigError, RunFailed
from ..seeds import numpy_stream, torch_stream
from .loop import Step
from .optimizers import elementwise, schedulers
from .recipes import Plan

FITTING = "model=mlp, linear or perceptron, or model=convnet model.norm=group"
LARGEST_PACK = 32  # models; more are no faster on a CPU
MEMORY = 512 * 2**20  # bytes for the weights of a pack, their gradients and an optimiser's two moments


class Pack:
    """M models of one architecture. `weights` has (M, ...) for each name of a weight."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        """Refuses batch norm: its averages are written in place, which nothing vectorised over models may do."""
        if any(isinstance(layer, _BatchNorm) for layer in models[0].modules()):
            raise ConfigError("models with batch norm cannot be trained packed", FITTING)
        self._model = models[0]
        self.weights, self._buffers = stack_module_state(list(models))

    def outputs(self, task: Task, batch: Batch) -> Tensor:
        """(M, B, classes) logits, of inputs (B, ...) that all models see or (M, B, ...) of their own."""

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
            def forward(inputs: Tensor) -> Tensor:
                return cast(Tensor, functional_call(self._model, (weights, buffers), (inputs,)))

            return task.outputs(cast(nn.Module, forward), replace(batch, inputs=inputs))

        return vmap(one, in_dims=(0, 0, _models_axis(batch)))(self.weights, self._buffers, batch.inputs)

    def losses(self, task: Task, batch: Batch, outputs: Tensor) -> Tensor:
        """(M, B) the task's own loss of (M, B, classes) logits."""

        def one(logits: Tensor, targets: Tensor) -> Tensor:
            return task.losses(self._model, replace(batch, targets=targets), logits)

        return vmap(one, in_dims=(0, _models_axis(batch)))(outputs, batch.targets)

    def state(self) -> dict[str, Tensor]:
        """(M, ...) what each model's state_dict holds."""
        both = self.weights | self._buffers
        return {name: both[name].detach() for name in self._model.state_dict()}


def _models_axis(batch: Batch) -> int | None:
    """0 where each model has examples of its own, index (M, B); None where all see the same, (B,)."""
    return 0 if batch.index.ndim == 2 else None


def pack_size(model: nn.Module) -> int:
    """How many models like this are trained together: by their memory alone, so that it is the same everywhere."""
    num_parameters = sum(weight.numel() for weight in model.parameters())
    return max(1, min(LARGEST_PACK, MEMORY // (4 * 4 * num_parameters)))


def subset(size: int, share: float, *, seed: int, number: int) -> NDArray[np.bool_]:
    """(N,) a random subset of exactly round(share N) examples: that of model `number`, whatever the others'."""
    member = np.zeros(size, dtype=np.bool_)
    member[numpy_stream(seed, "subset", number).permutation(size)[: round(share * size)]] = True
    return member


def train(
    task: Task,
    pack: Pack,
    members: NDArray[np.bool_] | None,
    plan: Plan,
    *,
    seed: int | Sequence[int],
    batch_size: int,
    precision: torch.dtype,
    optimizer: str,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    schedule: str,
    warmup: float,
    clip: float | None = None,
    watch: Callable[[Step], None] | None = None,
    strict: bool = True,
) -> Iterator[int]:
    """Train all models in place to `plan.stop`, model m on the examples of `members[m]` (M, N); yields each step.

    A model's loss is the mean over its members in the batch; a batch without any moves it by momentum and decay alone.
    Under one seed all see the same batches; with a seed a model each sees its own, and `members` is None. `watch` is
    given each step, of (M, B) losses.
    Raises RunFailed where a loss stops being finite (not `strict`: the other models go on), ConfigError for an
    optimiser that mixes the numbers of a tensor.
    """
    if optimizer == "muon":
        raise ConfigError("recipe.optimizer=muon cannot train packed models", "recipe.optimizer=sgd or adamw")
    weights = list(pack.weights.values())
    decayed, free = [w for w in weights if w.ndim > 2], [w for w in weights if w.ndim <= 2]  # without the models' axis
    made = elementwise(
        decayed, free, optimizer, learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay
    )
    (rate,) = schedulers([made], schedule, steps=plan.steps, warmup=warmup)
    device = weights[0].device
    assert isinstance(seed, int) or members is None, "subsets share the order of batches"
    counted = None if members is None else torch.from_numpy(members).to(device, torch.float32)
    check = 1 if device.type == "cpu" else 32  # reading the loss waits for a GPU
    for step in range(plan.stop):
        epoch, taken = divmod(step, plan.steps_per_epoch)
        if taken == 0:
            batches = _batches(task, batch_size, seed, epoch)
        batch = next(batches)
        with autocast(device, precision):
            outputs = pack.outputs(task, batch)
        each = pack.losses(task, batch, outputs)  # (M, B)
        if counted is None:
            losses = each.mean(1)
        else:
            inside = counted[:, batch.index]
            losses = (inside * each).sum(1) / inside.sum(1).clamp(min=1)
        loss = losses.sum()  # no weight of one model is in the loss of another
        if strict and step % check == 0 and not torch.isfinite(loss):
            number = int((~torch.isfinite(losses)).sum())
            raise RunFailed(
                f"the loss of {number} of {len(losses)} models is not finite at step {step + 1} of {plan.steps}",
                "a smaller recipe.learning_rate, or recipe.clip=1.0",
            )
        loss.backward()  # type: ignore[no-untyped-call]
        if clip is not None:
            _clip(weights, clip)
        made.step()
        made.zero_grad(set_to_none=True)
        rate.step()
        if watch is not None:
            watch(Step(step + 1, epoch, batch, outputs.detach(), each.detach()))
        yield step + 1


def _batches(task: Task, size: int, seed: int | Sequence[int], epoch: int) -> Iterator[Batch]:
    """The batches of an epoch under one seed, (B, ...), or of each seed side by side, (M, B, ...)."""
    if isinstance(seed, int):
        order, augmentation = (torch_stream(seed, name, epoch) for name in ("order", "augmentation"))
        return task.batches("train", size=size, order=order, augmentation=augmentation)
    orders, augmentations = ([torch_stream(one, name, epoch) for one in seed] for name in ("order", "augmentation"))
    return task.stacked("train", size=size, orders=orders, augmentations=augmentations)


def correct(task: Task, pack: Pack, split: Split, *, size: int) -> NDArray[np.bool_]:
    """(M, N) whether the target has the largest logit; no augmentation, `size` examples a forward pass."""
    number = len(next(iter(pack.weights.values())))
    found = np.zeros((number, task.size(split)), dtype=np.bool_)
    with torch.inference_mode():
        for batch in task.batches(split, size=size):
            outputs = pack.outputs(task, batch)
            if not torch.isfinite(outputs).all():
                raise RunFailed("training diverged: a model's outputs are not finite", "a smaller recipe.learning_rate")
            right = outputs.argmax(-1) == batch.targets
            found[:, batch.index.cpu().numpy()] = right.cpu().numpy()
    return found


def _clip(weights: list[Tensor], largest: float) -> None:
    """Scale each model's gradient down to a norm of at most `largest`, as clip_grad_norm_ does for one."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norms = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()  # (M,)
    scale = (largest / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))
