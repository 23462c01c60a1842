"""Long-horizon contributions against finite differences of the objective, the search, and the law's identities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prune_lab.experiments.contracts import Batch
from prune_lab.experiments.contribution.adjoint import Path, functional_losses, stride_for
from prune_lab.experiments.contribution.field import Field, LinearField, NetworkField, flat
from prune_lab.experiments.contribution.law import contributions_at, read
from prune_lab.experiments.contribution.search import (
    Problem,
    Search,
    acceleration,
    back,
    baselines,
    curve,
    long_horizon,
    run,
    search,
    swept,
)
from prune_lab.experiments.contribution.simplex import project
from prune_lab.experiments.contribution.updates import Descent
from prune_lab.experiments.errors import DataUnavailable
from prune_lab.experiments.models.networks.convnet import convnet
from prune_lab.experiments.models.networks.dense import mlp
from prune_lab.experiments.models.networks.gpt import gpt
from prune_lab.experiments.seeds import torch_stream

Make = Callable[[int, int], Field]  # seed, number of examples
Kind = Callable[[], tuple[Make, Tensor]]  # and where theta starts


class Classes:
    """As much of a task as a loss needs: cross-entropy, a mean over tokens."""

    def losses(self, model: nn.Module, batch: Batch) -> Tensor:
        outputs = model(batch.inputs).flatten(0, -2)
        each = functional.cross_entropy(outputs, batch.targets.flatten(), reduction="none")
        return each.view(len(batch.targets), -1).mean(1)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch_stream(seed, "inputs"), dtype=torch.float64)


def labels(seed: int, number: int, classes: int) -> Tensor:
    return torch.randint(0, classes, (number,), generator=torch_stream(seed, "labels"))


def perceptron() -> tuple[Make, Tensor]:
    def make(seed: int, number: int) -> Field:
        return LinearField(draw(seed, number, 4), labels(seed, number, 2), columns=1, bias=False)

    return make, draw(99, 4)


def head() -> tuple[Make, Tensor]:
    def make(seed: int, number: int) -> Field:
        return LinearField(draw(seed, number, 4), labels(seed, number, 3), columns=3, bias=True)

    return make, draw(99, 15)


def network(
    model: nn.Module, inputs: Callable[[int, int], Tensor], targets: Callable[[int, int], Tensor]
) -> tuple[Make, Tensor]:
    losses, start = functional_losses(Classes(), model.double())  # type: ignore[arg-type]

    def make(seed: int, number: int) -> Field:
        whole = Batch(torch.arange(number), inputs(seed, number), targets(seed, number))
        parts = [Batch(*(column[rows] for column in (whole.index, whole.inputs, whole.targets)))
                 for rows in (slice(0, 2), slice(2, number))]  # fmt: skip
        return NetworkField(losses, start, parts)

    return make, flat(start)


def image_network() -> tuple[Make, Tensor]:
    images = draw(5, 20, 1, 8, 8).float()
    model = convnet(images, torch_stream(0, "init"), classes=3, width=0.01, stride=1, whitening=True, norm="group")
    return network(
        model, lambda seed, number: draw(seed, number, 1, 8, 8), lambda seed, number: labels(seed, number, 3)
    )


def transformer() -> tuple[Make, Tensor]:
    model = gpt(
        torch_stream(0, "init"), vocabulary=11, context=4, width=8, depth=1, heads=2, positions="rotary", tied=True
    )

    def windows(seed: int, number: int) -> Tensor:
        return torch.randint(0, 11, (number, 5), generator=torch_stream(seed, "tokens"))

    return network(model, lambda *of: windows(*of)[:, :-1], lambda *of: windows(*of)[:, 1:])


def problem(kind: Kind, *, size: int = 5, steps: int = 3, momentum: float = 0.0) -> Problem:
    make, start = kind()
    rates = [0.3 / (1 + step) for step in range(steps)]
    return Problem(make(0, size), make(1, 6), make(2, 6), make(3, 6), start, Descent(rates, momentum, 0.01))


def area(problem: Problem, policy: Tensor) -> float:
    path = run(problem, policy)
    after = [theta for _, _, theta in path.backwards()]
    return float(np.mean([float(problem.target.losses(theta).mean()) for theta in after]))


def some_policy(problem: Problem, seed: int = 0) -> Tensor:
    rows = torch.rand(problem.steps, problem.field.size, generator=torch_stream(seed, "policy"), dtype=torch.float64)
    return rows / rows.sum(1, keepdim=True)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("kind", [perceptron, head, image_network, transformer])
def test_long_horizon_contributions_are_the_derivative_of_the_area(kind: Kind, momentum: float) -> None:
    """To 1e-4 of the largest, for every example at every step (float64, central differences)."""
    given = problem(kind, momentum=momentum)
    policy = some_policy(given)
    phi, found, *_ = swept(given, policy)
    assert found == pytest.approx(area(given, policy), rel=1e-10)
    expected, step = torch.zeros_like(policy), 1e-5
    for place in range(policy.numel()):
        nudge = torch.zeros_like(policy).view(-1).index_fill(0, torch.tensor([place]), step).view_as(policy)
        higher, lower = (area(given, policy + sign * nudge) for sign in (1, -1))
        expected.view(-1)[place] = -given.steps * (higher - lower) / (2 * step)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(phi, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_a_run_in_minibatches_is_a_policy_of_zeros_outside_of_them() -> None:
    given = problem(image_network, size=4, steps=2, momentum=0.5)
    policy = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]], dtype=torch.float64)
    assert isinstance(given.field, NetworkField)
    like = {name: torch.empty(shape) for name, shape in given.field._shapes.items()}
    batches = [NetworkField(given.field._losses, like, [batch]) for batch in given.field._batches]  # of two each
    halves = policy.new_full((2,), 0.5)
    torch.testing.assert_close(run(given, policy).end, Path(batches, given.start, [halves] * 2, given.descent).end)
    assert (long_horizon(given, policy) != 0).all()  # what an example outside of the batch would have given, too


@pytest.mark.parametrize("stride", [2, 3, 5])
def test_a_run_that_is_not_held_whole_gives_the_same_contributions(stride: int) -> None:
    given = problem(perceptron, steps=7, momentum=0.5)
    fields, policy = [given.field] * 7, some_policy(given)
    whole = Path(fields, given.start, list(policy), given.descent)
    parts = Path(fields, given.start, list(policy), given.descent, stride=stride)
    for ours, theirs in zip(parts.backwards(), whole.backwards(), strict=True):
        assert ours[0] == theirs[0]
        assert torch.equal(ours[1], theirs[1])
        assert torch.equal(ours[2], theirs[2])
    assert stride_for(100, 1000, 4e5) == 1
    assert stride_for(100, 1001, 4e5) == 10
    with pytest.raises(DataUnavailable, match="100 steps of 1,000 numbers needs"):
        stride_for(100, 1000, 4 * 1000 * 29)


def test_the_closed_form_is_what_differentiation_says() -> None:
    """A linear network by `torch.func` and its closed form: losses, slope, products and bends."""
    inputs, targets = draw(0, 5, 4), labels(0, 5, 3)
    model = mlp(inputs.float(), torch_stream(0, "init"), classes=3, width=0, depth=0).double()
    losses, start = functional_losses(Classes(), model)  # type: ignore[arg-type]
    general = NetworkField(losses, start, [Batch(torch.arange(5), inputs, targets)])
    closed = LinearField(inputs, targets, columns=3, bias=True)
    assert list(start) == ["model.1.weight", "model.1.bias"]

    def same(theta: Tensor) -> Tensor:  # (C, D) and (C,) as (D + 1, C)
        return torch.cat([theta[:12].view(3, 4).T, theta[12:][None]]).flatten()

    theta, one, two = flat(start), draw(7, 15), draw(8, 15)
    weights = torch.rand(5, generator=torch_stream(0, "weights"), dtype=torch.float64)
    torch.testing.assert_close(general.losses(theta), closed.losses(same(theta)))
    torch.testing.assert_close(same(general.slope(theta, weights)[0]), closed.slope(same(theta), weights)[0])
    ours, theirs = general.products(theta, weights, one), closed.products(same(theta), weights, same(one))
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(same(ours[1]), theirs[1])
    torch.testing.assert_close(general.bends(theta, one, two), closed.bends(same(theta), same(one), same(two)))
    torch.testing.assert_close(same(general.decays), closed.decays)
    torch.testing.assert_close(general.rates(theta, one), closed.rates(same(theta), same(one)))
    torch.testing.assert_close(general.rates(theta, one), ours[0])
    exact = torch.stack([general.slope(theta, row)[0].norm() for row in torch.eye(5, dtype=torch.float64)])
    torch.testing.assert_close(closed.norms(same(theta)), exact)
    estimated = general.norms(theta) / exact
    assert estimated.square().mean().sqrt() == pytest.approx(1, abs=0.2)
    assert ((estimated > 0.5) & (estimated < 1.6)).all()


# ---- the projection and the search -----------------------------------------------------------------------------------


def test_the_projection_is_the_nearest_point_of_the_simplex() -> None:
    rows = torch.tensor([[0.5, 0.5, 0.5], [2.0, 0.0, 0.0], [0.9, 0.3, -1.0], [-5.0, -5.0, -6.0]], dtype=torch.float64)
    expected = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1, 0, 0], [0.8, 0.2, 0], [0.5, 0.5, 0]], dtype=torch.float64)
    torch.testing.assert_close(project(rows), expected)
    many = torch.randn(50, 40, generator=torch_stream(0, "rows"), dtype=torch.float64)
    found = project(many)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(1), torch.ones(50, dtype=torch.float64))
    kept = found > 0  # optimal: one threshold a row, and what is dropped lies below it
    tau = (many - found).masked_fill(~kept, -math.inf).amax(1, keepdim=True)
    torch.testing.assert_close((many - tau).clamp(min=0), found)


def searched(epochs: int = 40) -> tuple[Problem, Search]:
    """A perceptron whose training labels are half wrong and whose target's are right."""
    teacher, inputs = draw(50, 8), draw(51, 40, 8)
    wrong = (torch.arange(40) % 2).bool()
    right = (inputs @ teacher > 0).long()
    train = LinearField(inputs, torch.where(wrong, 1 - right, right), columns=1, bias=False)
    others = [
        LinearField(x, (x @ teacher > 0).long(), columns=1, bias=False)
        for x in (draw(60 + n, 200, 8) for n in range(3))
    ]
    given = Problem(train, *others, torch.zeros(8, dtype=torch.float64), Descent([0.3] * 40))
    state = Search(given.uniform.clone(), given.uniform)
    list(search(given, state, epochs=epochs, rate=0.4))
    return given, state


