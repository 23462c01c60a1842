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
from prune_lab.experiments.models.networks.gpt import gpt
from prune_lab.experiments.seeds import numpy_stream, torch_stream
from prune_lab.experiments.studies.demonstrations import (
    figures,
    heads,
    language,
    learners,
    linear,
    network,
    real,
    shown,
)
from prune_lab.experiments.studies.demonstrations.choosing import Problems, adaptive, answers, designed, sal, with_bias
from prune_lab.experiments.studies.demonstrations.design import greedy, posterior_variance
from prune_lab.experiments.studies.demonstrations.learners import Regressor
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


def test_sal_that_reads_the_variance_is_go_and_so_is_one_test_point_with_common_numbers() -> None:
    given, one = drawn(3), drawn(3, "one")
    draw = np.random.default_rng(0)
    assert (
        linear_sal(given.pool, given.test, 9, noise=0.25, draw=draw).tolist()
        == greedy(given.pool, given.test, 9).tolist()
    )
    for simulations in (1, 7):
        picks = linear_sal(one.pool, one.test, 9, noise=0.25, draw=draw, estimator="common", simulations=simulations)
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
    assert 0 < metrics["increasing_returns"] < 1
    assert metrics["slope"] == pytest.approx(-1, abs=0.15)
    assert metrics["slope"] < metrics["slope_without"] < -0.5


# ---- learners --------------------------------------------------------------------------------------------------------


def network_of(outputs: int = 2, labels: int = 1) -> network.InContext:
    return network.in_context(
        torch_stream(0, "init"), features=4, labels=labels, outputs=outputs, width=16, depth=2
    ).eval()


def test_a_query_sees_the_examples_in_no_order_and_no_other_query() -> None:
    model, draw = network_of(), torch_stream(1, "inputs")
    examples, labels, queries = (torch.randn(shape, generator=draw) for shape in ((2, 5, 4), (2, 5, 1), (2, 3, 4)))
    said = model(examples, labels, queries)
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(model(examples[:, order], labels[:, order], queries), said)
    torch.testing.assert_close(model(examples, labels, queries[:, 1:2]), said[:, 1:2])
    assert not torch.allclose(model(examples, -labels, queries), said)


def test_a_prompt_that_is_read_once_is_the_same_as_a_text_for_each_query() -> None:
    model = gpt(torch_stream(0, "init"), vocabulary=language.VOCABULARY, context=24, width=16, depth=2, heads=2,
                positions="rotary", tied=True).eval()  # fmt: skip
    for weight in model.parameters():
        torch.nn.init.normal_(weight, 0, 0.5, generator=torch_stream(1, str(weight.shape)))
    draw = torch_stream(0, "texts")
    for shown_before in (0, 4):
        examples, queries = (torch.randint(0, 4, (2, count, 3), generator=draw) for count in (shown_before, 5))
        labels = torch.randint(0, 2, (2, shown_before), generator=draw)
        prompt = language.text(examples, labels).flatten(1)
        found = language.prompted(model, prompt, language.text(queries))
        for query in range(5):
            whole = torch.cat([prompt, language.text(queries[:, query])], 1)
            torch.testing.assert_close(found[:, query], model(whole)[:, -3:], rtol=1e-4, atol=1e-5)


def test_texts_are_sentences_with_their_answers() -> None:
    sentences, labels = torch.tensor([[0, 1, 2], [3, 0, 1]]), torch.tensor([1, 0])
    tokens = torch.cat([language.text(sentences, labels).flatten(), language.text(sentences[0])])
    assert language.spelled(tokens) == "small/yes king/yes falls/yes wet/no dog/no waits/no small king falls"
    assert tokens.max() < language.VOCABULARY - 2
    assert language.bag_of_words(sentences).sum(1).tolist() == [3, 3]
    weights = language.functions(np.random.default_rng(0), 200)
    one_word = (np.abs(weights) == 1).any((1, 2))
    assert 70 < one_word.sum() < 130
    assert (np.abs(weights[one_word]).sum((1, 2)) == language.CHOICES).all()
    assert (weights[one_word].sum((1, 2)) == 0).all()
    scores = np.zeros((1, 3, 4))
    scores[0, 1, 1] = 1
    assert language.answered(scores, sentences.numpy()[None]).tolist() == [[1, 0]]


