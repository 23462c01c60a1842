"""The study of the pipeline: what each combination trains on, what it pays for, and what the stages gain."""

from __future__ import annotations

import math
import re
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from pydantic import ValidationError

from prune_lab.cli import compose
from prune_lab.experiments import choices
from prune_lab.experiments.data.load import data_of
from prune_lab.experiments.errors import ConfigError, RunFailed
from prune_lab.experiments.laws import claims
from prune_lab.experiments.models.cost import training_flops
from prune_lab.experiments.models.gpt import Gpt
from prune_lab.experiments.studies.pipeline import FACTORS, Pipeline, figures, gains, stages

DIGITS: dict[str, Any] = {
    "task": {"name": "digits", "examples": 400}, "model": {"name": "mlp", "width": 32},
    "allocated": {"name": "mlp", "width": 8}, "recipe": {"learning_rate": 0.1, "batch_size": 32},
    "scorer": {"name": "el2n", "proxies": 2}, "rule": "hard", "compute": 3e7, "every": 4,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "task": {"name": "digits_as_text", "documents": 40, "vocabulary": 257, "context": 32},
    "model": {"name": "gpt", "width": 8, "heads": 2, "depth": 1},
    "allocated": {"name": "gpt", "width": 16, "heads": 2, "depth": 1},
    "recipe": {"optimizer": "adamw", "learning_rate": 0.003, "batch_size": 16}, "compute": 1e9, "scoring": 0.5,
}  # fmt: skip


def study(settings: dict[str, Any], **changes: Any) -> Pipeline:
    found = choices.get("study", "pipeline").model_validate(settings | changes)
    assert isinstance(found, Pipeline)
    return found.simplified()


def work(seed: int = 1) -> Any:
    return SimpleNamespace(seed=seed, run=SimpleNamespace(device="cpu"), on=lambda _: torch.device("cpu"),
                           decide=lambda _: None, notify=lambda *_: None)  # fmt: skip


@pytest.fixture(scope="module")
def measured() -> dict[tuple[bool, ...], dict[str, float]]:
    """Of digits: prune, equalise, allocate -> what the run measured."""
    return {
        levels: stages.measured(study(DIGITS, **dict(zip(FACTORS, levels, strict=True))), work())
        for levels in product((False, True), repeat=3)
    }


def test_every_combination_spends_the_same_compute_and_pays_for_what_it_does(measured: Any) -> None:
    for levels, found in measured.items():
        step = (found["operations"] - found["scored"]) / found["steps"]
        assert 3e7 - step < found["operations"] <= 3e7
        assert found["scored"] == (0.25 * 3e7 if levels[0] else 0)
        assert found["kept"] == 200
    steps = {levels: found["steps"] for levels, found in measured.items()}
    plain = steps[False, False, False]
    assert steps[True, False, False] == pytest.approx(0.75 * plain, abs=1)
    assert steps[False, True, False] == pytest.approx(plain / 1.3, abs=1)
    assert steps[False, False, True] > 2 * plain  # a smaller model
    assert len({found["loss"] for found in measured.values()}) == 8
    assert stages.measured(study(DIGITS), work()) == measured[False, False, False]
    assert stages.measured(study(DIGITS), work(2))["loss"] != measured[False, False, False]["loss"]


def test_what_is_kept_is_the_rules_part_by_proxies_and_without_pruning_a_random_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[Any] = []
    select = stages.select

    def watched(scores: Any, *given: Any, **named: Any) -> Any:
        kept.append((scores, select(scores, *given, **named)))
        return kept[-1][1]

    monkeypatch.setattr(stages, "select", watched)
    for changes in ({}, {"prune": True}, {"prune": True, "allocate": True}, {"equalise": True}):
        stages.measured(study(DIGITS, **changes), work())
    (_, plain), (scores, pruned), (_, allocated), (_, equalised) = kept
    assert kept[0][0] is None
    assert np.sort(scores)[200:].sum() == pytest.approx(scores[pruned].sum())  # the hardest half
    assert pruned.tolist() == allocated.tolist() != plain.tolist() == equalised.tolist()


def test_proxies_of_text_judge_what_they_were_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Any] = []
    proxy = stages._proxy

    def watched(study: Any, task: Any, rows: Any, *given: Any, **named: Any) -> Any:
        trained.append(rows)
        return proxy(study, task, rows, *given, **named)

    monkeypatch.setattr(stages, "_proxy", watched)
    chosen = study(TEXT, prune=True)
    data = data_of(chosen.chosen_task, chosen.fingerprint)
    scores = stages.scored(chosen, data, torch.device("cpu"), work(), 5e8)
    size = len(data.splits["train"].ids)
    assert np.isfinite(scores).all()
    assert sorted(np.concatenate(trained).tolist()) == list(range(size))  # two folds: each trains on the other
    for own in trained:
        assert scores[own].mean() == pytest.approx(0, abs=1e-9)


