"""A mask over the training pool, learned by gradient descent through short training runs.

Which examples should a model train on to do best on the dev split? The question is bilevel. Outside, each example n has
a logit s_n and a mask m_n in [0, 1] that meets a budget, sum m = keep N; inside, a fresh model trains for T steps over
the whole pool, each example's loss weighted by m_n / keep. The dev loss is differentiated through all of the run
(metagradients, arXiv:2503.13751), and Adam moves the logits. Masks by sampling and policy gradients (PBCS, ICML 2022),
or by the gradient of one step (GLISTER, arXiv:2012.10630), ask the same question.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor

from ..contracts import Batch, Task
from ..errors import RunFailed
from ..seeds import derive, torch_stream
from ..store import checkpoints
from .adjoint import end_of, first_batches, functional_losses, metagradient
from .field import NetworkField, flat
from .smoothness import metasmoothness
from .updates import Update

Relaxation = Literal["topk", "bernoulli"]
CHECKPOINT_SECONDS = 30.0
HALVINGS = 64  # of the interval that holds tau: float64 tells no more


@dataclass(frozen=True, slots=True)
class Learned:
    """`logits` (N,) are zero where the mask is a half; `outer` the mean dev loss of each outer step's runs."""

    logits: Tensor
    mask: Tensor  # (N,), of sum keep N
    outer: Sequence[float]


def relax(logits: Tensor, keep: float, temperature: float) -> tuple[Tensor, Tensor]:
    """(N,) m = sigmoid((s - tau) / temperature) with sum m = keep N, and tau: a smooth top-k. float64."""
    low, high = logits.min(), logits.max()
    reach = temperature * torch.tensor(keep / (1 - keep), dtype=logits.dtype).log()  # tau of equal logits is s - reach
    low, high = low - reach, high - reach
    for _ in range(HALVINGS):
        tau = (low + high) / 2
        over = ((logits - tau) / temperature).sigmoid().mean() > keep
        low, high = torch.where(over, tau, low), torch.where(over, high, tau)
    tau = (low + high) / 2
    return ((logits - tau) / temperature).sigmoid(), tau


def pull_back(mask: Tensor, slope: Tensor, temperature: float) -> Tensor:
    """(N,) derivative by the logits, of one by the mask: tau moves as well, so that the budget stays met.

    With q = m (1 - m) / temperature the implicit function theorem says d tau = sum q ds / sum q.
    """
    steep = mask * (1 - mask) / temperature
    return steep * (slope - (steep * slope).sum() / steep.sum().clamp(min=torch.finfo(mask.dtype).tiny))


