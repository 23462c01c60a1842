"""Packed runs: many models of one architecture trained together, each on its own subset of one task.

Their weights lie stacked in one tensor a layer, (M, ...), and one vectorised step moves all of them. The models share
the order of batches, the augmentation and the schedule; initialisation and subset are their own. Each learns what it
would learn alone in the loop of `training` under a policy that weighs its subset one and the rest zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        """(M, B, classes) logits: all models see the same inputs."""

        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            def forward(inputs: Tensor) -> Tensor:
                return cast(Tensor, functional_call(self._model, (weights, buffers), (inputs,)))

            return task.outputs(cast(nn.Module, forward), batch)

        return vmap(one)(self.weights, self._buffers)

    def losses(self, task: Task, batch: Batch, outputs: Tensor) -> Tensor:
        """(M, B) the task's own loss of (M, B, classes) logits."""
        return vmap(lambda logits: task.losses(self._model, batch, logits))(outputs)


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
    members: NDArray[np.bool_],
    plan: Plan,
    *,
    seed: int,
    batch_size: int,
    precision: torch.dtype,
    optimizer: str,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    schedule: str,
    warmup: float,
    clip: float | None = None,
) -> Iterator[int]:
    """Train all models in place to `plan.stop`, model m on the examples of `members[m]` (M, N); yields each step.

    A model's loss is the mean over its members in the batch; a batch without any moves it by momentum and decay alone.
    Raises RunFailed where a loss stops being finite, ConfigError for an optimiser that mixes the numbers of a tensor.
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
    counted = torch.from_numpy(members).to(device, torch.float32)
    check = 1 if device.type == "cpu" else 32  # reading the loss waits for a GPU
    for step in range(plan.stop):
        epoch, taken = divmod(step, plan.steps_per_epoch)
        if taken == 0:
            order, augmentation = torch_stream(seed, "order", epoch), torch_stream(seed, "augmentation", epoch)
            batches = task.batches("train", size=batch_size, order=order, augmentation=augmentation)
        batch = next(batches)
        with autocast(device, precision):
            outputs = pack.outputs(task, batch)
        inside = counted[:, batch.index]  # (M, B)
        losses = (inside * pack.losses(task, batch, outputs)).sum(1) / inside.sum(1).clamp(min=1)
        loss = losses.sum()  # no weight of one model is in the loss of another
        if step % check == 0 and not torch.isfinite(loss):
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
        yield step + 1


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
