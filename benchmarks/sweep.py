"""A step of the sweep back, which gives phi: one fused pass, against a gradient for each example and a pass more.

Of N examples it needs each gradient's product with a direction, and the Hessian of their weighted sum times that
direction. The baseline has the first as the Learning Law's public code has its contributions, by `vmap(grad)` over a
part held whole, and the second by a forward derivative of the gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from prune_lab.experiments import seeds
from prune_lab.experiments.contracts import Batch, Data
from prune_lab.experiments.contribution.adjoint import OfWeights, functional_losses
from prune_lab.experiments.contribution.field import NetworkField, flat, shaped
from prune_lab.experiments.contribution.meter import target_gradient
from prune_lab.experiments.contribution.search import room
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.models.outputs import BATCH
from prune_lab.experiments.phases.settings import Run

from . import contribution, ours, synthetic, text, training
from .contest import DEVICE, Contest, Lap

ON_GPU = 4  # times as many examples
IMAGES = (*training.RUN, "model.norm=group")


def contests(quick: bool) -> list[Contest]:
    def contest(name: str, run: tuple[str, ...], data: Callable[[int], Data]) -> Contest:
        chosen, part = ours.run(*run), contribution.PART[name]
        number = 8 if quick else contribution.EXAMPLES[name] * (ON_GPU if DEVICE.type == "cuda" else 1)
        return Contest(
            f"sweep.{name}",
            "examples/s",
            lambda: data(number),
            lambda given: fused(chosen, given),
            lambda given: apart(chosen, given, part),
            1 if quick else 3,
            f"a step of the sweep back over {number} examples, float32; baseline: vmap(grad) of {part} at once, "
            "products, and the Hessian's product by a pass of its own",
        )

    def tokens(number: int) -> Data:
        return synthetic.tokens(number, context=text.CONTEXT, vocabulary=text.VOCABULARY)

    return [contest("images", IMAGES, synthetic.images), contest("text", text.RUN, tokens)]


def fused(chosen: Run, data: Data, keep: list[Tensor] | None = None) -> Lap:
    """Ours; returns how many examples. `keep` gets the gradients' products, and then the Hessian's."""
    task, losses, theta, like, direction = _given(chosen, data)
    size = BATCH[task.kind]
    size *= room(NetworkField(losses, like, [next(iter(task.batches("train", size=size)))]), theta)
    field = NetworkField(losses, like, list(task.batches("train", size=size)))
    weights = theta.new_full((field.size,), 1 / field.size)

    def lap() -> float:
        rates, product = field.products(theta, weights, direction)
        if keep is not None:
            keep.extend([rates, product])
        return field.size

    return lap


def apart(chosen: Run, data: Data, part: int, keep: list[Tensor] | None = None) -> Lap:
    """The baseline; the same, the gradients' products in parts."""
    task, losses, theta, weights, direction = _given(chosen, data)
    sizes = {name: value.shape for name, value in weights.items()}
    products, batches = contribution.each_gradient(chosen, data, part, keep), list(task.batches("train", size=part))

    def lap() -> float:
        number, product = products(), torch.zeros_like(theta)
        with sdpa_kernel(SDPBackend.MATH):
            for batch in batches:

                def mean(theta: Tensor, batch: Batch = batch) -> Tensor:
                    return losses(shaped(theta, sizes), batch).sum() / number

                product += jvp(grad(mean), (theta,), (direction,))[1]
        if keep is not None:
            keep.append(product)
        return number

    return lap


def _given(chosen: Run, data: Data) -> tuple[DeviceTask, OfWeights, Tensor, dict[str, Tensor], Tensor]:
    """The task, its losses, theta as it is drawn, weights of its shapes, and the target's gradient for a direction."""
    task = ours.task_of(chosen, data)
    model = task.model(seeds.torch_stream(ours.SEED, "init")).eval()
    losses, weights = functional_losses(task, model)
    return task, losses, flat(weights), weights, flat(target_gradient(task, model))
