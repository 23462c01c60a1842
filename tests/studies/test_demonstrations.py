"""The study of demonstrations: rules and SAL in the exact linear model, learners that are trained here, its page."""

from __future__ import annotations

import json
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
from prune_lab.experiments.figures import panels
from prune_lab.experiments.seeds import numpy_stream
from prune_lab.experiments.studies.demonstrations import (
    figures,
    linear,
)
from prune_lab.experiments.studies.demonstrations.design import Posterior, greedy, posterior_variance
from prune_lab.experiments.studies.demonstrations.rules import RULES
from prune_lab.experiments.studies.demonstrations.sal import estimated
from prune_lab.experiments.studies.demonstrations.sal import sal as linear_sal
from prune_lab.experiments.studies.demonstrations.worlds import predicted, world

from ..command_line import call


def study(**settings: Any) -> Any:
    found = choices.get("study", "demonstrations").model_validate(settings)
    assert isinstance(found, StudyChoice)
    return found


def work(tmp_path: Path, seed: int = 1) -> Any:
    return SimpleNamespace(
        seed=seed,
        run=SimpleNamespace(device="cpu"),
        on=lambda _: torch.device("cpu"),
        decide=lambda _: None,
        notify=lambda *_: None,
        resume=tmp_path,
    )


def drawn(seed: int = 0, kind: Any = "iid", **sizes: Any) -> Any:
    given = {"dimension": 4, "pool": 30, "tests": 6, "shift": 0.8, "noise": 0.25} | sizes
    return world(np.random.default_rng(seed), kind, **given)


# ---- rules and SAL in the exact model --------------------------------------------------------------------------------


def test_every_rule_picks_different_points_and_looks_at_what_it_says() -> None:
    given = drawn()
    picks = {
        name: rule(given.pool, given.test, 8, noise=0.25, draw=np.random.default_rng(0)) for name, rule in RULES.items()
    }
    assert all(len(set(one)) == 8 for one in picks.values())
    assert picks["go"].tolist() == greedy(given.pool, given.test, 8).tolist()
    assert picks["v_optimal"].tolist() == greedy(given.pool, given.test, 8, reduce="mean").tolist()
    distance = np.linalg.norm(given.pool[:, None] - given.test[None], axis=2)
    assert set(picks["nearest"]) == set(np.argsort(distance.min(1))[:8])
    for turn, pick in enumerate(picks["nearest_in_turns"]):
        assert pick == distance[:, turn % 6].argmin()
        distance[pick] = np.inf
    elsewhere = RULES["own_variance"](given.pool, given.test + 5, 8, noise=0.25, draw=np.random.default_rng(0))
    assert picks["own_variance"].tolist() == elsewhere.tolist()
    assert picks["own_variance"][0] == np.linalg.norm(given.pool, axis=1).argmax()


def test_the_exact_posterior_predicts_by_ridge_regression() -> None:
    given = drawn()
    picks = np.array([3, 1, 4, 15, 9])
    ridge = np.linalg.solve(
        given.pool[picks].T @ given.pool[picks] + 0.25 * np.eye(4), given.pool[picks].T @ given.labels[picks]
    )
    np.testing.assert_allclose(predicted(given, picks), given.test @ ridge)
    np.testing.assert_allclose(predicted(given, picks[:0]), 0)


def test_two_samples_estimate_what_drawing_the_labels_estimates() -> None:
    """The mean and the variance over many draws are those of half the squared difference of two drawn labels."""
    draw, variances = np.random.default_rng(0), np.array([[0.5, 2.0]])
    pairs = draw.normal(size=(40_000, 3, 2, 1, 2)) * np.sqrt(variances)
    literal = (0.5 * np.square(pairs[:, :, 0] - pairs[:, :, 1])).mean(1)[:, 0]
    ours = np.array([estimated(variances, 3, draw)[0] for _ in range(20_000)])
    np.testing.assert_allclose(ours.mean(0), literal.mean(0), rtol=0.03)
    np.testing.assert_allclose(ours.var(0), literal.var(0), rtol=0.06)


def test_the_signal_is_the_mean_prior_variance() -> None:
    plain, scaled = (drawn(0, pool=400, dimension=9, signal=signal) for signal in (None, 1.0))
    np.testing.assert_allclose(plain.pool, 3 * scaled.pool)
    assert (scaled.pool**2).sum(1).mean() == pytest.approx(1, abs=0.1)
    assert drawn(0, "shifted", signal=9.0).test.shape == (6, 4)


def test_worlds_have_the_noise_and_the_shift_that_they_say() -> None:
    given = drawn(0, "shifted", pool=4000, tests=4000)
    theta = np.linalg.lstsq(given.test, given.truth, rcond=None)[0]
    assert np.var(given.labels - given.pool @ theta) == pytest.approx(0.25, rel=0.1)
    lengths = np.linalg.svd(given.test, compute_uv=False) ** 2 / 4000  # of 0.2 of a normal point, and 0.8 along a line
    np.testing.assert_allclose(lengths, [0.68, 0.04, 0.04, 0.04], rtol=0.1)