def test_the_search_drops_what_is_wrong_and_nears_the_exact_condition() -> None:
    """Planted: half of the labels are wrong. Their weight goes, the area falls, and phi's gap to its maximum closes."""
    given, state = searched()
    assert state.policy.sum(1).allclose(torch.ones(40, dtype=torch.float64))
    assert float(state.best[:30, 1::2].sum(1).mean()) < 0.1
    assert state.target[-1] < 0.5 * state.target[0]
    gaps = []
    for policy in (given.uniform, state.best):
        phi = long_horizon(given, policy)[:30]
        mean = (policy[:30] * phi).sum(1)
        gaps.append(float((phi.amax(1) - mean).median()))
    assert gaps[1] < 0.2 * gaps[0]


def test_the_policy_found_is_the_best_by_the_stopping_set() -> None:
    """Of a stopping set with the opposite labels, every move towards the target makes the area larger."""
    given, _ = searched(0)
    inputs = draw(60, 200, 8)  # the target's
    opposite = LinearField(inputs, (inputs @ draw(50, 8) <= 0).long(), columns=1, bias=False)
    against = replace(given, stopping=opposite)
    state = Search(against.uniform.clone(), against.uniform)
    list(search(against, state, epochs=5, rate=0.4))
    assert state.target[-1] < state.target[0]
    assert state.stopping[-1] > state.stopping[0]
    assert state.best_epoch == 0
    assert torch.equal(state.best, against.uniform)
    assert not torch.equal(state.policy, against.uniform)


