"""Contributions of every example, in one forward-mode pass, against a gradient for each example and its product.

The baseline is the method of the Learning Law's public code: `vmap(grad)` over a part of the batch, held whole, and a
matrix product with the target's gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from prune_lab.experiments import seeds
from prune_lab.experiments.contracts import Batch, Data
from prune_lab.experiments.contribution.meter import contributions, target_gradient
from prune_lab.experiments.contribution.norms import given_to_model
from prune_lab.experiments.phases.settings import Run

from . import ours, synthetic, text, training
from .contest import Contest, Lap

Form = Literal["derivative", "difference"]
PART = {"images": 256, "text": 32}  # gradients that the baseline holds at once
EXAMPLES = {"images": 1024, "text": 128}


def contests(quick: bool) -> list[Contest]:
    def contest(name: str, by: Form, run: tuple[str, ...], data: Callable[[int], Data]) -> Contest:
        chosen, number = ours.run(*run), 8 if quick else EXAMPLES[name]
        return Contest(
            f"contribution.{name}.{by}",
            "examples/s",
            lambda: data(number),
            lambda given: one_pass(chosen, given, by=by),
            lambda given: each_gradient(chosen, given, PART[name]),
            1 if quick else 3,
            f"contributions of {number} examples towards a given gradient, float32, by {by}; baseline: vmap(grad) "
            f"of {PART[name]} at once, then a product",
        )

    def tokens(number: int) -> Data:
        return synthetic.tokens(number, context=text.CONTEXT, vocabulary=text.VOCABULARY)

    forms: tuple[Form, ...] = ("derivative", "difference")
    data = (("images", training.RUN, synthetic.images), ("text", text.RUN, tokens))
    return [contest(name, by, run, made) for name, run, made in data for by in forms]


def one_pass(chosen: Run, data: Data, keep: list[Tensor] | None = None, by: Form = "derivative") -> Lap:
    """Ours; returns how many examples. `keep` gets the contributions."""
    task = ours.task_of(chosen, data)
    model = task.model(seeds.torch_stream(ours.SEED, "init")).eval()
    target = target_gradient(task, model)

    def lap() -> float:
        found = contributions(task, model, target=target, by=by)
        if keep is not None:
            keep.append(torch.from_numpy(found))
        return len(found)

    return lap


def each_gradient(chosen: Run, data: Data, part: int, keep: list[Tensor] | None = None) -> Lap:
    """The baseline; returns how many examples."""
    task = ours.task_of(chosen, data)
    model = task.model(seeds.torch_stream(ours.SEED, "init")).eval()
    weights, target = dict(model.named_parameters()), target_gradient(task, model)
    weights = {name: weights[name].detach() for name in target}
    flat = torch.cat([target[name].flatten() for name in weights])

    def loss(weights: dict[str, Tensor], given: Tensor, *row: Tensor) -> Tensor:
        outputs = functional_call(model, weights, (given.unsqueeze(0),))
        return task.losses(model, Batch(*(part.unsqueeze(0) for part in row)), outputs).squeeze(0)

    gradients = vmap(grad(loss), in_dims=(None, 0, 0, 0, 0))

    def lap() -> float:
        found = []
        with sdpa_kernel(SDPBackend.MATH):
            for batch in task.batches("train", size=part):
                rows = (given_to_model(task, batch), batch.index, batch.inputs, batch.targets)
                one = gradients(weights, *rows)
                found.append(torch.cat([one[name].flatten(1) for name in weights], 1) @ flat)
        if keep is not None:
            keep.extend(found)
        return sum(map(len, found))

    return lap