def test_sal_simulates_labels_with_their_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    given, asked = drawn(), list[np.ndarray]()
    monkeypatch.setattr("prune_lab.experiments.studies.demonstrations.sal.estimated",
                        lambda variances, *_, **__: asked.append(variances) or variances)  # fmt: skip
    linear_sal(given.pool, given.test, 1, noise=0.25, draw=np.random.default_rng(0), estimator="two_samples")
    np.testing.assert_allclose(asked[0], Posterior(given.pool, given.test, noise=0.25).each() + 0.25)


def test_sal_that_reads_the_variance_is_go_and_so_is_one_test_point_with_common_numbers() -> None:
    given, one = drawn(3), drawn(3, "one")
    draw = np.random.default_rng(0)
    assert (
        linear_sal(given.pool, given.test, 9, noise=0.25, draw=draw).tolist()
        == greedy(given.pool, given.test, 9).tolist()
    )
    for simulations in (1, 1, 1, 7):
        picks = linear_sal(one.pool, one.test, 9, noise=0.25, draw=draw, estimator="common", simulations=simulations)
        assert picks.tolist() == greedy(one.pool, one.test, 9).tolist()
    tiny = SimpleNamespace(chisquare=lambda number, size: np.full(size, 1e-12))  # one simulation may say nearly nothing
    picks = linear_sal(one.pool, one.test, 9, noise=0.25, draw=tiny, estimator="common")  # type: ignore[arg-type]
    assert picks.tolist() == greedy(one.pool, one.test, 9).tolist()
    alone = linear_sal(one.pool, one.test, 9, noise=0.25, draw=draw, estimator="two_samples")
    assert alone.tolist() != greedy(one.pool, one.test, 9).tolist()


def test_the_linear_study_measures_what_its_rules_promise(tmp_path: Path) -> None:
    tables, metrics = study(draws=3, simulations=[1], pool=40, dimension=3).measure(work(tmp_path))
    means = (
        tables["selected"]
        .groupby(["test", "rule", "labels"])[["max_variance", "mean_variance", "error", "as_go"]]
        .mean()
    )
    for test in ("iid", "shifted", "one"):
        whole = means.xs(test).xs(10, level="labels")
        assert whole["max_variance"].idxmin() in ("go", "sal_read", "v_optimal", "sal_common_1")
        assert whole.loc["sal_read"].equals(whole.loc["go"])
        assert whole.loc["go", "max_variance"] < 0.7 * whole.loc["uniform", "max_variance"]
        assert whole.loc["v_optimal", "mean_variance"] <= whole.loc["go", "mean_variance"] + 1e-9
    assert means.xs("one").loc[("go", 10)].tolist() == means.xs("one").loc[("v_optimal", 10)].tolist()
    assert 1 <= metrics["greedy_to_best"] < metrics["random_to_best"]
    assert 0 < metrics["increasing_returns"] < 0.5
    assert metrics["slope"] == pytest.approx(-1, abs=0.15)
    assert metrics["slope"] < metrics["slope_without"] < -0.5


def test_test_points_outside_of_the_span_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "TRIPLES", 1)
    monkeypatch.setattr(linear, "LONG", 10)
    said: list[str] = []
    doing = work(tmp_path)
    doing.decide = said.append
    study(draws=1, simulations=[], pool=6, budget=2, dimension=7).measure(doing)
    assert len(said) == 1
    assert said[0].startswith("study.pool=6 is less than study.dimension=7: test points are outside of the span")


# ---- settings and the page -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"budget": 61}, "at most 60"),
        ({"keep": [0.5]}, "no meaning with study.learner=linear"),
        ({"learner": "classifier", "dimension": 3}, "no meaning with study.learner=classifier"),
        ({"learner": "classifier", "pool": 140}, "study.pool=130"),
        ({"learner": "head", "task": {"name": "pydoc"}}, "no set of images"),
        ({"learner": "head", "task": {"name": "nothing"}}, "names no task: there are"),
        ({"learner": "oracle"}, "linear"),
        ({"noise": 0}, "greater than 0"),
        ({"noise": 1e-9}, "study.noise=1e-09 is nothing beside.*study.noise=5e-07"),
        ({"simulations": [4, 4]}, "twice"),
        ({"pool": 100_000, "tests": 100_000}, "study.tests=1000"),
        ({"shift": 1}, "less than 1"),
        ({"width": 12}, "multiple of 8"),
    ],
)
def test_what_has_no_meaning_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        study(**settings)


def test_the_images_are_part_of_the_key_of_a_head_alone() -> None:
    assert study(learner="head").simplified().fingerprint == study(learner="head").chosen_task.fingerprint() != ""
    assert study().simplified() == study()


