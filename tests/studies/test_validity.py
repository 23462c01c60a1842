"""The study of LDS: whole-run contributions predict what retraining does; its settings and its page."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from prune_lab.cli import compose
from prune_lab.experiments import choices
from prune_lab.experiments.contracts import StudyChoice
from prune_lab.experiments.laws.intervals import crossed, interval_of
from prune_lab.experiments.report.study import tables_of
from prune_lab.experiments.studies.validity import Validity
from prune_lab.experiments.studies.validity.measuring import removal_error, spearman

from ..command_line import call, changed

TINY: dict[str, Any] = {
    "task": {"name": "perceptron", "dimension": 6, "train": 60, "test": 20},
    "model": {"name": "perceptron"},
    "batch_size": 16,
    "epochs": 3,
    "removals": 20,
    "targets": 6,
    "dimension": 8,
}


def measured(**changes: Any) -> tuple[pd.DataFrame, dict[str, float]]:
    study = choices.get("study", "validity").model_validate(TINY | changes)
    assert isinstance(study, StudyChoice)
    work: Any = SimpleNamespace(
        seed=1,
        run=SimpleNamespace(device="cpu"),
        on=lambda _: torch.device("cpu"),
        decide=print,
        notify=lambda *_: None,
    )
    tables, metrics = study.simplified().measure(work)
    return tables["lds"].groupby("estimator")["lds"].mean(), dict(metrics)  # type: ignore[return-value]


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.3), ("momentum", 0.1), ("adamw", 0.03)])
def test_the_whole_run_contribution_predicts_retraining(optimizer: str, rate: float) -> None:
    """Where the run is smooth; and the run that is differentiated is the run that is retrained, to rounding."""
    lds, metrics = measured(optimizer=optimizer, learning_rate=rate)
    assert metrics["replay_error"] < 1e-4
    assert metrics["metasmoothness"] > 0.9
    assert lds["phi"] > 0.8
    assert lds["phi"] > lds["ct"]
    assert abs(lds["random"]) < 0.4
    assert (lds["ct"] == lds["ct_update"]) == (optimizer != "adamw")
    assert lds.notna().all()


def test_language_models_are_measured_too() -> None:
    text = {"name": "pydoc", "documents": 12, "dev": 0.2, "vocabulary": 257, "context": 8, "examples": 24}
    lds, metrics = measured(
        task=text, model={"name": "gpt", "width": 8, "heads": 1, "depth": 1}, optimizer="adamw", learning_rate=0.003,
        batch_size=8, epochs=1, removals=10, targets=2, repeats=0,
    )  # fmt: skip
    assert metrics["replay_error"] < 1e-3
    assert lds.drop("el2n").notna().all()


def test_spearman_golden() -> None:
    measured = np.array([[1.0, 1.0], [2.0, 4.0], [3.0, 3.0]])
    np.testing.assert_allclose(spearman(np.array([[1.0, 1], [5, 2], [9, 3]]), measured), [1, 0.5])
    assert np.isnan(spearman(np.ones((3, 2)), measured)).all()


def test_the_error_over_removals_is_that_of_leaving_each_out() -> None:
    predicted, measured = np.random.default_rng(0).integers(0, 6, (2, 12, 4)).astype(float)  # with ties
    without = [spearman(np.delete(predicted, one, 0), np.delete(measured, one, 0)).mean() for one in range(12)]
    assert removal_error(predicted, measured) == pytest.approx(np.sqrt(11 * np.var(without)))


def test_the_interval_of_one_run_counts_the_removals_that_its_targets_share() -> None:
    """The interval over targets alone held the true value in about half of the draws."""
    generator, removals, targets, trials = np.random.default_rng(0), 40, 16, 80
    covered = np.zeros(2)
    for _ in range(trials):
        shared, own = generator.normal(size=(2, removals, 1)), generator.normal(size=(2, removals, targets))
        predicted, noise = 0.8 * shared + 0.6 * own
        measured = 0.5 * predicted + np.sqrt(0.75) * noise  # a correlation of .5, of ranks 6 / pi asin(.25)
        over = interval_of(spearman(predicted, measured))
        both = crossed(over.value, (over.error, removal_error(predicted, measured)), (targets, removals))
        covered += [one.low <= 6 / np.pi * np.arcsin(0.25) <= one.high for one in (over, both)]
    assert covered[0] < 0.65 * trials
    assert covered[1] > 0.9 * trials


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"name": "convnet"}, "task": {"name": "digits"}}, "norm: group"),
        ({"model": {"name": "gpt"}}, "does not take vectors"),
        ({"model": {"name": "nothing"}}, "names no model: there are"),
        ({"model": {"name": "mlp", "widht": 3}}, "widht"),
        ({"body": {"name": "convnet"}}, "of images"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        choices.get("study", "validity").model_validate(TINY | changes)


def test_the_data_are_part_of_the_key() -> None:
    (run,) = compose.runs("simulate", ["study=validity"])
    assert isinstance(run.study, Validity)
    assert run.study.simplified().fingerprint == run.study.chosen_task.fingerprint() != ""
    assert run.study.simplified().made_by == ""


def test_its_page(capsys: pytest.CaptureFixture[str], results: str) -> None:
    words = [f"study.{name}={value}" for name, value in TINY.items() if not isinstance(value, dict)]
    words += ["study.task={name: perceptron, dimension: 6, train: 60, test: 20}", "study.model={name: perceptron}"]
    words = changed(*words, "study.removals=10", "study.repeats=0")
    made = call(capsys, "simulate", "study=validity", *words, results, "--json")
    assert made.code == 0, made.err
    *_, report = made.objects
    found = pd.read_csv(f"{report['path']}/table.csv")
    assert set(found["estimator"]) >= {"phi", "ct", "cosine", "trak", "el2n", "random"}
    assert (found["setup"] == "perceptron on perceptron").all()
    assert found[found["estimator"] == "phi"]["lds"].iloc[0] > 0.8


def test_other_settings_are_no_seeds() -> None:
    """Every setting tells settings apart, also those that no column of the page names."""
    study = choices.get("study", "validity")
    assert issubclass(study, Validity)
    settings = {"task.name": "digits", "model.name": "mlp", "optimizer": "sgd", "learning_rate": 0.1, "removed": 0.1}
    keys = [settings | {"epochs": epochs, "model.width": 8, "seed": seed} for epochs in (4.0, 8.0) for seed in (1, 2)]
    own = [key | {"estimator": "phi", "target": target} for key in keys for target in "abc"]
    rest = {"metasmoothness": 1.0, "ceiling": 0.5, "removals": 100}
    tables = {
        "runs": pd.DataFrame([key | rest | {"readable": float(key["epochs"] > 4 or key["seed"] == 1)} for key in keys]),
        "lds": pd.DataFrame([row | rest | {"lds": row["epochs"] / 10, "fresh": 0.1} for row in own]),
    }
    said = study.caveat(tables | {"runs": tables["runs"].iloc[:-1].assign(removals=100, targets=3)})
    assert "1 or 2 seeds a setting" in said
    runs = study.runs(tables)
    assert len(runs) == 4
    assert set(runs["setup"]) == {"mlp on digits, epochs 4", "mlp on digits, epochs 8"}
    points = study.points(runs)
    assert points["seeds"].tolist() == [2, 2]
    assert points["lds"].tolist() == pytest.approx([0.4, 0.8])
    assert "interval over targets and removals, ±" not in points  # which these runs did not measure
    assert "(in 1 of 2 settings)" in study.verdict(runs)  # one seed of the other is not metasmooth
    tables["lds"]["removal_error"] = 0.1
    assert study.runs(tables)["lds_high"].tolist()[0] == pytest.approx(0.4 + 1.984217 * 0.1)  # t of 100 removals


def test_a_run_of_before_a_setting_came_has_its_default(tmp_path: Path) -> None:
    """Else it and a run of today, which have one key, would be two settings of the page."""
    recipes = [{"study": {"name": "validity", "epochs": 4} | more, "seed": 1} for more in ({}, {"made_by": ""})]
    folders: Any = [SimpleNamespace(record={"recipe": one, "metrics": {}}, key="", path=tmp_path) for one in recipes]
    assert tables_of(folders)["runs"]["made_by"].tolist() == ["", ""]
