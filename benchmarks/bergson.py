"""Is phi what another implementation finds? The same runs of a small GPT, here and by bergson (arXiv:2606.11660).

bergson differentiates each step of the run by autograd (MAGIC, arXiv:2504.16430) and needs other versions of much that
prune-lab needs. So this runs in an environment of its own, with both installed:

    python -m venv other && other/bin/pip install bergson prune-lab && other/bin/python -m benchmarks.bergson

It prints one line of JSON for each optimiser: the largest difference between the two contributions of an example (phi
summed over the steps) over the largest contribution, their rank correlation, and the difference of the last losses. Its
last lines are results/reference/benchmarks/bergson.jsonl.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from prune_lab.experiments.contracts import Batch, Task
from prune_lab.experiments.contribution.adjoint import functional_losses, metagradient
from prune_lab.experiments.contribution.losses import Losses
from prune_lab.experiments.contribution.updates import BETAS, EPSILON, AdamW, Descent, Update
from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.seeds import torch_stream

from . import ours

WORDS = (
    "task=pydoc", "task.documents=100", "task.vocabulary=512", "task.context=32", "task.examples=256",
    "model.width=32", "model.depth=2", "model.heads=2", "model.tied=false",
)  # fmt: skip
STEPS, BATCH, DEV = 32, 16, 64  # two passes over the examples
ROOT = 1e-20  # added to AdamW's second moment under the root: without it autograd has no slope there at zero
OPTIMISERS: dict[str, Update] = {
    "sgd": Descent([0.5] * STEPS),
    "momentum": Descent([0.1] * STEPS, momentum=0.9),
    "adamw": AdamW([1e-3] * STEPS),
}


class Weighted(nn.Module):
    """The mean over a batch of each example's weight times its loss, as bergson calls a model."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        super().__init__()
        self.losses = Losses(task, model)

    def forward(self, index: Tensor, input_ids: Tensor, targets: Tensor, example_weight: Tensor) -> Tensor:
        loss: Tensor = (example_weight * self.losses(index, input_ids, targets)).mean()
        return loss


class Stream:
    """The run's batches, with one weight an example."""

    def __init__(self, batches: list[Batch], examples: int) -> None:
        self.batches, self.device = batches, torch.device("cpu")
        self.weights = nn.Parameter(torch.ones(examples))
        self.requires_grad = True

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        batch = self.batches[step]
        given = {"index": batch.index, "input_ids": batch.inputs, "targets": batch.targets}
        return given | {"example_weight": self.weights[batch.index]}


def theirs(task: Task, model: nn.Module, batches: list[Batch], dev: Batch, update: Update) -> tuple[Tensor, float]:
    """(N,) derivative of the dev loss at the end by each example's weight, by bergson; and that loss."""
    import torchopt
    from bergson.magic.trainer import BackwardState, Trainer

    rate = update.learning_rates[0]
    if isinstance(update, AdamW):
        optimizer = torchopt.adamw(rate, betas=BETAS, eps=EPSILON, eps_root=ROOT, weight_decay=0.0)
    else:
        momentum = update.momentum
        optimizer = torchopt.sgd(rate, momentum=momentum, nesterov=bool(momentum))
    weighted, stream = Weighted(task, model), Stream(batches, task.size("train"))
    trainer, state = Trainer.initialize(weighted, optimizer)
    with tempfile.TemporaryDirectory() as folder:
        state = trainer.train(state.detach_(), stream, save_dir=folder, save_mode="all")
        end = {name: value.detach().requires_grad_() for name, value in state.params.items()}
        given = (dev.index, dev.inputs, dev.targets, torch.ones(len(dev.index)))
        loss = functional_call(weighted, end, given)
        slopes = dict(zip(end, torch.autograd.grad(loss, list(end.values())), strict=True))
        moments = [
            torch.zeros_like(one) for one in state.differentiable_tensors()[len(end) :]
        ]  # the loss does not depend on the optimiser's state after the last step
        start = BackwardState(slopes, moments, torch.zeros(task.size("train")))
        end_of_sweep = trainer.backward(folder, stream, start, state, save_mode="all")
    return end_of_sweep.weight_grads, float(loss)


def own(task: Task, model: nn.Module, batches: list[Batch], dev: Batch, update: Update) -> tuple[Tensor, float]:
    """The same by contribution/adjoint.py."""
    losses, start = functional_losses(task, model)
    weights = [torch.full((len(batch.index),), 1 / len(batch.index)) for batch in batches]
    found = metagradient(losses, lambda theta: losses(theta, dev).mean(), start, batches, weights, update)
    phi = torch.zeros(task.size("train"))
    for batch, slopes in zip(batches, found.slopes, strict=True):
        phi.index_add_(0, batch.index, slopes / len(batch.index))
    return phi, found.outer


def check() -> Iterator[dict[str, Any]]:
    chosen = ours.run(*WORDS)
    task = ours.task_of(chosen, load_data(chosen.task))
    batches = [
        batch
        for epoch in range(STEPS * BATCH // task.size("train"))
        for batch in task.batches("train", size=BATCH, order=torch_stream(0, "order", epoch))
    ]
    (dev, *_) = task.batches("dev", size=DEV)
    for name, update in OPTIMISERS.items():
        both = [way(task, task.model(torch_stream(0, "init")), batches, dev, update) for way in (own, theirs)]
        (phi, loss), (other, other_loss) = both
        yield {
            "bergson": version("bergson"),
            "torch": torch.__version__,
            "optimizer": name,
            "steps": len(batches),
            "examples": len(phi),
            "difference": float((phi - other).abs().max() / other.abs().max()),
            "spearman": float(spearmanr(phi, other).statistic),
            "loss": loss,
            "loss_difference": abs(loss - other_loss),
        }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with sdpa_kernel(SDPBackend.MATH):
        for result in check():
            print(json.dumps(result))