def problems(seed: int = 0, number: int = 3) -> Problems:
    found, _ = shown._linear(study(learner="regressor", pool=12, tests=5, draws=number, budget=3), seed, "iid")
    return found


class Bayes:
    """The exact posterior as a learner: SAL that reads its variance has to be GO."""

    def outputs(self, examples: Any, labels: Any, queries: Any) -> Any:
        eye = torch.eye(4, dtype=torch.float64)
        examples, labels, queries = examples.double(), labels.double(), queries.double()
        spread = torch.linalg.inv(eye + examples.transpose(1, 2) @ examples / 0.25)
        mean = queries @ spread @ examples.transpose(1, 2) @ labels[..., None] / 0.25
        variance = ((queries @ spread) * queries).sum(-1) + 0.25
        return torch.stack([mean.squeeze(-1), variance.log()], -1)

    doubt, possible, error = Regressor.doubt, Regressor.possible, Regressor.error


def test_sal_on_a_learner_that_is_the_exact_posterior_is_go() -> None:
    given, learner = problems(), Bayes()
    for reduce, rule in (("max", "go"), ("mean", "v_optimal")):
        picks = adaptive(learner, given, sal(reduce), 4)  # type: ignore[arg-type]
        assert picks.tolist() == designed(given, rule, 4, noise=0.25, seed=0).tolist()
    two = adaptive(learner, given, sal("max", "two_samples", 0), 4)  # type: ignore[arg-type]
    assert two.tolist() != designed(given, "go", 4, noise=0.25, seed=0).tolist()
    assert all(len(set(row)) == 4 for row in two.tolist())


def test_a_learner_sees_only_the_labels_of_what_was_picked() -> None:
    given, learner = problems(), Regressor(network_of())
    picks = torch.tensor([[0, 5], [1, 2], [7, 3]])
    said = answers(learner, given, picks, given.test)
    others = given.labels.clone()
    others[0, 1], others[1, 0] = 9, 9
    changed = Problems(given.pool, others, given.test, given.truth + 1, given.features, given.asked)
    torch.testing.assert_close(answers(learner, changed, picks, given.test), said)
    assert with_bias(given).features.shape == (3, 12, 5)


@pytest.mark.parametrize("learner", ["regressor", "classifier", "reader"])
def test_a_learner_is_trained_chosen_for_and_judged(learner: str, tmp_path: Path) -> None:
    settings = {"steps": 3, "width": 8, "depth": 1, "pool": 8, "tests": 3, "budget": 2, "draws": 1}
    tables, metrics = study(learner=learner, **settings).measure(work(tmp_path))
    found = tables["selected"]
    rules = {
        "uniform",
        "nearest",
        "nearest_in_turns",
        "own_variance",
        "go",
        "v_optimal",
        "most_doubted",
        "sal_max",
        "sal_mean",
    }
    assert rules < set(found["rule"])
    assert found["error"].between(0, 1 if learner != "regressor" else np.inf).all()
    assert found.notna().all(axis=None)
    assert metrics["parameters"] > 0
    assert len(set(found["data"])) == (5 if learner == "classifier" else 1)


def test_training_that_was_killed_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "EVERY", 2)
    whole = learners.trained_classifier(work(tmp_path / "a"), steps=5, width=8, depth=1, most=3, share=1)

    def loss(model: Any, step: int) -> Any:
        if step == 3:
            raise KeyboardInterrupt
        return original(model, step)

    fitted = network.fitted
    original: Any = None

    def dying(model: Any, own: Any, **settings: Any) -> Any:
        nonlocal original
        original = own
        return fitted(model, loss, **settings)

    monkeypatch.setattr(learners, "fitted", dying)
    with pytest.raises(KeyboardInterrupt):
        learners.trained_classifier(work(tmp_path / "b"), steps=5, width=8, depth=1, most=3, share=1)
    monkeypatch.setattr(learners, "fitted", fitted)
    again = learners.trained_classifier(work(tmp_path / "b"), steps=5, width=8, depth=1, most=3, share=1)
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_drawn_classes_are_standardised_and_of_every_kind() -> None:
    inputs, labels = learners.drawn_classes(torch_stream(0, "classes"), 200, 60)
    torch.testing.assert_close(inputs.mean(1), torch.zeros(200, 4), atol=1e-5, rtol=0)
    number = torch.tensor([len(row.unique()) for row in labels])
    assert {2, 3} <= set(number.tolist())
    assert labels.unique().tolist() == [0, 1, 2]


