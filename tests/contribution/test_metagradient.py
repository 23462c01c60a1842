"""The adjoint of a training run against finite differences of torch.optim's own run, in float64."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prune_lab.experiments.contracts import Batch
from prune_lab.experiments.contribution.adjoint import Path, functional_losses, metagradient, sweep
from prune_lab.experiments.contribution.field import NetworkField, flat
from prune_lab.experiments.contribution.updates import AdamW, Descent, Update
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.models.networks.gpt import gpt
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.training.optimizers import optimizers

STEPS, SIZE = 3, 2
RATES = [0.05, 0.3, 0.2]
DECAY = 0.01


class Classes:
    """As much of a task as a loss needs: cross-entropy, in the model's own precision; a mean over tokens."""

    def losses(self, model: nn.Module, batch: Batch) -> Tensor:
        outputs = model(batch.inputs).flatten(0, -2)
        each = functional.cross_entropy(outputs, batch.targets.flatten(), reduction="none")
        return each.view(len(batch.targets), -1).mean(1)


def vectors(number: int, *, seed: int) -> Batch:
    draw = torch_stream(seed, "vectors")
    inputs = torch.randn(number, 5, generator=draw, dtype=torch.float64)
    return Batch(torch.arange(number), inputs, torch.randint(0, 3, (number,), generator=draw))


def tokens(number: int, *, seed: int) -> Batch:
    windows = torch.randint(0, 11, (number, 5), generator=torch_stream(seed, "tokens"))
    return Batch(torch.arange(number), windows[:, :-1], windows[:, 1:])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 3)).double()


def transformer() -> nn.Module:
    return gpt(
        torch_stream(0, "init"), vocabulary=11, context=4, width=8, depth=1, heads=2, positions="rotary", tied=True
    ).double()


def outcome(make: Any, batches: list[Batch], held: Batch, weights: Tensor, update: Update, measured: Any) -> float:
    """The outer loss of a run by torch.optim as training has it, which the adjoint has to be the derivative of."""
    model, task = make(), Classes()
    name, momentum = ("adamw", 0.0) if isinstance(update, AdamW) else ("sgd", update.momentum)  # type: ignore[attr-defined]
    (optimizer,) = optimizers(model, name, learning_rate=0.1, momentum=momentum, weight_decay=DECAY)
    found = 0.0
    for batch, row, rate, counts in zip(batches, weights, update.learning_rates, measured, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        (row * task.losses(model, batch)).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found += counts * float(task.losses(model, held).mean().detach())
    return found


@pytest.mark.parametrize(
    "update",
    [Descent(RATES, 0.0, DECAY), Descent(RATES, 0.9, DECAY), AdamW([rate / 5 for rate in RATES], DECAY)],
    ids=["sgd", "momentum", "adamw"],
)
@pytest.mark.parametrize("measured", [None, [1 / STEPS] * STEPS], ids=["end", "area"])
@pytest.mark.parametrize(("make", "data"), [(network, vectors), (transformer, tokens)], ids=["mlp", "gpt"])
def test_the_adjoint_is_the_derivative(make: Any, data: Any, measured: list[float] | None, update: Update) -> None:
    """Of every weight of every step, to 1e-4 of the largest; repeated examples, unequal rates, decay."""
    batches, held = [data(SIZE, seed=step) for step in range(STEPS)], data(6, seed=9)
    weights = torch.rand(STEPS, SIZE, generator=torch_stream(0, "weights"), dtype=torch.float64)
    losses, start = functional_losses(Classes(), make())  # type: ignore[arg-type]
    found = metagradient(
        losses, lambda theta: losses(theta, held).mean(), start, batches, list(weights), update, measured
    )
    rest = (update, measured or [0.0] * (STEPS - 1) + [1.0])
    assert found.outer == pytest.approx(outcome(make, batches, held, weights, *rest), rel=1e-10)
    expected = torch.zeros_like(weights)
    step = 1e-6  # 1e-5 takes one of the transformer's ReLUs across its kink
    for place in range(weights.numel()):
        nudge = torch.zeros_like(weights).view(-1).index_fill(0, torch.tensor([place]), step).view_as(weights)
        higher, lower = (outcome(make, batches, held, weights + sign * nudge, *rest) for sign in (1, -1))
        expected.view(-1)[place] = (higher - lower) / (2 * step)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(
        torch.stack(list(found.slopes)), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
    )


@pytest.mark.parametrize("update", [Descent([0.1] * 5, 0.9), AdamW([0.01] * 5, DECAY)], ids=["momentum", "adamw"])
def test_several_targets_are_swept_at_once_and_states_made_again(update: Update) -> None:
    """Each target's slopes are those of a sweep of its own, whether all states are held or one in three."""
    batches, held = [vectors(3, seed=step) for step in range(5)], vectors(4, seed=9)
    weights = [torch.full((3,), 1 / 3, dtype=torch.float64)] * 5
    losses, start = functional_losses(Classes(), network())  # type: ignore[arg-type]
    alone = [
        metagradient(losses, lambda theta, one=one: losses(theta, held)[one], start, batches, weights, update)
        for one in range(4)
    ]
    fields = [NetworkField(losses, start, [batch]) for batch in batches]
    target = NetworkField(losses, start, [held])

    def each(theta: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.eye(4, dtype=torch.float64)
        return target.losses(theta), torch.stack([target.slope(theta, row)[0] for row in rows])

    for stride in (1, 3):
        path = Path(fields, flat(start), weights, update, stride=stride)
        found = [moment.slopes for moment in sweep(path, fields, each, weights, update, [0.0] * 4 + [1.0])][::-1]
        for one in range(4):
            torch.testing.assert_close(torch.stack(found)[:, one], torch.stack(list(alone[one].slopes)))


def test_a_number_without_a_gradient_has_no_derivative_under_adamw() -> None:
    """Its second moment is zero, where the square root has none: zero, not infinity or NaN."""
    update, decays = AdamW([0.1]), torch.ones(2)
    before = (torch.ones(2), torch.zeros(2), torch.zeros(2))
    after = update.step(0, before, torch.tensor([0.0, 2.0]), decays)
    direction, rest = update.back(0, before, after, (torch.ones(2), torch.zeros(2), torch.zeros(2)), decays)
    assert direction[0] == 0
    assert all(part.isfinite().all() for part in rest)


def test_one_step_golden() -> None:
    """From theta = 0 on l_n = (theta - x_n)^2 / 2: theta_1 = eta sum w x, and dJ/dw_n = eta x_n J'(theta_1)."""
    batch = Batch(torch.arange(2), torch.tensor([1.0, 3.0]), torch.zeros(2))
    found = metagradient(
        lambda theta, b: 0.5 * (theta["x"] - b.inputs).square(),
        lambda theta: 0.5 * (theta["x"] - 5.0).square().sum(),
        {"x": torch.zeros(1)},
        [batch],
        [torch.tensor([0.5, 0.25])],
        Descent([0.8]),
    )
    assert found.end["x"].tolist() == pytest.approx([1.0])
    assert found.outer == pytest.approx(8.0)
    assert found.slopes[0].tolist() == pytest.approx([-3.2, -9.6])


def test_batch_norm_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch norm"):
        functional_losses(SimpleNamespace(), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))  # type: ignore[arg-type]
