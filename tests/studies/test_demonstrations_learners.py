"""The study of demonstrations: learners that are shown examples, real data, and designs as pruning rules."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prune_lab.experiments.models.networks.gpt import gpt
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.studies.demonstrations import heads, language, learners, network, real, shown
from prune_lab.experiments.studies.demonstrations.choosing import Problems, adaptive, answers, designed, sal, with_bias
from prune_lab.experiments.studies.demonstrations.learners import Regressor
from prune_lab.experiments.studies.demonstrations.rules import RULES

from .test_demonstrations import study, work


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


def test_on_one_topic_all_test_sentences_have_the_same_first_word() -> None:
    asked = shown._sentences(study(learner="reader", pool=9, tests=20, draws=5, budget=2), 0, "topic").test
    assert [[len(row[:, place].unique()) for place in range(3)] for row in asked] == [[1, 4, 4]] * 5


def test_a_regressor_is_trained_on_noisy_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[torch.Tensor] = []
    loss, drawn = learners.functional.gaussian_nll_loss, list[torch.Tensor]()
    make = learners.linear_problems
    monkeypatch.setattr(learners, "linear_problems", lambda *given: drawn.append((found := make(*given))[3]) or found)
    monkeypatch.setattr(learners.functional, "gaussian_nll_loss",
                        lambda mean, noisy, variance: wanted.append(noisy) or loss(mean, noisy, variance))  # fmt: skip
    learners.trained_regressor(work(tmp_path), steps=3, width=8, depth=1, most=2, noise=0.25, share=1)
    assert (torch.stack(wanted) - torch.stack(drawn)).var() == pytest.approx(0.25, rel=0.1)


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


def test_sal_draws_anew_for_every_problem_and_seed() -> None:
    same = Problems(*(getattr(problems(), name)[[0, 0]] for name in Problems.__slots__))
    picks = torch.empty((2, 0), dtype=torch.int64)
    first, other = (sal("max", "two_samples", seed)(Bayes(), same, picks) for seed in (0, 1))  # type: ignore[arg-type]
    drawn = [*first.tolist(), *other.tolist()]
    assert all(one != two for one, two in combinations(drawn, 2))


class Lopsided:
    """Thinks 1 a tenth as likely as all labels together, and doubts every test point by the last label that it saw."""

    def outputs(self, examples: Any, labels: Any, queries: Any) -> Any:
        last = labels[:, -1:] if labels.shape[1] else torch.zeros(len(labels), 1)
        return last.expand(-1, queries.shape[1])[..., None]

    def doubt(self, outputs: Any) -> Any:
        return outputs[..., 0]

    def possible(self, outputs: Any) -> tuple[Any, Any]:
        shape = (*outputs.shape[:-1], 2)
        return torch.tensor([0.0, 1.0]).expand(shape), torch.tensor([0.9, 0.1]).expand(shape)


def test_sal_weighs_the_doubt_after_each_label_by_its_probability() -> None:
    given = problems()
    picks = torch.empty((3, 0), dtype=torch.int64)
    for reduce in ("max", "mean"):
        expected = sal(reduce)(Lopsided(), given, picks)  # type: ignore[arg-type]
        torch.testing.assert_close(expected, torch.full((3, 12), 0.1))


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
    np.testing.assert_allclose(inputs.std(0), 1, rtol=0.01)
    assert set(labels) <= {0, 1, 2}
    for kind in real.KINDS:
        pool, test = real.split(np.random.default_rng(0), name, kind, pool=40, tests=15)
        assert (len(pool), len(test), len({*pool, *test})) == (40, 15, 55)
    apart = np.linalg.norm(inputs[test][:, None] - inputs[None], axis=2)  # of the last split, of neighbours
    reach = np.linalg.norm(inputs[test][:, None] - inputs[test][None], axis=2).max(1)
    assert (reach <= np.sort(apart, axis=1)[:, 14] + 1e-9).any()  # one of them has the others as its nearest


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


def test_hard_is_the_most_el2n_of_several_heads_and_judged_images_were_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    derived, asked, judged = list[Any](), list[Any](), list[Any]()
    orders, derive = heads._orders, heads.derive
    monkeypatch.setattr(heads, "derive", lambda *words: derived.append(words[1:]) or derive(*words))
    monkeypatch.setattr(heads, "_orders", lambda *given: asked.append(given[2]) or orders(*given))
    monkeypatch.setattr(heads, "_error", lambda *given: judged.append(given[2]) or 0.0)
    settings = {"task": {"name": "digits", "examples": 60}, "tests": 20, "keep": [0.5], "epochs": 0.5}
    chosen = study(learner="head", **settings).simplified()
    chosen.measure(work(tmp_path))
    assert derived == [("proxy", number) for number in range(3)]
    for seen, others in zip(asked, (judged[0], judged[len(judged) // 2]), strict=True):
        assert len(seen) == 20
        assert not {row.tobytes() for row in seen} & {row.tobytes() for row in others}
    found = orders(chosen, asked[0], asked[1], np.arange(20.0), 0)
    assert found["hard"].tolist() == list(range(19, -1, -1))
    assert found["easy"].tolist() == list(range(20))


def test_a_head_of_one_class_answers_that_class() -> None:
    assert heads._error(np.ones((2, 1)), np.array([3, 3]), np.ones((4, 1)), np.array([3, 3, 3, 1])) == 0.25
