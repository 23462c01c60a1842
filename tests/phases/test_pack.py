"""A score's proxies in one job are what each is alone: weights, trajectories, order of batches, early stops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prune_lab.cli import compose
from prune_lab.experiments import choices
from prune_lab.experiments.contracts import Proxy, ProxyRun
from prune_lab.experiments.data.load import build_task
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases import pack
from prune_lab.experiments.phases.plan import job_of, packs
from prune_lab.experiments.phases.work import Evidence, Work
from prune_lab.experiments.store import checkpoints
from prune_lab.experiments.store.folders import Store
from prune_lab.experiments.training import packing
from prune_lab.experiments.training.recipes import Recipe

from ..command_line import TINY, call, changed

MLP = [*changed(*TINY, "model=mlp"), "model.width=8", "recipe.precision=float32"]


def proxies(capsys: pytest.CaptureFixture[str], place: Path, *words: str) -> list[Proxy]:
    """Those that the scorer is given, in its order."""
    assert call(capsys, "score", *MLP, *words, f"results={place}").code == 0
    (run,) = compose.runs("score", [*MLP, *words])
    job, store = job_of("score", run), Store(place)
    inputs = {name: store.get("train", one.key) for name, one in job.inputs.items()}
    work = Work(job, place, inputs, store, lambda sentence, share: None)
    work.task = build_task(run, torch.device("cpu"))
    return Evidence(work).proxies


@pytest.mark.parametrize(
    "words",
    [
        ["scorer=tdds", "scorer.window=3", "scorer.proxies=3", "recipe.clip=0.5", "recipe.flip=true", "recipe.shift=1"],
        ["scorer=tracin", "scorer.proxies=2", "recipe.optimizer=adamw", "recipe.learning_rate=0.01"],  # two looks each
        ["scorer=el2n", "scorer.epoch=1", "scorer.proxies=5"],  # in packs of 2
        ["scorer=loss", "scorer.epoch=0", "scorer.proxies=2"],  # not trained at all
    ],
    ids=lambda words: words[0],
)
def test_packed_proxies_are_what_each_is_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    if "scorer=el2n" in words:
        monkeypatch.setattr(packing, "LARGEST_PACK", 2)
    together = proxies(capsys, tmp_path / "together", *words)
    monkeypatch.setattr(choices.get("model", "mlp"), "packs", False)
    alone = proxies(capsys, tmp_path / "alone", *words)
    assert len(Store(tmp_path / "together").folders("train")) < len(Store(tmp_path / "alone").folders("train"))
    assert len(together) == len(alone) > 1
    for one, other in zip(together, alone, strict=True):
        for mine, theirs in zip(one.model.parameters(), other.model.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)
        assert one.trajectory.keys() == other.trajectory.keys()
        for name, values in one.trajectory.items():
            np.testing.assert_allclose(values, other.trajectory[name], atol=2e-3, rtol=1e-3, err_msg=name)
    first, second = (next(iter(together[place].model.parameters())) for place in (0, -1))
    assert not torch.allclose(first, second, atol=1e-2)  # proxies are draws of their own


def test_settings_decide_what_is_packed_and_the_rest_is_trained_alone() -> None:
    def packed(*words: str) -> list[list[int]]:
        (run,) = compose.runs("score", ["task=digits", *words])
        return packs(run)

    assert packed("model=mlp", "scorer=el2n", "scorer.proxies=4") == [[0, 1, 2, 3]]
    assert packed("model=linear", "scorer=tracin", "scorer.proxies=2") == [[0, 3], [1, 4], [2, 5]]
    each = [[0], [1], [2]]
    assert packed("model=convnet", "scorer=loss") == each  # no faster packed on a CPU
    assert packed("model=mlp", "scorer=loss", "recipe.optimizer=muon") == each
    (run,) = compose.runs("score", ["task=digits", "model=mlp", "scorer=loss"])
    assert job_of("score", run).inputs["train_0"].recipe["proxy"] == {"numbers": [0, 1, 2]}


def test_an_interrupted_score_loses_one_pack(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "LARGEST_PACK", 2)
    whole, trained, train = [], [], pack._trained
    words = ["score", *MLP, "scorer=loss", "scorer.proxies=4"]

    def cut(*given: object) -> object:
        if len(trained) == 1:
            trained.append(0)
            raise KeyboardInterrupt
        trained.append(1)
        return train(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(pack, "_trained", cut)
    assert call(capsys, *words, f"results={tmp_path / 'cut'}").code == 130
    assert call(capsys, *words, f"results={tmp_path / 'cut'}").code == 0
    assert trained == [1, 0, 1]
    trained.extend([1, 1])
    assert call(capsys, *words, f"results={tmp_path / 'whole'}").code == 0
    for name in ("cut", "whole"):
        (folder,) = Store(tmp_path / name).folders("train")
        whole.append([(folder.path / f"model_{place}.safetensors").read_bytes() for place in range(4)])
    assert whole[0] == whole[1]
    assert Store(tmp_path / "cut").leftovers() == []


def test_a_pack_of_other_code_is_removed_and_the_run_starts_over(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["score", *MLP, "scorer=loss", "scorer.proxies=2"]
    (run,) = compose.runs("score", words[1:])
    key = job_of("score", run).inputs["train_0"].key
    path = Store(tmp_path).resume_folder("train", key) / "proxies_0.pt"
    checkpoints.write(path, {"weights": {"other": torch.zeros(2, 3)}, "seen": {}, "examples": 0})
    answer = call(capsys, *words, f"results={tmp_path}")
    assert (answer.code, "does not fit this run" in answer.err) == (1, True), answer.err
    assert call(capsys, *words, f"results={tmp_path}").code == 0


def test_a_scorer_numbers_its_proxies_and_may_change_their_optimiser(monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = compose.runs("score", ["task=digits", "model=mlp", "scorer=loss", "recipe.momentum=0.5"])

    def asks(*asked: ProxyRun) -> None:
        monkeypatch.setattr(choices.get("scorer", "loss"), "evidence", lambda self, run: asked)

    asks(ProxyRun({"share": 0.5}))
    with pytest.raises(ConfigError, match="a proxy without a number"):  # it would have the seed of the model it judges
        job_of("score", run)
    asks(ProxyRun({"number": 0}), ProxyRun({"number": 0}))
    with pytest.raises(ConfigError, match="the same proxy twice"):
        job_of("score", run)
    for recipe in (
        {"learning_rat": 0.1},
        {"learning_rate": -1.0},
        {"steps": 5, "epochs": 1},
    ):  # no name, no rate, two durations
        asks(ProxyRun({"number": 0}, recipe))
        with pytest.raises(ConfigError, match="of no recipe: "):
            job_of("score", run)
    asks(*[ProxyRun({"number": number}, {"optimizer": "muon"}) for number in range(2)])
    assert packs(run) == [[0], [1]]
    asks(ProxyRun({"number": 0}, {"optimizer": "adamw"}))
    (job,) = job_of("score", run).inputs.values()
    assert job.run.recipe.momentum == Recipe.model_fields["momentum"].default  # adamw reads none
