from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn
from torch.nn import functional

from prune_lab.experiments.contracts import IGNORED, Batch, Examples, Indices, Kind, Split
from prune_lab.experiments.models.outputs import examine, statistics
from prune_lab.experiments.training.evaluation import evaluate


class MemoryTask:
    """The Task protocol over arrays in memory: one split under all three names, served in reversed batches."""

    name = "memory"

    def __init__(self, inputs: Tensor, targets: Tensor, kind: Kind = "vectors", num_bytes: list[int] | None = None):
        self.inputs, self.targets, self.kind = inputs, targets, kind
        self.classes = () if kind == "text" else tuple(f"class {c}" for c in range(int(targets.max()) + 1))
        self.num_bytes = num_bytes

    def size(self, split: Split) -> int:
        return len(self.inputs)

    def labels(self, split: Split) -> Indices | None:
        return None if self.kind == "text" else self.targets.numpy()

    def examples(self, split: Split) -> Examples:
        ids = np.array([f"row{n}" for n in range(len(self.inputs))])
        units = {}
        if self.num_bytes is not None:
            tokens = (self.targets != IGNORED).sum(1).numpy()
            units = {"tokens": tokens, "bytes": np.array(self.num_bytes)}
        return Examples(self.inputs.numpy(), self.targets.numpy(), ids, units=units)

    def batches(
        self,
        split: Split,
        *,
        size: int,
        index: Indices | None = None,
        order: Generator | None = None,
        augmentation: Generator | None = None,
    ) -> Iterator[Batch]:
        assert order is None
        assert augmentation is None
        rows = torch.arange(len(self.inputs)) if index is None else torch.from_numpy(np.sort(index))
        for part in reversed(rows.split(size)):
            yield Batch(part, self.inputs[part], self.targets[part])

    def model(self, init: Generator) -> nn.Module:
        raise NotImplementedError

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        images = self.kind == "images"  # in channels-last, as a real task gives them: not possible inside vmap
        logits: Tensor = model(batch.inputs.to(memory_format=torch.channels_last) if images else batch.inputs)
        return logits

    def losses(self, model: nn.Module, batch: Batch, outputs: Tensor | None = None) -> Tensor:
        outputs = self.outputs(model, batch) if outputs is None else outputs
        flat = functional.cross_entropy(
            outputs.flatten(0, -2), batch.targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        if batch.targets.ndim == 1:
            return flat
        return flat.view_as(batch.targets).sum(1) / (batch.targets != IGNORED).sum(1)


def logs(*rows: list[float]) -> Tensor:
    """Logits whose softmax is these rows."""
    return torch.tensor(rows).log()


def test_statistics_golden() -> None:
    found = statistics(logs([0.5, 0.25, 0.25], [0.5, 0.25, 0.25]), torch.tensor([0, 2]))
    expected = {
        "loss": [math.log(2), math.log(4)],
        "correct": [1, 0],
        "margin": [math.log(2), -math.log(2)],
        "margin_probability": [0.25, -0.25],
        "error": [math.sqrt(0.375), math.sqrt(0.25 + 0.0625 + 0.5625)],
        "probability": [0.5, 0.25],
        "entropy": [1.5 * math.log(2)] * 2,
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == torch.float32
        assert found[name].tolist() == pytest.approx(values, rel=1e-6), name


def test_statistics_of_text_are_means_over_the_tokens_that_count() -> None:
    outputs = torch.stack([logs([0.5, 0.25, 0.25]).repeat(3, 1), logs([0.5, 0.25, 0.25]).repeat(3, 1)])
    targets = torch.tensor([[0, 2, IGNORED], [IGNORED, IGNORED, IGNORED]])
    found = statistics(outputs, targets)
    assert found["loss"][0].item() == pytest.approx(1.5 * math.log(2))
    assert found["correct"][0].item() == 0.5
    assert found["margin_probability"][0].item() == pytest.approx(0.0)
    assert all(value[1].isnan() for value in found.values())  # a window without a token


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.floats(0.1, 30), st.integers(0, 2**31))
def test_statistics_agree_with_the_definitions_in_float64(classes: int, scale: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(20, classes, generator=generator) * scale
    targets = torch.randint(0, classes, (20,), generator=generator)
    found = statistics(outputs, targets)
    p = outputs.double().softmax(1)
    one_hot = functional.one_hot(targets, classes)
    others = p.masked_fill(one_hot.bool(), 0).amax(1)
    own = p[range(20), targets]
    expected = {
        "loss": -own.log(),
        "error": (p - one_hot).norm(dim=1),
        "margin": own.log() - others.log(),
        "margin_probability": own - others,
        "probability": own,
        "entropy": torch.special.entr(p).sum(1),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values.numpy(), rtol=1e-4, atol=2e-6, err_msg=name)
    small = expected["error"] > 1e-9  # below, float64 itself is lost in p - one_hot
    np.testing.assert_allclose(found["error"][small].numpy(), expected["error"][small].numpy(), rtol=1e-4)


def test_the_error_orders_examples_that_are_almost_certain() -> None:
    outputs = torch.stack([torch.tensor([margin, 0.0]) for margin in (9.0, 10.0, 12.0, 16.0, 20.0)])
    error = statistics(outputs, torch.zeros(5, dtype=torch.int64))["error"]
    assert (error.diff() < 0).all()
    assert error[-1].item() == pytest.approx(math.sqrt(2) / (1 + math.exp(20)), rel=1e-4)


def test_statistics_take_half_precision_and_hold_no_graph() -> None:
    outputs = torch.randn(4, 3, dtype=torch.bfloat16, requires_grad=True)
    found = statistics(outputs, torch.tensor([0, 1, 2, 0]))
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in found.values())


def classifier() -> tuple[MemoryTask, nn.Module]:
    """Four rows, three classes; the identity, so the inputs are the logits. Dropout shows the mode."""
    rows = ([0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.5, 0.25])
    return MemoryTask(logs(*rows), torch.tensor([0, 2, 1, 1])), nn.Dropout(0.9)


def test_examine_aligns_by_index_in_eval_mode_and_leaves_the_mode() -> None:
    task, model = classifier()
    found = examine(task, model, "train", size=3)
    assert found["probability"].tolist() == pytest.approx([0.5, 0.25, 0.75, 0.5])
    assert found["loss"].tolist() == pytest.approx([-math.log(p) for p in (0.5, 0.25, 0.75, 0.5)])
    assert found["loss"].dtype == np.float64
    assert model.training
    model.eval()
    some = examine(task, model, "train", size=1, index=np.array([3, 0]))
    assert some["margin_probability"].tolist() == pytest.approx([0.25, 0.25])
    assert some["probability"].shape == (2,)
    assert not model.training


def test_examine_takes_the_tasks_own_loss() -> None:
    task, model = classifier()
    task.losses = lambda model, batch, outputs=None: batch.index * 10.0  # type: ignore[method-assign,assignment]
    assert examine(task, model, "train")["loss"].tolist() == [0, 10, 20, 30]


def test_metrics_of_a_classifier() -> None:
    task, model = classifier()
    task.classes = ("a", "b", "c", "never seen")
    metrics, seen = evaluate(task, model, "test")
    assert metrics == {
        "accuracy": 0.75,
        "error": 0.25,
        "loss": pytest.approx((3 * math.log(2) + math.log(2) - math.log(0.75)) / 4),
        "worst_class_accuracy": 0.0,
        "per_class": [1.0, 1.0, 0.0, None],
    }
    assert seen["correct"].tolist() == [1, 0, 1, 1]


def test_metrics_of_text_weigh_every_token_alike() -> None:
    """Two windows of 3 and 1 tokens, a uniform model over 4: 2 bits a token, 4 tokens for 5 bytes."""
    targets = torch.tensor([[0, 1, 2], [3, IGNORED, IGNORED]])
    inputs = torch.zeros(2, 3, 4)
    inputs[1, 0, 3] = math.log(3)  # the lone token of the second window has probability 1/2
    task = MemoryTask(inputs, targets, "text", num_bytes=[4, 1])
    metrics, seen = evaluate(task, nn.Identity(), "dev")
    assert seen["loss"].tolist() == pytest.approx([math.log(4), math.log(2)])
    assert metrics == {
        "loss": pytest.approx(7 * math.log(2) / 4),
        "bits_per_byte": pytest.approx(7 / 5),
        "accuracy": pytest.approx(0.5),  # the first class wins a tie: token 0 of the first window, and the lone one
        "perplexity": pytest.approx(2 ** (7 / 4)),
    }