def test_a_search_that_goes_on_ends_where_an_unbroken_one_does() -> None:
    given, whole = searched(epochs=6)
    state = Search(given.uniform.clone(), given.uniform)
    for epoch, *_ in search(given, state, epochs=6, rate=0.4):
        if epoch == 3:
            break
    saved = Search(state.policy.clone(), state.best.clone(), state.best_epoch, list(state.target), list(state.stopping))
    list(search(given, saved, epochs=6, rate=0.4))
    assert torch.equal(saved.policy, whole.policy)
    assert (saved.target, saved.stopping, saved.best_epoch) == (whole.target, whole.stopping, whole.best_epoch)


def test_baselines_follow_their_rules() -> None:
    given, _ = searched(epochs=0)
    found = baselines(given, multiples=(4,))
    rules = ["by loss", "by gradient norm", "greedy by contribution"]
    assert list(found) == ["constant", "constant, 4 times the step", *rules]
    assert found["constant, 4 times the step"][1].learning_rates[0] == pytest.approx(1.2)
    theta = draw(3, 8)
    losses = given.field.losses(theta)
    torch.testing.assert_close(found["by loss"][0](0, theta), losses / losses.sum())
    norms = torch.stack([given.field.slope(theta, row)[0].norm() for row in torch.eye(40, dtype=torch.float64)])
    torch.testing.assert_close(found["by gradient norm"][0](0, theta), norms / norms.sum())
    row = found["greedy by contribution"][0](0, theta)
    target = given.target.slope(theta, torch.full((200,), 1 / 200, dtype=torch.float64))[0]
    rates = given.field.products(theta, given.uniform[0], target)[0]
    assert sorted(row.nonzero().flatten().tolist()) == sorted(rates.topk(4).indices.tolist())
    constant = curve(given, *found["constant"], {"target": given.target})["target"]
    assert len(constant) == 41
    assert constant[-1] == pytest.approx(float(given.target.losses(run(given, given.uniform).end).mean()))


