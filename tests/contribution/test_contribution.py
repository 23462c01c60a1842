"""Contributions against a loop over examples and against the loss itself; TracIn and TRAK by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prune_lab.experiments.contribution.meter import contributions, target_gradient
from prune_lab.experiments.errors import ConfigError

from ..scores import score
from ..scoring.test_scoring import Attentive, convolutional, images, mlp, proxy, tokens, vectors
from ..training.test_evaluation import MemoryTask

MODELS = [(vectors(), mlp()), (images(), convolutional()), (tokens(), Attentive())]


def gradients_of(task: MemoryTask, model: nn.Module) -> Tensor:
    """(N, P) one example at a time."""
    weights = [weight for weight in model.eval().parameters() if weight.requires_grad]
    rows: dict[int, Tensor] = {}
    for batch in task.batches("train", size=1):
        parts = torch.autograd.grad(task.losses(model, batch).sum(), weights)
        rows[int(batch.index)] = torch.cat([part.flatten() for part in parts])
    return torch.stack([rows[n] for n in range(len(rows))])


@pytest.mark.parametrize(("task", "model"), MODELS, ids=["mlp", "conv", "text"])
def test_contributions_are_products_of_gradients(task: MemoryTask, model: nn.Module) -> None:
    of_examples = gradients_of(task, model)
    expected = of_examples @ of_examples.mean(0)  # train, dev and test are one split here
    found = contributions(task, model)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(("task", "model"), MODELS, ids=["mlp", "conv", "text"])
def test_the_central_difference_is_near_the_derivative(task: MemoryTask, model: nn.Module) -> None:
    target = target_gradient(task, model)
    exact, near = (contributions(task, model, target=target, by=by) for by in ("derivative", "difference"))  # type: ignore[arg-type]
    assert not np.array_equal(exact, near)
    np.testing.assert_allclose(near, exact, atol=0.03 * float(np.sqrt(np.mean(exact**2))))


def test_a_part_of_the_examples_against_a_part_of_the_target() -> None:
    task, model = MODELS[0]
    of_examples = gradients_of(task, model)
    rows, aims = np.array([7, 2, 5]), np.array([0, 1])
    params = dict(model.named_parameters())
    others = {name: torch.zeros_like(weight) for name, weight in params.items()}
    expected = of_examples[rows] @ of_examples[aims].mean(0)
    np.testing.assert_allclose(contributions(task, model, params, rows, aims), expected, rtol=1e-3)
    assert not np.allclose(contributions(task, model, others, rows, aims), expected, rtol=0.1)


@pytest.mark.parametrize("aims", [[], [1, 1]], ids=["empty", "twice"])
def test_a_target_set_names_each_of_its_examples_once(aims: list[int]) -> None:
    with pytest.raises(ConfigError, match="each of them once"):
        contributions(*MODELS[0], target=np.array(aims, dtype=np.int64))


def test_contributions_to_oneself_and_along_nothing_are_refused() -> None:
    task, model = MODELS[0]
    with pytest.raises(ConfigError, match="to themselves"):
        contributions(task, model, index=np.array([0, 1]), target=np.array([1, 2]), split="dev")
    apart = contributions(task, model, index=np.array([0, 3]), target=np.array([1, 2]), split="dev")
    assert np.isfinite(apart).all()
    nothing = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}
    with pytest.raises(ConfigError, match="gradient is zero"):
        contributions(task, model, target=nothing, by="difference")
    assert (contributions(task, model, target=nothing) == 0).all()


def test_a_step_along_an_examples_gradient_lowers_the_target_loss_by_its_contribution() -> None:
    task, model = vectors(), mlp().double()
    task.inputs = task.inputs.double()
    found = contributions(task, model)
    weights = list(model.parameters())
    gradient, rate = gradients_of(task, model)[3], 1e-4

    def loss(step: float) -> float:
        moved = nn.utils.parameters_to_vector(weights).detach()
        nn.utils.vector_to_parameters(moved - step * gradient, weights)
        mean = sum(float(task.losses(model, batch).sum().detach()) for batch in task.batches("dev", size=100))
        nn.utils.vector_to_parameters(moved, weights)
        return mean / task.size("dev")

    assert (loss(-rate) - loss(rate)) / (2 * rate) == pytest.approx(found[3], rel=1e-4)


# ---- by hand ---------------------------------------------------------------------------------------------------------

WEIGHTS = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def two_classes() -> tuple[MemoryTask, nn.Linear]:
    """Logits are the inputs; class 0 has the odds e^(x0 - x1)."""
    model = nn.Linear(2, 2, bias=False)
    model.weight = nn.Parameter(WEIGHTS.clone())
    return MemoryTask(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), torch.tensor([0, 0, 1])), model


def test_tracin_golden() -> None:
    """The gradient of example n is (p - onehot) x^T: with q = p_1 it is (-q, q) x^T for class 0."""
    task, model = two_classes()
    q = [1 / (1 + math.e), 1 / (1 + math.exp(-2)), -0.5]  # the last is of class 1
    slopes = np.array([[-a, a] for a in q])
    of_examples = np.einsum("nc,nd->ncd", slopes, task.inputs.numpy()).reshape(3, -1)
    assert score("tracin", task, [proxy(model)]).tolist() == [
        pytest.approx((of_examples @ of_examples.mean(0)).tolist(), rel=1e-5)
    ]


def test_trak_golden() -> None:
    """With two classes the log-odds are linear: x in one row, -x in the other; projected to full rank, P cancels."""
    task, model = two_classes()
    task.inputs = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [2.0, -1.0]])
    task.targets = torch.tensor([0, 0, 1, 1])
    sign = np.array([1, 1, -1, -1])[:, None]
    features = sign * task.inputs.numpy()  # the second row of the weights only mirrors the first
    wrong = 1 / (1 + np.exp(sign[:, 0] * (task.inputs[:, 0] - task.inputs[:, 1]).numpy()))
    # Of the doubled features (f, -f) the Gram matrix is singular: two dimensions hold them all.
    expected = features @ np.linalg.inv(features.T @ features) @ features.T * wrong[:, None]
    found = score("trak", task, [proxy(model)], dimension=2, damping=0.0)
    np.testing.assert_allclose(found, [expected.mean(1)], rtol=1e-3, atol=1e-6)


def test_trak_is_for_classes() -> None:
    with pytest.raises(ConfigError, match="scorer=tracin"):
        score("trak", tokens(), [proxy(Attentive())], dimension=2, damping=0.0)
