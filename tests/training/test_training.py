"""The loop: a subset of the ordering, separate streams, both budgets, and resuming to the bit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prune_lab.cli import compose
from prune_lab.experiments import choices
from prune_lab.experiments.contracts import Data, Examples, ModelChoice, num_batches
from prune_lab.experiments.data.load import build_task
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.models.networks.convnet import convnet
from prune_lab.experiments.models.networks.dense import mlp
from prune_lab.experiments.models.networks.gpt import gpt
from prune_lab.experiments.seeds import derive, numpy_stream, torch_stream
from prune_lab.experiments.store import checkpoints
from prune_lab.experiments.training.loop import State, train
from prune_lab.experiments.training.optimizers import hidden_matrices, optimizers, schedulers
from prune_lab.experiments.training.policies.uniform import Uniform
from prune_lab.experiments.training.recipes import plan
from prune_lab.experiments.training.run import Fit, fit

CPU = torch.device("cpu")
KEPT = np.arange(0, 90, 3)


def image_task(*, flip: bool = False, shift: int = 0, size: int = 8, depth: int = 1) -> DeviceTask:
    """90 random images of 3 channels and 3 classes."""
    draw = numpy_stream(0, "test")

    def split(number: int) -> Examples:
        images = draw.integers(0, 256, (number, 3, size, size), dtype=np.uint8)
        return Examples(images, draw.integers(0, 3, number), np.array([str(n) for n in range(number)]))

    data = Data("test", "images", {"train": split(90), "dev": split(30), "test": split(30)}, ("a", "b", "c"))

    def architecture(examples: torch.Tensor, init: torch.Generator) -> torch.nn.Module:
        return mlp(examples, init, classes=3, width=16, depth=depth)

    return DeviceTask(data, architecture, device=CPU, flip=flip, shift=shift)


def order_of(task: DeviceTask, index: np.ndarray[Any, Any] | None, epoch: int = 0) -> list[int]:
    batches = task.batches("train", size=10, index=index, order=torch_stream(5, "order", epoch))
    return [int(row) for batch in batches for row in batch.index]


def fitted(
    tmp_path: Path, *, stop_after: int | None = None, optimizer: str = "sgd", support: Any = None, observe: bool = True
) -> tuple[State, Fit]:
    """Train for 4 epochs with a checkpoint at every step; interrupted after some steps if asked."""
    task = image_task(flip=True, shift=1, depth=2 if optimizer == "muon" else 1)
    model = task.model(torch_stream(3, "init"))
    made = optimizers(model, optimizer, learning_rate=0.05, momentum=0.9, weight_decay=1e-3)
    duration = plan(90, 90 if support is None else len(support), batch_size=16, budget="epochs", epochs=4)
    state = State(model, made, schedulers(made, "linear", steps=duration.steps, warmup=0.2))

    def notify(sentence: str, share: float) -> None:
        if stop_after is not None and state.step > stop_after:
            raise KeyboardInterrupt

    result = fit(
        task, state, Uniform(support), duration, seed=3, batch_size=16, precision=torch.float32,
        checkpoint=tmp_path / "checkpoint.pt", notify=notify, observe=observe, movement=observe, checkpoint_seconds=0.0,
    )  # fmt: skip
    return state, result


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("stop_after", [1, 6, 15])
def test_interrupted_and_resumed_is_the_same_to_the_bit(tmp_path: Path, optimizer: str, stop_after: int) -> None:
    whole, recorded = fitted(tmp_path / "whole", optimizer=optimizer)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "cut", stop_after=stop_after, optimizer=optimizer)
    resumed, recorded_again = fitted(tmp_path / "cut", optimizer=optimizer)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
    assert recorded.steps == recorded_again.steps
    assert recorded.epochs == recorded_again.epochs
    assert recorded.metrics == recorded_again.metrics
    for name, values in recorded.trajectory.items():
        np.testing.assert_array_equal(values, recorded_again.trajectory[name])


def test_a_resumed_run_does_not_begin_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, stop_after=9)
    content = checkpoints.read(tmp_path / "checkpoint.pt", lambda *_: None)
    assert content is not None
    before = content["step"]
    assert 8 <= before <= 10
    task, seen = image_task(), []
    model = task.model(torch_stream(3, "init"))
    made = optimizers(model, "sgd", learning_rate=0.05, momentum=0.9, weight_decay=1e-3)
    duration = plan(90, 90, batch_size=16, budget="epochs", epochs=4)
    state = State(model, made, schedulers(made, "linear", steps=duration.steps, warmup=0.2))
    state.load(content)
    for step in train(task, state, Uniform(), duration, seed=3, batch_size=16, device=CPU, precision=torch.float32):
        seen.append(step.number)
    assert seen == list(range(before + 1, duration.steps + 1))


def test_keeping_everything_is_uniform_to_the_bit(tmp_path: Path) -> None:
    uniform, _ = fitted(tmp_path / "a")
    kept, _ = fitted(tmp_path / "b", support=np.arange(90))
    for name, weight in uniform.model.state_dict().items():
        assert torch.equal(weight, kept.model.state_dict()[name])


def test_a_subset_is_visited_in_the_order_of_the_whole() -> None:
    task = image_task()
    whole, subset = order_of(task, None), order_of(task, KEPT)
    assert sorted(whole) == list(range(90))
    assert subset == [row for row in whole if row in set(KEPT)]
    assert order_of(task, None, epoch=1) != whole


def test_augmentation_of_an_example_does_not_depend_on_the_others() -> None:
    task = image_task(flip=True, shift=2)

    def pictures(index: np.ndarray[Any, Any] | None) -> dict[int, torch.Tensor]:
        batches = task.batches("train", size=10, index=index, augmentation=torch_stream(1, "augmentation", 0))
        return {int(row): picture for batch in batches for row, picture in zip(batch.index, batch.inputs, strict=True)}

    whole, subset = pictures(None), pictures(KEPT)
    assert set(subset) == set(KEPT.tolist())
    for row, picture in subset.items():
        assert torch.equal(picture, whole[row])
    plain = {int(row): p for b in task.batches("train", size=90) for row, p in zip(b.index, b.inputs, strict=True)}
    original = torch.from_numpy(np.array(task.examples("train").inputs))
    assert all(torch.equal(plain[row], original[row]) for row in range(90))
    assert sum(not torch.equal(whole[row], original[row]) for row in range(90)) > 60


def test_a_crop_shows_the_image_moved_and_mirrored() -> None:
    task = image_task(flip=True, shift=1)
    (batch,) = task.batches("train", size=90, augmentation=torch_stream(1, "augmentation", 0))
    padded = np.pad(task.examples("train").inputs, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    for row in range(20):
        moved = [padded[row, :, d : d + 8, r : r + 8] for d in range(3) for r in range(3)]
        candidates = moved + [picture[..., ::-1] for picture in moved]
        assert any(np.array_equal(batch.inputs[row].numpy(), candidate) for candidate in candidates)


@pytest.mark.parametrize(("examples", "size", "batches"), [(90, 16, 6), (5, 16, 1), (100, 64, 2), (95, 64, 1)])
def test_batches_are_of_near_equal_size(examples: int, size: int, batches: int) -> None:
    assert num_batches(examples, size) == batches


def test_a_plan_counts_both_budgets() -> None:
    assert plan(1000, 250, batch_size=50, budget="epochs", epochs=4).steps == 20
    assert plan(1000, 250, batch_size=50, budget="steps", epochs=4).steps == 80
    assert plan(1000, 250, batch_size=50, budget="epochs", steps=80).steps == 20
    assert plan(1000, 1000, batch_size=50, budget="epochs", examples=5000).steps == 100
    early = plan(1000, 1000, batch_size=50, budget="epochs", epochs=20, stop_share=0.1)
    assert (early.steps, early.stop) == (400, 40)
    assert plan(1000, 1000, batch_size=50, budget="epochs", epochs=4, stop_share=0.1).stop == 20
    assert plan(1000, 1000, batch_size=50, budget="epochs", epochs=0.5, stop_share=0.1).stop == 10  # all of it
    assert plan(1000, 1000, batch_size=50, budget="epochs", epochs=20, most_epochs=10).stop == 200
    assert plan(1000, 1000, batch_size=50, budget="epochs", epochs=4, stop_epoch=0).stop == 0
    with pytest.raises(ConfigError, match="beyond"):
        plan(1000, 1000, batch_size=50, budget="epochs", epochs=4, stop_epoch=5)


@pytest.mark.parametrize(("name", "middle"), [("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)])
def test_schedules_rise_and_fall(name: str, middle: float) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], 2.0)
    (scheduler,) = schedulers([optimizer], name, steps=100, warmup=0.2)
    rates = []
    for _ in range(100):
        rates.append(scheduler.get_last_lr()[0] / 2.0)
        optimizer.step()
        scheduler.step()
    assert rates[:20] == sorted(rates[:20])
    assert rates[0] < 0.1
    assert rates[60] == pytest.approx(middle, abs=0.01)


def test_streams_are_apart_and_repeatable() -> None:
    assert derive(0, "init") == derive(0, "init")
    assert len({derive(seed, name, n) for seed in (0, 1) for name in ("init", "order") for n in range(3)}) == 12
    assert torch.equal(torch.rand(3, generator=torch_stream(1, "a")), torch.rand(3, generator=torch_stream(1, "a")))


@pytest.mark.parametrize("pixels", [8, 16, 32, 48, 64])
@pytest.mark.parametrize("name", ["convnet", "resnet18"])
def test_networks_take_images_of_8_to_64_pixels(name: str, pixels: int) -> None:
    model = choices.get("model", name)(width=0.125)  # type: ignore[call-arg]
    assert isinstance(model, ModelChoice)
    data = Data("test", "images", {}, ("a", "b", "c"))
    images = torch.rand(8, 3, pixels, pixels, generator=torch_stream(0, "images"))
    assert model.build(data, images, torch_stream(0, "init"))(images).shape == (8, 3)
    with pytest.raises(ConfigError, match="8 to 64"):
        model.build(data, torch.rand(8, 3, 72, 72), torch_stream(0, "init"))


def test_the_stem_whitens() -> None:
    from prune_lab.experiments.models.networks.convnet import whitening_filters

    images = torch.rand(50, 3, 8, 8, generator=torch_stream(0, "images")) - 0.5
    responses = torch.nn.functional.conv2d(images, whitening_filters(images))[:, :12]
    flat = responses.transpose(0, 1).flatten(1).double()
    covariance = flat @ flat.T / flat.shape[1]
    torch.testing.assert_close(covariance, torch.eye(12, dtype=torch.double), atol=0.02, rtol=0)


def test_a_gpt_does_not_see_the_future_and_knows_positions() -> None:
    from prune_lab.experiments.models.networks.gpt import gpt

    tokens = torch.tensor([[5, 6, 7, 8]])
    for positions in ("rotary", "learned"):
        size = {"vocabulary": 20, "context": 4, "width": 16, "depth": 2, "heads": 2}
        model = gpt(torch_stream(0, "init"), **size, positions=positions, tied=True)
        before, after = model(tokens), model(torch.tensor([[5, 6, 9, 9]]))
        torch.testing.assert_close(before[:, :2], after[:, :2])
        assert not torch.allclose(before[:, 2:], after[:, 2:])
        swapped = model(torch.tensor([[6, 5, 7, 8]]))
        assert not torch.allclose(before[:, 3], swapped[:, 3])


def test_attention_and_norm_of_a_gpt_are_the_standard_ones() -> None:
    from prune_lab.experiments.models.networks.gpt import Norm, attend

    generator = torch_stream(0, "vectors")
    query, key, value = (torch.randn(2, 3, 5, 4, generator=generator) for _ in range(3))
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(attend(query, key, value), expected)
    written_out = attend(query.bfloat16(), key.bfloat16(), value.bfloat16())
    torch.testing.assert_close(written_out.float(), expected, atol=0.03, rtol=0.03)
    torch.testing.assert_close(Norm(4)(query), torch.nn.RMSNorm(4)(query))
    assert Norm(4)(torch.zeros(1, 4)).tolist() == [[0, 0, 0, 0]]


def test_precision_float32_is_kept_and_bfloat16_is_close() -> None:
    from prune_lab.experiments.devices import autocast, resolve_precision

    assert resolve_precision("float32", CPU)[0] == torch.float32
    (run,) = compose.runs("train", ["task=digits"])
    task = build_task(run, CPU)
    model = task.model(torch_stream(0, "init"))
    batch = next(task.batches("train", size=32))
    exact = task.outputs(model, batch)
    with autocast(CPU, torch.bfloat16):
        rough = task.outputs(model, batch)
    assert rough.dtype == torch.float32
    assert not torch.equal(exact, rough)
    torch.testing.assert_close(exact, rough, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_the_optimisers_are_torchs_without_its_compiler(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(by_torch: bool) -> list[torch.Tensor]:
        model = image_task(depth=2).model(torch_stream(3, "init"))
        made = optimizers(model, name, learning_rate=0.05, momentum=0.9, weight_decay=1e-3)
        if by_torch:
            for one in made:
                one.__class__ = type(one).__mro__[1]
        for _ in range(3):
            sum(weight.pow(4).sum() for weight in model.parameters()).backward()
            for one in made:
                one.step()
                one.zero_grad()
                one.load_state_dict(one.state_dict())
        return list(model.parameters())

    plain = trained(True)
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # to import it would be an error
    for mine, theirs in zip(trained(False), plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


def test_normalisation_and_whitening_see_a_random_sample_whatever_the_order_of_files() -> None:
    """Class folders are sorted: the first rows of these would be one class of two, all of them dark."""
    half = 6_000
    draw = numpy_stream(0, "test")
    inputs = draw.integers(0, 60, (2 * half, 1, 8, 8), dtype=np.uint8)
    inputs[half:] += 195
    everything = Examples(inputs, np.repeat([0, 1], half), np.array([f"train/{n:05}.png" for n in range(2 * half)]))

    def of(rows: Any) -> tuple[DeviceTask, torch.Tensor]:
        seen: list[torch.Tensor] = []

        def architecture(examples: torch.Tensor, init: torch.Generator) -> torch.nn.Module:
            seen.append(examples)
            return mlp(examples, init, classes=2, width=2, depth=1)

        train = everything.take(rows)
        data = Data("test", "images", {"train": train, "dev": train, "test": train}, ("a", "b"))
        task = DeviceTask(data, architecture, device=CPU)
        task.model(torch_stream(0, "init"))
        return task, seen[0]

    (ordered, examples), (shuffled, others) = of(np.arange(2 * half)), of(draw.permutation(2 * half))
    mean, deviation = float(ordered._mean), float(ordered._deviation)
    assert abs(mean - inputs.mean()) < 4
    assert abs(deviation - inputs.std()) < 1
    assert 0.45 < (examples > 0).float().mean() < 0.55
    assert (mean, deviation) == (float(shuffled._mean), float(shuffled._deviation))
    assert torch.equal(examples, others)


def test_muon_moves_hidden_matrices_and_leaves_input_output_and_embeddings_to_adamw() -> None:
    def moved(model: torch.nn.Module) -> list[str]:
        mine = {id(weight) for weight in hidden_matrices(model)}
        both = optimizers(model, "muon", learning_rate=0.1, momentum=0.9, weight_decay=0.1)
        owned = [id(weight) for one in both for group in one.param_groups for weight in group["params"]]
        assert sorted(owned) == sorted(id(weight) for weight in model.parameters())  # each by one of the two
        return [name for name, weight in model.named_parameters() if id(weight) in mine]

    init = torch_stream(0, "init")
    assert moved(mlp(torch.zeros(2, 5), init, classes=3, width=4, depth=3)) == ["3.weight", "5.weight"]
    sizes = {"vocabulary": 11, "context": 6, "width": 8, "depth": 1, "heads": 2, "positions": "learned"}
    layer = ["attention.projections", "attention.out", "feedforward.0", "feedforward.2"]
    for tied in (True, False):
        assert moved(gpt(init, **sizes, tied=tied)) == [f"layers.0.{name}.weight" for name in layer]
    images = torch.rand(4, 3, 8, 8, generator=init)
    for model in (
        mlp(torch.zeros(2, 5), init, classes=3, width=4, depth=1),
        convnet(images, init, classes=3, width=0.125, stride=None, whitening=False),
    ):
        with pytest.raises(ConfigError, match="between input and output, and this model has none"):
            moved(model)