def test_the_oracle_leaves_out_what_is_known_to_be_wrong() -> None:
    given, _ = searched(epochs=0)
    clean = (torch.arange(40) % 4 > 0).double()
    row = baselines(replace(given, clean=clean))["without the wrong labels"][0](0, given.start)
    assert row.sum() == pytest.approx(1)
    assert row.unique().tolist() == [0, 1 / 30]
    assert torch.equal(row > 0, clean > 0)


def test_acceleration_golden() -> None:
    assert acceleration([4, 3, 2, 1], [4, 2, 1, 1]) == 1.5
    assert math.isnan(acceleration([4, 3, 2, 1], [4, 3, 2, 1.5]))
    assert acceleration([4, 3, 2, 1], [4, 3, 2, 1.0000001]) == 1  # the same run again, on a GPU


# ---- the law ---------------------------------------------------------------------------------------------------------


def flow(*, orthogonal: bool = False, eta: float = 0.01, steps: int = 60) -> Problem:
    inputs = 1.5 * draw(0, 12, 12)
    if orthogonal:
        inputs = 3 * torch.linalg.qr(inputs)[0]
    teacher = draw(1, 12)
    parts = [(x, (x @ teacher > 0).long()) for x in (inputs, *(draw(2 + n, 60, 12) for n in range(3)))]
    train, *others = (LinearField(x, y, columns=1, bias=False) for x, y in parts)
    return Problem(train, *others, torch.zeros(12, dtype=torch.float64), Descent([eta] * steps))


def seen(given: Problem, policy: Tensor, steps: set[int]) -> tuple[list[SimpleNamespace], float]:
    path = run(given, policy)
    moments = [moment for moment in back(given, policy, path) if moment.step in steps]
    found = [contributions_at(given, moment, policy[moment.step]) for moment in moments][::-1]
    return found, float(given.target.losses(path.end).mean())  # type: ignore[return-value]


def test_the_bracket_is_what_separates_the_two_contributions() -> None:
    """d phi_n / dt = -CT_n + B_n, to the first order in the step; and sum gamma phi is the loss that is still to go."""
    given = flow()
    policy = some_policy(flow(), seed=1)[:1].expand(60, -1)
    (first, second, *_), end = seen(given, policy, {10, 11})
    change = (second.phi - first.phi) / 0.01
    assert first.bracket is not None
    scale = np.abs(change).max()
    np.testing.assert_allclose(change, -first.ct + first.bracket, atol=0.02 * scale)
    assert np.abs(first.bracket).max() > 0.1 * scale  # not by being nothing
    assert read(first, end)["phi_ratio"] == pytest.approx(1, abs=0.01)


def test_with_orthogonal_inputs_the_bracket_vanishes_and_the_printed_law_is_exact() -> None:
    given = flow(orthogonal=True)
    policy = some_policy(given, seed=1)[:1].expand(60, -1)
    (found,), _ = seen(given, policy, {10})
    assert found.bracket is not None
    assert np.abs(found.bracket).max() < 1e-9 * np.abs(found.ct).max()


def test_what_is_read_of_one_step() -> None:
    ct = np.array([1.0, 3.0, -1.0, 5.0])
    found = SimpleNamespace(
        step=7, weights=np.array([0.5, 0.5, 0.0, 0.0]), ct=ct, phi=2 * ct, bracket=ct - np.array([0.5, 0.5, 9, 9]),
        losses=np.array([1e-4, 1.0, 1e-4, 1.0]), loss=5.0, reliability=0.9,
    )  # fmt: skip
    row = read(found, 1.0)  # type: ignore[arg-type]
    assert row["ct_mean"] == 2
    assert row["ct_cv"] == pytest.approx(0.5)
    assert row["phi_ratio"] == 1
    assert row["bracket_share"] == pytest.approx(1)
    assert row["inactive_ct"] == 0.5
    assert row["harmful_dropped"] == 1
    assert row["learnt_light"] == 0.5
    assert row["phi_kkt_gap"] == pytest.approx((10 - 4) / 4)