# ---- real data -------------------------------------------------------------------------------------------------------


def test_balance_scale_is_that_of_its_rule() -> None:
    inputs, labels = real.balance_scale()
    assert inputs.shape == (625, 4)
    assert np.bincount(labels).tolist() == [288, 288, 49]
    assert labels[[0, 1, 5]].tolist() == [2, 1, 1]  # 1 x 1 against 1 x 1, 1 x 2, 2 x 1


@pytest.mark.parametrize("name", real.DATA)
def test_real_data_have_four_features_and_three_classes_at_most(name: str) -> None:
    inputs, labels = real.examples(name)
    assert inputs.shape == (len(labels), 4)
    np.testing.assert_allclose(inputs.mean(0), 0, atol=1e-9)
    assert set(labels) <= {0, 1, 2}
    for kind in real.KINDS:
        pool, test = real.split(np.random.default_rng(0), name, kind, pool=40, tests=15)
        assert (len(pool), len(test), len({*pool, *test})) == (40, 15, 55)
    distance = np.linalg.norm(inputs[test] - inputs[test[0]], axis=1)
    nearest = min(np.linalg.norm(inputs - inputs[place], axis=1).argsort()[14] for place in [test[0]])
    assert distance.max() >= 0
    assert nearest >= 0


# ---- the bridge to pruning -------------------------------------------------------------------------------------------


def test_designs_prune_the_pool_of_a_head_beside_el2n(tmp_path: Path) -> None:
    settings = {"task": {"name": "digits", "examples": 120}, "tests": 20, "keep": [0.2, 0.5], "epochs": 1}
    tables, metrics = study(learner="head", **settings).simplified().measure(work(tmp_path))
    found = tables["selected"]
    assert set(found["rule"]) == {*RULES, "hard", "easy"}
    assert set(found["labels"]) == {24, 60}  # every rule keeps as many
    assert found["error"].between(0, 1).all()
    assert 0 < metrics["error_of_all"] < 0.9
    means = found.groupby("rule")["error"].mean()
    assert means["v_optimal"] < means["easy"]


def test_a_head_of_one_class_answers_that_class() -> None:
    assert heads._error(np.ones((2, 1)), np.array([3, 3]), np.ones((4, 1)), np.array([3, 3, 3, 1])) == 0.25


# ---- settings and the page -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"budget": 61}, "at most 60"),
        ({"keep": [0.5]}, "no meaning with study.learner=linear"),
        ({"learner": "classifier", "dimension": 3}, "no meaning with study.learner=classifier"),
        ({"learner": "classifier", "pool": 140}, "study.pool=130"),
        ({"learner": "head", "task": {"name": "pydoc"}}, "no set of images"),
        ({"learner": "head", "task": {"name": "nothing"}}, "tasks are"),
        ({"learner": "oracle"}, "linear"),
        ({"noise": 0}, "greater than 0"),
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
    own = table[(table["rule"] == "go") & (table["learner"] == "linear") & (table["test"] != "theory")]
    assert (own["to_go"] == 1).all()
    assert table[table["test"] == "theory"][["slope", "greedy_to_best"]].notna().all(axis=None)
    assert "GO in linear worlds of 2 features" in (Path(report["path"]) / "index.html").read_text()


EXPERIMENT = """
experiment:
  name: small_demonstrations
  title: Small
  phase: simulate
  grids:
    - [study=demonstrations, study.dimension=2, study.pool=20, study.tests=4, study.budget=4, study.draws=2,
       "study.simulations=[1]", "seed=0,1,2"]
    - [study=demonstrations, study.learner=reader, study.steps=1, study.width=8, study.depth=1, study.pool=6,
       study.tests=2, study.budget=2, study.draws=1, "seed=0,1"]
    - [study=demonstrations, study.learner=head, "study.task={name: digits, examples: 60}", study.epochs=0.5,
       study.tests=10, "study.keep=[0.5]", "seed=0,1"]
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