def learn(
    task: Task,
    update: Update,
    *,
    keep: float,
    steps: int,
    relaxation: Relaxation,
    temperature: float,
    learning_rate: float,
    runs: int,
    outer: Literal["end", "area"],
    batch_size: int,
    seed: int,
    notify: Callable[[str, float], None],
    checkpoint: Path | None = None,
) -> Learned:
    """A mask after `steps` of Adam over the mean metagradient of `runs` inner runs, each from a fresh initialisation.

    `outer`: the dev loss at the end of a run, or its mean over the run. `bernoulli` draws a new mask for every run:
    logistic noise on the logits, as in the concrete distribution (arXiv:1611.00712), under the same budget.
    Goes on from the file `checkpoint` where it is there, with the same result; None: keeps none. Raises RunFailed where
    a run diverges.
    """
    logits = torch.zeros(task.size("train"), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=learning_rate)
    history: list[float] = []
    saved = None if checkpoint is None else checkpoints.read(checkpoint, notify)
    if checkpoint is not None and saved is not None:
        with checkpoints.taken(checkpoint):
            logits.data.copy_(saved["logits"])
            optimizer.load_state_dict(saved["optimizer"])
            history = saved["history"]
        notify(f"resuming from outer step {len(history)} of {steps}", len(history) / steps)
    num_steps = len(update.learning_rates)
    measured = [1 / num_steps] * num_steps if outer == "area" else None
    saved_at = time.monotonic()
    for step in range(len(history), steps):
        losses, slope = 0.0, torch.zeros_like(logits)
        for run in range(runs):
            run_seed = derive(seed, "inner run", step, run)
            asked = logits.detach()
            if relaxation == "bernoulli":
                asked = asked + _logistic(len(logits), torch_stream(run_seed, "mask"))
            mask, _ = relax(asked, keep, temperature)
            loss, by_mask = _inner(task, update, mask, keep, measured, batch_size=batch_size, seed=run_seed)
            losses += loss / runs
            slope += pull_back(mask, by_mask, temperature) / runs
        if not slope.isfinite().all():
            raise RunFailed(f"the inner runs diverged at outer step {step + 1}", "a smaller recipe.learning_rate")
        logits.grad = slope
        optimizer.step()
        history.append(losses)
        notify("", (step + 1) / steps)
        if checkpoint is not None and time.monotonic() - saved_at > CHECKPOINT_SECONDS and step + 1 < steps:
            checkpoints.write(
                checkpoint, {"logits": logits.detach(), "optimizer": optimizer.state_dict(), "history": history}
            )
            saved_at = time.monotonic()
    mask, tau = relax(logits.detach(), keep, temperature)
    return Learned(logits.detach() - tau, mask, history)


def _inner(
    task: Task,
    update: Update,
    mask: Tensor,
    keep: float,
    measured: Sequence[float] | None,
    *,
    batch_size: int,
    seed: int,
) -> tuple[float, Tensor]:
    """The outer loss of one short run, and (N,) its derivative by the mask.

    A step's loss is the mean over its batch of m_n l_n / keep, so that it has the size of an unmasked one's.
    """
    losses, start = functional_losses(task, task.model(torch_stream(seed, "init")))
    batches = first_batches(task, batch_size, len(update.learning_rates), seed)
    scales = [1 / (keep * len(batch.index)) for batch in batches]
    weights = _rows(batches, mask / keep, flat(start))
    number = task.size("dev")

    def target(theta: dict[str, Tensor]) -> Tensor:
        held = task.batches("dev", size=batch_size)
        return torch.stack([losses(theta, batch).sum() / number for batch in held]).sum()

    found = metagradient(losses, target, start, batches, weights, update, measured)
    by_mask = torch.zeros_like(mask)
    for scale, batch, slope in zip(scales, batches, found.slopes, strict=True):
        by_mask.index_add_(0, batch.index.cpu(), scale * slope.cpu().to(mask.dtype))
    return found.outer, by_mask


def _rows(batches: Sequence[Batch], weights: Tensor, like: Tensor) -> list[Tensor]:
    """(B,) for each batch, so that its weighted sum of losses is the mean over the batch of weight times loss."""
    return [(weights[batch.index.cpu()] / len(batch.index)).to(like) for batch in batches]


def smoothness(task: Task, update: Update, mask: Tensor, keep: float, *, batch_size: int, seed: int) -> float:
    """Metasmoothness of an inner run under a mask (N,): whether its derivative tells what another mask does."""
    losses, start = functional_losses(task, task.model(torch_stream(seed, "init")))
    batches = first_batches(task, batch_size, len(update.learning_rates), seed)
    fields = [NetworkField(losses, start, [batch]) for batch in batches]

    def train(factors: Tensor) -> Tensor:
        rows = _rows(batches, factors * mask / keep, flat(start))
        return end_of(fields, lambda step, _: rows[step], update, flat(start))

    return metasmoothness(train, mask, seed=seed)


def _logistic(number: int, draw: Generator) -> Tensor:
    """(number,) of the standard logistic distribution: the logit of a uniform number."""
    return torch.rand(number, generator=draw, dtype=torch.float64).logit(eps=1e-12)