def test_its_page(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linear worlds, a reader and a head on one page; every claim of the experiment finds its column."""
    saved: list[str] = []
    monkeypatch.setattr(linear, "TRIPLES", 5)
    monkeypatch.setattr(panels, "save", lambda drawings, stem, **_: saved.append(stem.name))
    monkeypatch.setattr(linear, "LONG", 40)
    monkeypatch.setattr(figures, "TESTS", {"iid": "test like the pool", "topic": "test: one first word"})
    file = tmp_path / "small.yaml"
    file.write_text(EXPERIMENT)
    made = call(capsys, "reproduce", f"experiment={file}", results, "--json")
    assert made.code == 0, made.err
    report = made.objects[-1]
    (claim,) = json.loads((Path(report["path"]) / "claims.json").read_text())["expectations"]
    assert (claim["verdict"], claim["n"]) == ("holds", 3)
    assert saved == ["plane", "linear_2", "sal_2", "shown", "head"]
    table = pd.read_csv(f"{report['path']}/table.csv")
    assert set(table["learner"]) == {"linear", "reader", "head"}
    assert table["setting"].notna().all()  # `prune-lab claims` judges the published table
    own = table[(table["rule"] == "go") & (table["learner"] == "linear") & (table["test"] != "theory")]
    assert (own["to_go"] == 1).all()
    assert table[table["test"] == "theory"][["slope", "greedy_to_best"]].notna().all(axis=None)
    assert "Exact linear model, 2 features, signal 2" in (Path(report["path"]) / "index.html").read_text()


EXPERIMENT = """
experiment:
  name: small_demonstrations
  title: Small
  phase: simulate
  grids:
    - [study=demonstrations, study.dimension=2, study.pool=20, study.tests=4, study.budget=4, study.draws=2,
       "study.simulations=[1]", "seed=0,1,2"]
    - [study=demonstrations, study.learner=reader, study.steps=1, study.width=8, study.depth=1, study.pool=6,
       study.tests=2, study.budget=2, study.draws=1, seed=0]
    - [study=demonstrations, study.learner=head, "study.task={name: digits, examples: 60}", study.epochs=0.5,
       study.tests=10, "study.keep=[0.5]", seed=0]
  expect:
    - claim: a random choice's largest variance is some multiple of GO's
      source: arXiv:2404.08846
      point: {where: {learner: linear, test: iid, rule: uniform, all_labels: 1}, metric: to_go}
      at_least: -9
"""


def test_other_settings_are_no_seeds() -> None:
    """Runs of two pools are two points, each compared with the choices in its own worlds."""
    rows = [
        {"learner": "linear", "dimension": 5, "pool": pool, "seed": seed, "test": "iid", "rule": rule, "labels": 2,
         "error": pool + lift, "max_variance": 2.0 + lift, "mean_variance": 1.0, "as_go": 1.0}
        for pool in (10, 20) for seed in (0, 1) for rule, lift in (("go", 0.0), ("uniform", 2.0))
    ]  # fmt: skip
    found = figures.runs({"selected": pd.DataFrame(rows), "runs": pd.DataFrame({"seed": [0]})})
    assert len(found) == 8
    assert set(found["setting"]) == {"pool 10", "pool 20"}
    assert found.groupby("rule")[["to_go", "less_error"]].mean().to_numpy().tolist() == [[1, 2], [2, 0]]
    points = figures.points(found)
    assert points["seeds"].tolist() == [2] * 4


def test_a_wrong_study_setting_is_a_sentence(capsys: pytest.CaptureFixture[str], results: str) -> None:
    refused = call(capsys, "simulate", "study=demonstrations", "study.budget=99", results)
    assert refused.code == 2
    assert "at most 60" in refused.err


def test_the_experiment_names_what_there_is() -> None:
    """Every claim's rule, test and metric is one that the study makes."""
    found = compose.described(["experiment=demonstrations"])
    known = {*figures.NAMES, "sal_read"}
    for size in (found.chosen, *found.sizes.values()):
        for one in size.expect:
            for point in filter(None, (one.point, one.versus)):
                rule = point.where["rule"]
                assert rule in known or figures.SIMULATED.fullmatch(rule), rule
                assert point.where["test"] in {*figures.TESTS, "theory"}
                assert point.metric in {*figures.MEASURES, *figures.PROPERTIES, "bayes_error", "as_go"}


def test_seeds_give_other_worlds() -> None:
    first, second, again = (world(numpy_stream(seed, "world"), "iid", dimension=2, pool=3, tests=2, shift=0, noise=1)
                            for seed in (0, 1, 0))  # fmt: skip
    assert np.array_equal(first.pool, again.pool)
    assert not np.array_equal(first.pool, second.pool)
    assert posterior_variance(first.pool, [0], first.test).shape == (2,)
