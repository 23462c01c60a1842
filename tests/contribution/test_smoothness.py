"""Metasmoothness: one where the end follows the weights along a line, low where it jumps; of a search's own runs."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prune_lab.experiments.contracts import Batch
from prune_lab.experiments.contribution import search
from prune_lab.experiments.contribution.adjoint import functional_losses
from prune_lab.experiments.contribution.field import NetworkField, flat
from prune_lab.experiments.contribution.search import Problem, smoothness
from prune_lab.experiments.contribution.settings import readable
from prune_lab.experiments.contribution.smoothness import agreement, metasmoothness
from prune_lab.experiments.contribution.updates import Descent
from prune_lab.experiments.phases import search as phase
from prune_lab.experiments.seeds import torch_stream


def test_agreement_golden() -> None:
    """The first number moves by 3 the same way twice, the second by 1 there and back a little: (3 - 1) / 4."""
    ends = (torch.tensor([0.0, 0.0]), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.0]))
    assert agreement(*ends) == pytest.approx(0.5)
    assert agreement(ends[0], ends[0], ends[0]) == 1
    assert math.isnan(agreement(ends[0], ends[1], torch.tensor([torch.nan, 1.0])))  # diverged
    with_still = [torch.cat([end, torch.zeros(5)]) for end in ends]  # what does not move does not count
    assert agreement(*with_still) == pytest.approx(0.5)


def test_phi_of_a_run_that_diverged_is_not_read() -> None:
    """The least of a number and NaN is the number, where it comes first."""
    assert readable(0.9, 0.8)
    assert not readable(0.9, 0.79)
    assert not readable(0.9, math.nan)
    assert not readable(math.nan, 0.9)


def test_a_line_is_smooth_and_chaos_is_not() -> None:
    mix = torch.randn(400, 20, generator=torch_stream(0, "mix"), dtype=torch.float64)
    like = torch.ones(20, dtype=torch.float64)
    assert metasmoothness(lambda weights: mix @ weights, like, seed=0) == pytest.approx(1)
    assert abs(metasmoothness(lambda weights: (1e4 * mix @ weights).sin(), like, seed=0)) < 0.6


class Classes:
    """As much of a task as a loss needs."""

    def losses(self, model: nn.Module, batch: Batch) -> Tensor:
        return functional.cross_entropy(model(batch.inputs), batch.targets, reduction="none")


@pytest.mark.parametrize(("eta", "smooth"), [(0.1, 1.0), (10.0, 0.0)])
def test_a_step_too_large_is_seen(eta: float, smooth: float) -> None:
    """Small steps of a network are smooth; the end of steps past the edge of stability says nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 3)).double()
    losses, start = functional_losses(Classes(), model)  # type: ignore[arg-type]

    def part(seed: int) -> NetworkField:
        draw = torch_stream(seed, "vectors")
        inputs = torch.randn(20, 5, generator=draw, dtype=torch.float64)
        return NetworkField(
            losses, start, [Batch(torch.arange(20), inputs, torch.randint(0, 3, (20,), generator=draw))]
        )

    given = Problem(part(0), part(1), part(2), part(3), flat(start), Descent([eta] * 40))
    by_seed = [smoothness(given, given.uniform, seed=seed) for seed in (1, 2)]
    assert by_seed == pytest.approx([smooth] * 2, abs=0.3)
    assert eta < 1 or by_seed[0] != by_seed[1]  # each run draws its own directions


def test_a_search_draws_the_directions_by_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All seeds had the same two, so that an interval over seeds did not count their luck."""
    seeds: list[int] = []

    def drawn(*_: object, seed: int) -> float:
        seeds.append(seed)
        return 1.0

    monkeypatch.setattr(search, "smoothness", drawn)
    for seed in (3, 4):
        work = SimpleNamespace(seed=seed, decide=lambda _: None)
        phase._smoothness(work, None, "found", None)  # type: ignore[arg-type]
    assert seeds == [3, 4]
