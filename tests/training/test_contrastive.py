"""SimCLR: its golden loss, its views, that it reads no label, resumes to the bit and finds the classes of digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from prune_lab.experiments.contracts import Data
from prune_lab.experiments.data import digits
from prune_lab.experiments.data.splits import pool
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.models.features import head, penultimate
from prune_lab.experiments.models.networks.dense import mlp
from prune_lab.experiments.phases.plan import score_job
from prune_lab.experiments.scoring.clusters import unit
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.store.folders import Store
from prune_lab.experiments.training import views
from prune_lab.experiments.training.contrastive import contrast, nt_xent, pairs, projecting
from prune_lab.experiments.training.loop import State
from prune_lab.experiments.training.optimizers import optimizers, schedulers
from prune_lab.experiments.training.recipes import plan

from ..command_line import TINY, call, changed
from ..phases.test_defaults import run
from ..planted import encoder
from .test_training import CPU, image_task

SIMCLR = {"name": "prototypes", "encoder": "simclr"}


def trained(
    task: DeviceTask,
    folder: Path,
    *,
    batch_size: int = 30,
    notify: Callable[[str, float], None] = lambda sentence, share: None,
) -> tuple[torch.nn.Module, dict[str, list[float]]]:
    """Three epochs, with a checkpoint at every step."""
    model = task.model(torch_stream(0, "init"))
    duration = plan(90, 90, batch_size=batch_size, budget="epochs", epochs=3)
    with projecting(model, torch_stream(0, "projection")):
        made = optimizers(model, "sgd", learning_rate=0.1, momentum=0.9, weight_decay=1e-3)
        steps = contrast(
            task, State(model, made, schedulers(made, "linear", steps=duration.steps, warmup=0.1)), duration,
            seed=0, batch_size=batch_size, precision=torch.float32, temperature=0.5,
            checkpoint=folder / "checkpoint.pt", notify=notify, checkpoint_seconds=0.0,
        )  # fmt: skip
    return model, steps


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    weights = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in weights)


# ---- the loss --------------------------------------------------------------------------------------------------------


def test_nt_xent_of_two_images_golden() -> None:
    """Views (1, 0) and (0, 1), their other halves (3, 4) and (0, 2): cosines .6, 0 | 0, .8 and 1 | .8 across."""
    first, second = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[3.0, 4.0], [0.0, 2.0]])

    def found(own: float, *others: float) -> float:
        return -math.log(math.exp(own / 0.5) / sum(math.exp(c / 0.5) for c in (own, *others)))

    expected = (found(0.6, 0.0, 0.0) + found(1.0, 0.0, 0.8) + found(0.6, 0.8, 0.8) + found(1.0, 0.0, 0.8)) / 4
    assert nt_xent(first, second, 0.5).item() == pytest.approx(expected, rel=1e-6)
    assert nt_xent(second, first * 7, 0.5).item() == pytest.approx(expected, rel=1e-6)  # of directions, both ways


# ---- views -----------------------------------------------------------------------------------------------------------


def ramp(channels: int) -> Tensor:
    """(20, C, 8, 8) brighter from left to right."""
    return torch.linspace(10, 200, 8).repeat(20, channels, 8, 1)


def test_light_changes_brightness_and_contrast_and_leaves_some_as_they_are() -> None:
    seen = views.lit(ramp(3), torch_stream(0, "light"))
    mean, spread = (seen - ramp(3)).mean((1, 2, 3)), seen.std((1, 2, 3)) / ramp(3).std((1, 2, 3))
    assert (mean.abs() > 1).any()
    assert spread.min() < 0.9
    assert spread.max() > 1.1
    unchanged = [torch.allclose(one, other, atol=1e-3) for one, other in zip(seen, ramp(3), strict=True)]
    assert 0 < sum(unchanged) < 10


@pytest.mark.parametrize("channels", [1, 3])
def test_views_differ_stay_in_range_and_never_mirror(channels: int) -> None:
    seen = views.view(ramp(channels).to(torch.uint8), torch_stream(0, "view"))
    assert seen.shape == (20, channels, 8, 8)
    assert 0 <= seen.min() < seen.max() <= 255
    assert not torch.allclose(seen[0], seen[1], atol=1)
    assert torch.equal(seen, views.view(ramp(channels).to(torch.uint8), torch_stream(0, "view")))
    brightness = seen.mean((1, 2))
    assert (brightness[:, -1] > brightness[:, 0]).all()


def test_a_map_moves_what_is_seen() -> None:
    shown = views.sampled(ramp(1)[:1], torch.tensor([[[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]]))
    expected = ramp(1)[:1, ..., 1:]
    torch.testing.assert_close(
        shown[..., :-1], expected, atol=1e-3, rtol=0
    )  # an eighth of the side: one pixel of eight


def test_crops_stay_inside_and_show_enough() -> None:
    maps = views.crops(500, torch_stream(0, "crops"))
    size, centre = maps[:, [0, 1], [0, 1]], maps[..., 2]
    assert (size + centre.abs() <= 1 + 1e-6).all()
    assert views.AREA - 1e-6 < size.prod(1).min() < 1.2 * views.AREA
    assert (size[:, 0] / size[:, 1]).max() < views.ASPECT + 1e-6


def test_other_colours_keep_the_luminance_and_grey_stays_grey() -> None:
    maps = views.colours(torch.tensor([0.0, 1.4, 1.0]), torch.tensor([0.0, 0.5, 0.0]))
    colour = torch.tensor([200.0, 50.0, 100.0])
    luminance = torch.tensor(views.YIQ[0])
    grey = (colour @ luminance).repeat(3)
    torch.testing.assert_close((maps @ colour) @ luminance, grey, atol=1e-3, rtol=0)
    torch.testing.assert_close(maps[0] @ colour, grey, atol=1e-3, rtol=0)
    torch.testing.assert_close(maps[2], torch.eye(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(maps @ torch.ones(3), torch.ones(3, 3), atol=1e-5, rtol=0)
    assert (maps[1] @ colour - colour).abs().min() > 1


def test_a_batch_holds_both_views_of_an_image_half_a_batch_apart() -> None:
    task = image_task(flip=True, shift=1)
    batches = list(pairs(task, size=30, seed=0, epoch=0))
    assert [len(batch.index) for batch in batches] == [60] * 3
    assert sorted(row for batch in batches for row in batch.index[:30].tolist()) == list(range(90))
    for batch in batches:
        assert torch.equal(batch.index[:30], batch.index[30:])
        assert not torch.allclose(batch.inputs[:30], batch.inputs[30:])
    (last,) = pairs(task, size=30, seed=0, epoch=0, skip=2)
    assert torch.equal(last.inputs, batches[2].inputs)


# ---- training --------------------------------------------------------------------------------------------------------


def test_labels_change_nothing(tmp_path: Path) -> None:
    task = image_task()
    train = task.examples("train")
    wrong = replace(train, targets=np.random.default_rng(0).permutation(train.targets))
    assert (wrong.targets != train.targets).any()
    data = Data("test", "images", {"train": wrong}, task.classes)
    relabelled = DeviceTask(data, task._architecture, device=CPU)
    first, second = trained(task, tmp_path / "a"), trained(relabelled, tmp_path / "b")
    assert same(first[0], second[0])
    assert first[1] == second[1]


def test_the_head_is_as_it_was_drawn_and_what_lies_before_it_is_not(tmp_path: Path) -> None:
    task = image_task()
    drawn, (model, steps) = task.model(torch_stream(0, "init")), trained(task, tmp_path)
    assert torch.equal(head(model).weight, head(drawn).weight)
    assert not same(model, drawn)
    assert steps["step"] == list(range(1, 10))
    assert steps["epoch"] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("stop_after", [2, 3])
def test_interrupted_and_resumed_is_the_same_to_the_bit(tmp_path: Path, stop_after: int) -> None:
    task = image_task(flip=True, shift=1)
    told: list[str] = []

    def interrupt(sentence: str, share: float) -> None:
        told.append(sentence)
        if len(told) > stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(task, tmp_path / "cut", notify=interrupt)
    whole = trained(task, tmp_path / "whole")
    resumed = trained(task, tmp_path / "cut", notify=lambda sentence, share: told.append(sentence))
    assert f"resuming from step {stop_after} of 9" in told
    assert same(whole[0], resumed[0])
    assert whole[1] == resumed[1]


def test_an_image_alone_in_its_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="alone in its batch"):
        trained(image_task(), tmp_path, batch_size=1)


def test_features_tell_digits_apart_better_than_those_of_an_untrained_encoder() -> None:
    """By the nearest class mean on the test split, and by how pure k-means clusters are, which prototypes rest on."""
    data = digits.load(dev=0.1)
    data = replace(data, splits={**data.splits, "train": pool(data.splits["train"], 400)})
    task = DeviceTask(data, lambda images, init: mlp(images, init, classes=10, width=64, depth=1), device=CPU)
    labels, tested = task.labels("train"), task.labels("test")
    assert labels is not None

    def measured(model: torch.nn.Module) -> tuple[float, float]:
        train, test = (unit(penultimate(task, model, split)) for split in ("train", "test"))
        means = unit(np.stack([train[labels == c].mean(0) for c in range(10)]))
        clusters = MiniBatchKMeans(10, random_state=0, batch_size=1024, n_init=3).fit_predict(train)
        pure = sum(np.bincount(labels[clusters == c], minlength=10).max() for c in range(10)) / len(labels)
        return float(((test @ means.T).argmax(1) == tested).mean()), float(pure)

    untrained, learned = measured(task.model(torch_stream(0, "init"))), measured(encoder(task, 0).model)
    assert learned[0] > untrained[0] + 0.01
    assert learned[1] > untrained[1] + 0.08


# ---- the score -------------------------------------------------------------------------------------------------------


def test_an_encoder_is_a_train_job_of_its_own_and_proxies_keep_their_keys() -> None:
    proxies = score_job(run(model={"name": "mlp"}, scorer={"name": "prototypes"}))
    assert score_job(run(model={"name": "mlp"}, scorer={"name": "prototypes", "encoder": "proxy"})).key == proxies.key
    (encoder,) = score_job(run(model={"name": "mlp"}, scorer=SIMCLR)).inputs.values()
    assert encoder.recipe["proxy"] == {"number": 0, "encoder": "simclr", "temperature": 0.5}
    assert encoder.recipe["recipe"]["epochs"] == 100
    longer = run(model={"name": "mlp"}, scorer=SIMCLR, recipe={"steps": 7})
    assert [job.key for job in score_job(longer).inputs.values()] == [
        encoder.key
    ]  # the proxies' duration is not its own
    more = run(model={"name": "mlp"}, scorer=SIMCLR | {"supervised": True})
    assert [job.key for job in score_job(more).inputs.values()] == [encoder.key]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scorer": SIMCLR | {"epoch": 3}, "model": {"name": "mlp"}}, "use scorer.epochs"),
        ({"scorer": {"name": "prototypes", "epochs": 3}}, "are of scorer.encoder=simclr"),
        ({"scorer": SIMCLR}, "and model=linear has none"),
        ({"scorer": SIMCLR, "task": {"name": "perceptron"}, "model": {"name": "mlp"}}, "task=perceptron has none"),
    ],
)
def test_what_has_no_meaning_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run(**changes)


def test_scores_of_an_encoder_end_to_end(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    words = [
        *changed(*TINY, "task.examples=60", "model=mlp"),
        "model.width=16",
        "scorer=prototypes",
        "scorer.encoder=simclr",
    ]
    answer = call(capsys, "score", *words, "scorer.epochs=2", "--json", results)
    assert answer.code == 0, answer.err
    assert "views: turned by up to 15 degrees" in answer.err
    (encoder,) = Store(tmp_path / "results").folders("train")
    assert encoder.record["metrics"]["examples_seen"] == 120
    assert pd.read_parquet(encoder.path / "steps.parquet")["epoch"].tolist() == [0, 1]
    scores = pd.read_parquet(Path(answer.objects[0]["path"]) / "scores.parquet")
    assert np.isfinite(scores["score"]).all()
    assert scores["score"].nunique() > 30