def test_operations_of_a_gpt_are_counted_exactly_and_of_others_by_pytorch() -> None:
    text, images = study(TEXT), study(DIGITS)
    task = stages.task_of(text, data_of(text.chosen_task, text.fingerprint), text.default_model, torch.device("cpu"))
    assert isinstance(text.default_model, Gpt)
    assert stages.operations(task, text.default_model, task.data) == 32 * training_flops(text.default_model, 257, 32)
    task = stages.task_of(images, data_of(images.chosen_task, images.fingerprint), images.default_model,
                          torch.device("cpu"))  # fmt: skip
    weights = 64 * 32 + 32 * 32 + 32 * 10
    assert stages.operations(task, images.default_model, task.data) == 6 * weights - 2 * 64 * 32  # none for the pixels


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": {"name": "gpt"}}, "study.model=gpt takes text, and study.task=digits has"),
        ({"allocated": {"name": "nothing"}}, "study.model names no model"),
        ({"recipe": {"steps": 5}}, "study.recipe.steps is a duration"),
        ({"rule": "random"}, "it is the control, not a way to prune"),
        ({"scorer": {"name": "perplexity"}}, "judges text; for task=digits use scorer=loss"),
        ({"scorer": {"name": "forgetting"}}, "does not read trained proxies alone"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        study(DIGITS, **changes)


def test_compute_that_pays_for_no_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="one step of this model costs"):
        stages.measured(study(DIGITS, compute=1e5), work())
    with pytest.raises(ConfigError, match="to judge 400 examples costs"):
        stages.measured(study(DIGITS, compute=2e6, prune=True, scoring=0.01), work())


def test_a_run_that_diverges_has_no_loss_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RunFailed("the loss became nan")

    monkeypatch.setattr(stages, "train", broken)
    assert np.isnan(stages.measured(study(DIGITS), work())["loss"])
    runs = table()
    runs.loc[0, ["loss", "error"]] = np.nan
    assert "160 runs, 1 of which diverged" in figures.caveat(runs)
    assert len(gains.rows(runs).query("measure == 'effect' and stage == 'prune'")) == 19


# ---- all runs together -----------------------------------------------------------------------------------------------


def table() -> pd.DataFrame:
    """Pruning takes 2 % off the error, equalising adds 1 % and gains 3 % after pruning; allocating takes 5 % off."""
    draw, rows = np.random.default_rng(0), []
    for task, compute, seed in product(("cifar10", "pydoc"), (1e11, 2e11), range(5)):
        for prune, equalise, allocate in product((False, True), repeat=3):
            gain = 0.02 * prune - 0.01 * equalise + 0.03 * prune * equalise + 0.05 * allocate
            value = 0.4 * np.exp(-gain + 0.002 * draw.standard_normal() + 0.1 * seed - 1e-12 * compute)
            error = {"error": value, "loss": 9.0} if task == "cifar10" else {"loss": value}
            rows.append({"task.name": task, "compute": compute, "seed": seed, "prune": prune, "equalise": equalise,
                         "allocate": allocate} | error)  # fmt: skip
    return pd.DataFrame(rows)


def test_the_rows_have_effects_gains_and_interactions_by_seed() -> None:
    runs = gains.rows(table())
    for task in ("cifar10", "pydoc"):
        assert gains.over_computes(runs, "effect", "allocate", task).mean() == pytest.approx(0.05, abs=0.002)
        assert gains.over_computes(runs, "effect", "prune × equalise", task).mean() == pytest.approx(0.03, abs=0.003)
        assert gains.over_computes(runs, "gain_alone", "equalise", task).mean() == pytest.approx(-0.01, abs=0.003)
        assert gains.over_computes(runs, "gain_grows", "equalise", task).mean() == pytest.approx(0.03, abs=0.003)
        assert gains.over_computes(runs, "gain_of_all", "all", task).mean() == pytest.approx(0.09, abs=0.003)
    assert len(gains.over_computes(runs, "effect", "prune", "pydoc")) == 5
    assert len(runs[runs["measure"] == "ln_loss"]) == 160
    lacking = table().drop(index=[0])  # a seed without one of the eight is left out
    assert len(gains.rows(lacking).query("measure == 'effect' and stage == 'prune'")) == 19
    assert set(gains.rows(table().query("not allocate"))["measure"]) == {"ln_loss"}


def test_the_page_says_what_the_stages_gain_and_draws_them_by_compute() -> None:
    runs = gains.rows(table())
    prune, all_three = (100 * math.expm1(-gain) for gain in (0.035, 0.09))
    said = re.search(r"cifar10, .+? prune −([\d.]+) .+?; all three −([\d.]+) ", figures.verdict(runs))
    assert said is not None
    assert [-float(one) for one in said.groups()] == pytest.approx([prune, all_three], abs=0.3)
    assert "160 runs" in figures.caveat(table())
    assert "no level of compute" in figures.verdict(gains.rows(table().query("not prune"))).lower()
    drawn = list(figures.figures(table()))
    assert [(one.name, len(one.drawings)) for one in drawn] == [("effects", 4), ("stages", 2)]
    for one in drawn:
        for drawing in one.drawings:
            assert drawing is not None
            drawing.draw(Figure().subplots())
    assert list(figures.figures(table().query("not prune"))) == []
    assert {"value", "low", "high", "seeds"} < set(gains.points(runs))


def test_the_experiment_has_all_combinations_and_its_claims_are_of_rows_that_it_makes() -> None:
    experiment, runs = compose.experiment(["experiment=pipeline"])
    made = [(one.study.task["name"], one.study.compute, one.seed, *(getattr(one.study, name) for name in FACTORS))
            for one in runs]  # fmt: skip
    assert len(made) == len(set(made)) == 2 * 3 * 8 * 5
    rows = pd.DataFrame(made, columns=["task.name", "compute", "seed", *FACTORS]).assign(loss=1.0, error=np.nan)
    rows.loc[rows["task.name"] == "cifar10", "error"] = 0.5
    judged = [claims.check(one, gains.rows(rows)) for one in experiment.chosen.expect]
    assert len(judged) == 12
    assert {one.verdict for one in judged} == {"holds"}  # all at their bound of 0
    assert {one.n for one in judged} == {5}
