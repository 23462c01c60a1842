"""The adjoint of a training run against finite differences of torch.optim's own run, in float64."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prune_lab.experiments.contracts import Batch
from prune_lab.experiments.contribution.adjoint import Descent, functional_losses, metagradient
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.models.networks.gpt import gpt
from prune_lab.experiments.seeds import torch_stream

STEPS, SIZE = 3, 2
RATES = [0.05, 0.3, 0.2]


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


def outcome(make: Any, batches: list[Batch], held: Batch, weights: Tensor, descent: Descent, measured: Any) -> float:
    """The outer loss of a run by torch.optim.SGD, which the adjoint has to be the derivative of."""
    model, task = make(), Classes()
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": descent.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim < 2]},
    ]
    optimizer = torch.optim.SGD(groups, 0.1, momentum=descent.momentum, nesterov=descent.momentum > 0)
    found = 0.0
    for batch, row, rate, counts in zip(batches, weights, descent.learning_rates, measured, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        (row * task.losses(model, batch)).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        found += counts * float(task.losses(model, held).mean().detach())
    return found


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("measured", [None, [1 / STEPS] * STEPS], ids=["end", "area"])
@pytest.mark.parametrize(("make", "data"), [(network, vectors), (transformer, tokens)], ids=["mlp", "gpt"])
def test_the_adjoint_is_the_derivative(make: Any, data: Any, measured: list[float] | None, momentum: float) -> None:
    """Of every weight of every step, to 1e-4 of the largest; repeated examples, unequal rates, decay."""
    batches, held = [data(SIZE, seed=step) for step in range(STEPS)], data(6, seed=9)
    weights = torch.rand(STEPS, SIZE, generator=torch_stream(0, "weights"), dtype=torch.float64)
    descent = Descent(RATES, momentum, weight_decay=0.01)
    losses, start = functional_losses(Classes(), make())  # type: ignore[arg-type]
    found = metagradient(
        losses, lambda theta: losses(theta, held).mean(), start, batches, list(weights), descent, measured
    )
    rest = (descent, measured or [0.0] * (STEPS - 1) + [1.0])
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
