"""Packed models learn what each would learn alone; the ensemble they make is stored, resumed and shared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from prune_lab.experiments.contracts import Indices
from prune_lab.experiments.errors import ConfigError, RunFailed
from prune_lab.experiments.models.networks.convnet import convnet
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.store import checkpoints
from prune_lab.experiments.store.folders import Store
from prune_lab.experiments.training import packing
from prune_lab.experiments.training.loop import State, train
from prune_lab.experiments.training.optimizers import optimizers, schedulers
from prune_lab.experiments.training.recipes import plan

from ..command_line import TINY, call, changed
from .test_training import CPU, image_task

MODELS = 3
DURATION = plan(90, 90, batch_size=16, budget="epochs", epochs=4)
MEMBERS = np.stack([packing.subset(90, 0.7, seed=5, number=number) for number in range(MODELS)])
ENSEMBLE = [*TINY, "scorer=memorization", "scorer.models=20", "scorer.share=0.5"]


class Weighing:
    """A policy that weighs a subset one and the rest zero, and visits all."""

    def __init__(self, member: np.ndarray) -> None:
        self.member = torch.from_numpy(member).float()

    def visited(self, epoch: int, progress: float) -> Indices | None:
        return None

    def weights(self, step: int, index: torch.Tensor) -> torch.Tensor:
        return self.member[index]

    def observe(self, step: int, index: torch.Tensor, losses: torch.Tensor) -> None: ...

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, state: dict[str, torch.Tensor]) -> None: ...


def packed(
    members: np.ndarray,
    optimizer: str = "sgd",
    clip: float | None = None,
    rate: float = 0.05,
    broken: int | None = None,
) -> packing.Pack:
    task = image_task(flip=True, shift=1)
    pack = packing.Pack([task.model(torch_stream(3, "init", number)) for number in range(len(members))])
    if broken is not None:
        for weight in pack.weights.values():
            weight.data[broken] = torch.nan
    steps = packing.train(
        task, pack, members, DURATION, seed=3, batch_size=16, precision=torch.float32, optimizer=optimizer,
        learning_rate=rate, momentum=0.9, weight_decay=0.1, schedule="linear", warmup=0.2, clip=clip,
        strict=broken is None,
    )  # fmt: skip
    assert list(steps) == list(range(1, DURATION.steps + 1))
    return pack


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_packed_models_learn_what_each_learns_alone(optimizer: str, clip: float | None) -> None:
    rate = 0.05 if optimizer == "sgd" else 0.01
    pack, task = packed(MEMBERS, optimizer, clip, rate), image_task(flip=True, shift=1)
    right = packing.correct(task, pack, "dev", size=16)
    for number, member in enumerate(MEMBERS):
        model = task.model(torch_stream(3, "init", number))
        before = {name: weight.clone() for name, weight in model.state_dict().items()}
        made = optimizers(model, optimizer, learning_rate=rate, momentum=0.9, weight_decay=0.1)
        state = State(model, made, schedulers(made, "linear", steps=DURATION.steps, warmup=0.2))
        for _ in train(
            task, state, Weighing(member), DURATION, seed=3, batch_size=16, device=CPU, precision=torch.float32,
            clip=clip,
        ):  # fmt: skip
            pass
        for name, weight in model.state_dict().items():
            torch.testing.assert_close(pack.weights[name][number].detach(), weight, atol=1e-4, rtol=1e-4)
            assert (weight - before[name]).abs().max() > 1e-2  # the tolerance is far below what was learned
        (batch,) = task.batches("dev", size=30)
        alone = (task.outputs(model, batch).argmax(-1) == batch.targets).numpy()
        assert (right[number] == alone).mean() > 0.95  # a logit within the tolerance of another may turn


def test_what_lies_outside_a_subset_changes_nothing_and_what_lies_inside_does() -> None:
    """Two models of one initialisation would be equal on equal subsets; each has its own initialisation."""
    other = MEMBERS.copy()
    other[1] = ~other[1]
    first, second = packed(MEMBERS), packed(other)
    for name, weight in first.weights.items():
        assert torch.equal(weight[0], second.weights[name][0])
        assert not torch.allclose(weight[1], second.weights[name][1], atol=1e-3)
        assert torch.equal(weight[2], second.weights[name][2])
    task = image_task()
    starts = packing.Pack([task.model(torch_stream(3, "init", number)) for number in range(2)]).weights
    assert not any(torch.allclose(weight[0], weight[1]) for weight in starts.values() if weight.ndim > 2)


def test_subsets_have_the_exact_size_and_are_their_own() -> None:
    assert MEMBERS.sum(1).tolist() == [63] * MODELS
    assert len({member.tobytes() for member in MEMBERS}) == MODELS
    np.testing.assert_array_equal(packing.subset(90, 0.7, seed=5, number=2), MEMBERS[2])


def test_a_model_without_an_example_in_a_batch_stays_finite() -> None:
    members = MEMBERS.copy()
    members[0] = np.arange(90) == 7
    assert all(weight.isfinite().all() for weight in packed(members).weights.values())


def test_a_model_that_diverged_leaves_the_others_alone() -> None:
    whole, others = packed(MEMBERS), packed(MEMBERS, broken=1)
    for name, weight in others.weights.items():
        assert weight[1].isnan().any()
        for place in (0, 2):
            torch.testing.assert_close(weight[place], whole.weights[name][place])


def test_what_cannot_be_packed_is_refused_with_what_can() -> None:
    images = torch.rand(8, 3, 8, 8, generator=torch_stream(0, "images"))
    model = convnet(images, torch_stream(0, "init"), classes=3, width=0.125, stride=None, whitening=False)
    with pytest.raises(ConfigError, match=r"batch norm(.|\n)*model=mlp"):
        packing.Pack([model])
    with pytest.raises(ConfigError, match=r"muon(.|\n)*adamw"):
        packed(MEMBERS, "muon")
    with pytest.raises(RunFailed, match=r"3 of 3 models(.|\n)*learning_rate"):
        packed(MEMBERS, rate=1e30)


def test_a_pack_fits_its_memory() -> None:
    assert packing.pack_size(torch.nn.Linear(10, 10)) == packing.LARGEST_PACK
    with torch.device("meta"):
        assert packing.pack_size(torch.nn.Linear(2**12, 2**10, bias=False)) == 8
        assert packing.pack_size(torch.nn.Linear(2**15, 2**15)) == 1


# ---- the ensemble ----------------------------------------------------------------------------------------------------


def test_three_scores_share_one_ensemble(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    words = changed(*ENSEMBLE, "scorer=memorization,influence_max,influence_sum_abs", "--json", results)
    made = call(capsys, "score", *words).objects
    scores = [pd.read_parquet(Path(one["path"]) / "scores.parquet")["score"].to_numpy() for one in made]
    assert all(np.isfinite(score).all() and len(np.unique(score)) > 30 for score in scores)
    assert np.abs(scores[0]).max() <= 1
    assert (scores[2] >= scores[1]).all()
    (folder,) = Store(tmp_path / "results").folders("train")
    assert {one["key"] for one in made}.isdisjoint({folder.key})
    with np.load(folder.path / "ensemble.npz") as arrays:
        assert {name: array.shape for name, array in arrays.items()} == {
            "members": (20, 200), "train": (20, 200), "dev": (20, 144)
        }  # fmt: skip
        assert arrays["members"].sum(1).tolist() == [100] * 20
    metrics = folder.record["metrics"]
    assert 0.3 < metrics["accuracy_outside"] < metrics["accuracy_inside"] <= 1


def test_an_interrupted_ensemble_goes_on_from_its_last_pack(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "LARGEST_PACK", 8)
    trained: list[int] = []

    def counted(*words: object, **more: object) -> object:
        trained.append(len(words[2]))  # type: ignore[arg-type]
        return packed_train(*words, **more)  # type: ignore[arg-type]

    packed_train = packing.train
    monkeypatch.setattr(packing, "train", counted)
    call(capsys, "score", *ENSEMBLE, f"results={tmp_path / 'whole'}")
    assert trained == [8, 8, 4]
    keep, saved = checkpoints.write, []

    def interrupted(path: Path, content: dict[str, object]) -> None:
        keep(path, content)
        saved.append(path)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write", interrupted)
        assert call(capsys, "score", *ENSEMBLE, f"results={tmp_path / 'cut'}").code == 130
    trained.clear()
    again = call(capsys, "score", *ENSEMBLE, f"results={tmp_path / 'cut'}")
    assert (again.code, trained) == (0, [4])
    assert "models 8 to 15 of 20 are there" in again.err
    whole, cut = (Store(tmp_path / name).folders("train")[0].path / "ensemble.npz" for name in ("whole", "cut"))
    with np.load(whole) as one, np.load(cut) as other:
        for name in ("members", "train", "dev"):
            np.testing.assert_array_equal(one[name], other[name])
    assert Store(tmp_path / "cut").leftovers() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scorer.models=3"], "3 models are not enough"),
        (["model=convnet"], "model=mlp, linear or perceptron"),
        (["recipe.optimizer=muon"], "recipe.optimizer=sgd or adamw"),
        (["scorer.share=1"], "scorer.share"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_an_ensemble_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], results: str, words: list[str], said: str
) -> None:
    answer = call(capsys, "score", *changed(*ENSEMBLE, *words), results)
    assert said in answer.err
    assert answer.code != 0
