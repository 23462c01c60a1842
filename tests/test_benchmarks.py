"""The benchmarks give what they promise, and their baselines compute what ours compute. No timing is judged."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from benchmarks import (
    contribution,
    label_errors,
    ours,
    packing,
    plain,
    planting,
    race,
    sweep,
    synthetic,
    text,
    training,
)
from benchmarks.__main__ import app
from benchmarks.contest import DEVICE
from benchmarks.side import RACES, Measured, Side
from prune_lab.experiments.contracts import Proxy
from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.models.networks.dense import mlp
from prune_lab.experiments.seeds import torch_stream

from .scores import score

KEYS = {"benchmark", "ours", "baseline", "unit", "ratio", "target", "met", "bound", "note", "machine"}


class SideHere:
    """A side of a contest in this process: what `Side` does in a child, which takes seconds to start."""

    def __init__(self, name: str, side: str, quick: bool) -> None:
        (contest,) = (one for one in RACES[name.partition(".")[0]].contests(quick) if one.name == name)
        self.run = (contest.ours if side == "ours" else contest.baseline)(contest.prepare())

    def __enter__(self) -> SideHere:
        return self

    def __exit__(self, *_: object) -> None: ...

    def lap(self) -> Measured:
        begin = time.perf_counter()
        return Measured(self.run(), time.perf_counter() - begin, 1.0)


def test_each_measurement_is_one_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "SIZE", 256)
    monkeypatch.setattr(race, "Side", lambda name, *asked: (Side if "el2n" in name else SideHere)(name, *asked))
    result = CliRunner().invoke(app, ["scoring", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    measured = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["benchmark"] for one in measured] == ["scoring.el2n", "scoring.grand"]
    for one in measured:
        assert set(one) == KEYS
        assert min(one["ours"], one["baseline"], one["ratio"], one["target"], one["bound"]) > 0
        assert {"processor", "threads", "torch", "bfloat16_fast"} <= set(one["machine"])


def test_packing_compares_seconds_for_as_many_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "Side", SideHere)
    result = CliRunner().invoke(app, ["packing", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    measured = [json.loads(line) for line in result.stdout.splitlines()]
    units = ["s for 32 models", *["s for 10 proxies"] * 3]
    assert [(set(one), one["unit"], one["target"]) for one in measured] == [
        (KEYS, unit, target) for unit, target in zip(units, [None, 2.5, 2.5, None], strict=True)
    ]
    for one in measured:
        assert one["ratio"] == pytest.approx(one["baseline"] / one["ours"])


def test_both_sides_of_packed_proxies_train_as_many_steps_on_as_many_examples() -> None:
    words = ("task=digits", "task.examples=100", "model=linear", "scorer=aum", "scorer.proxies=2", "recipe.epochs=1")
    packed: dict[str, Any] = {}
    alone: dict[str, Any] = {}
    assert packing.proxies_lap(words, 2, packed=True, made=packed)() == 2
    assert packing.proxies_lap(words, 2, packed=False, made=alone)() == 2
    assert (len(packed), len(alone)) == (1, 2)
    assert packed["train_0"]["steps"] == alone["train_1"]["steps"]
    assert packed["train_0"]["examples_seen"] == sum(one["examples_seen"] for one in alone.values())


def test_seconds_a_model_stand_beside_the_published_ones() -> None:
    result = CliRunner().invoke(app, ["model", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    (one,) = map(json.loads, result.stdout.splitlines())
    assert (set(one), one["unit"], one["baseline"], one["target"]) == (KEYS, "s a model", 3.83, None)
    assert one["ratio"] == pytest.approx(one["baseline"] / one["ours"])


def test_the_overhead_of_equal_contribution_is_a_ratio_to_our_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "Side", SideHere)
    result = CliRunner().invoke(app, ["equalising", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    measured = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["benchmark"] for one in measured] == ["equalising.images", "equalising.text"]
    for one in measured:
        assert set(one) == KEYS
        assert one["target"] == pytest.approx(1 / 1.3)
        assert one["ratio"] == pytest.approx(one["ours"] / one["baseline"])


@pytest.mark.parametrize(
    ("run", "data"),
    [
        (training.RUN, lambda: synthetic.images(6)),
        (text.RUN, lambda: synthetic.tokens(6, context=text.CONTEXT, vocabulary=text.VOCABULARY)),
    ],
    ids=["images", "text"],
)
def test_contributions_in_one_pass_are_those_of_a_gradient_each(run: tuple[str, ...], data: Any) -> None:
    chosen, given = ours.run(*run), data()
    mine: list[Tensor] = []
    theirs: list[Tensor] = []
    assert contribution.one_pass(chosen, given, mine)() == 6
    assert contribution.each_gradient(chosen, given, 4, theirs)() == 6
    torch.testing.assert_close(torch.cat(mine).float(), torch.cat(theirs), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("run", "data"),
    [
        (sweep.IMAGES, lambda: synthetic.images(6)),
        (text.RUN, lambda: synthetic.tokens(6, context=text.CONTEXT, vocabulary=text.VOCABULARY)),
    ],
    ids=["images", "text"],
)
def test_a_fused_step_of_the_sweep_is_that_of_two_passes(run: tuple[str, ...], data: Any) -> None:
    chosen, given = ours.run(*run), data()
    mine: list[Tensor] = []
    theirs: list[Tensor] = []
    assert sweep.fused(chosen, given, mine)() == 6
    assert sweep.apart(chosen, given, 4, theirs)() == 6
    for one, other in zip(mine, [torch.cat(theirs[:-1]), theirs[-1]], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def test_designs_are_compared_at_as_many_picks(monkeypatch: pytest.MonkeyPatch) -> None:
    """That both sides pick the same is held by tests/studies/test_design.py."""
    monkeypatch.setattr(race, "Side", SideHere)
    result = CliRunner().invoke(app, ["design", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    (one,) = map(json.loads, result.stdout.splitlines())
    assert (set(one), one["benchmark"], one["unit"], one["target"]) == (KEYS, "design.greedy", "s for 2 picks", 100)
    assert one["ratio"] == pytest.approx(one["baseline"] / one["ours"])


def test_an_unknown_benchmark_is_refused_by_name() -> None:
    result = CliRunner().invoke(app, ["speed"])
    assert result.exit_code == 2
    assert "speed" in result.output


@pytest.mark.parametrize("scorer", ["el2n", "grand"])
def test_the_loop_over_examples_scores_as_ours(scorer: str) -> None:
    chosen, data = ours.run(*training.RUN), synthetic.images(6)
    task = ours.task_of(chosen, data)
    proxy = Proxy(task.model(torch_stream(0, "init")).eval(), {})
    scored = score(scorer, task, [proxy])[0]
    looped = plain.scores(plain.plain_model(task).eval(), plain.Images(data), scorer, 6)
    np.testing.assert_allclose(scored, list(looped), rtol=1e-3)


def test_the_arithmetic_of_a_linear_model_is_its_matrix_products() -> None:
    chosen = ours.run("task=digits", "model=linear")
    data = load_data(chosen.task)
    forward, both = (ours.arithmetic(chosen, data, trains=False, backward=too).flops for too in (False, True))
    assert forward == 2 * 64 * 10
    assert both == 2 * forward  # and the weight's gradient: the inputs need none


def test_attention_written_out_is_ours() -> None:
    data = synthetic.tokens(2, context=16, vocabulary=64)
    task = ours.task_of(ours.run(*text.RUN), data)
    (batch,) = task.batches("train", size=2)
    model = task.model(torch_stream(0, "init"))
    torch.testing.assert_close(plain.plain_model(task)(batch.inputs), model(batch.inputs))


def test_label_errors_are_judged_on_the_same_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """No judgement of cleanlab's and ours is by a model that saw the digit, but for aum and el2n."""
    for name, value in (("FOLDS", 2), ("REPEATS", 1), ("EPOCHS", 4)):
        monkeypatch.setattr(label_errors, name, value)
    data, rows = planting.planted(0)
    assert sum(map(len, rows.values())) == len(data.splits["train"].ids) == 650
    task = DeviceTask(data, lambda examples, init: mlp(examples, init, classes=10, width=64, depth=1), device=DEVICE)
    scores, probabilities = label_errors.scores_of(task, 0)
    labels = data.splits["train"].targets
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_allclose(scores["loss"], -np.log(probabilities[np.arange(650), labels]))  # one model each
    assert label_errors.auc(scores["aum"], rows["flipped"], rows["plain"]) > 0.9
    assert label_errors.auc(scores["duplicates"], rows["copied"], rows["plain"]) > 0.7
    assert label_errors.auc(np.array([0.0, 1.0, 1.0]), np.array([1]), np.array([0, 2])) == 0.75


def test_cleanlab_is_given_what_it_takes() -> None:
    rank = pytest.importorskip("cleanlab.rank")
    confidence = np.array([[0.9, 0.1], [0.2, 0.8]])
    for method in label_errors.METHODS:
        assert rank.get_label_quality_scores(np.array([0, 0]), confidence, method=method).argmin() == 1
