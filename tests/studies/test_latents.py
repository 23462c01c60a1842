"""study=latents: P* and what is fitted to it, what is refused before a run, and a small run with its page."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prune_lab.cli import compose
from prune_lab.experiments.contracts import Indices
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.studies.latents import Latents, measuring
from prune_lab.experiments.studies.latents.contexts import Strings
from prune_lab.experiments.studies.latents.difficulty import losses
from prune_lab.experiments.studies.latents.grammar import Grammar
from prune_lab.experiments.studies.latents.measuring import chosen, root_accuracy
from prune_lab.experiments.studies.latents.thresholds import pseudo_values, runs, threshold

from ..command_line import call


def test_a_threshold_is_interpolated_in_the_logarithm_of_a_rising_curve() -> None:
    sizes = np.array([100.0, 1000.0, 10_000.0])
    assert threshold(sizes, np.array([0.5, 0.8, 1.0])) == pytest.approx(1000 * 10**0.5)
    assert threshold(sizes[::-1], np.array([1.0, 0.8, 0.5])) == pytest.approx(1000 * 10**0.5)
    assert threshold(sizes, np.array([0.8, 0.6, 1.0])) == pytest.approx(1000 * 10 ** (2 / 3))  # 0.7, 0.7, 1
    assert math.isnan(threshold(sizes, np.array([0.5, 0.8, 0.89])))  # not reached
    assert math.isnan(threshold(sizes, np.array([0.95, 1.0, 1.0])))  # below the smallest


def levels(growth: float, seeds: int = 3, **settings: Any) -> pd.DataFrame:
    """Curves that rise from 0.8 to 1 around P* = 1000 growth^L, for L = 2, 3, 4 and some seeds."""
    rows = []
    for seed in range(seeds):
        for depth in (2, 3, 4):
            needed = 1000 * growth**depth
            for number, accuracy in ((needed / 10, 0.8), (needed * 10, 1.0)):
                rows.append({"seed": seed, "depth": depth, "strings": number, "level": depth - 1, "accuracy": accuracy})
    told = {"target": "latents", "ari": np.nan, "vocabulary": 16, "synonyms": 4, "branching": 2, "classes": None,
            "keep": 1.0, "rule": "random", "scored": "latents", "learner": "clustering", "tested": 9}  # fmt: skip
    return pd.DataFrame(rows).assign(**told | settings)


def rows_of(found: pd.DataFrame, measure: str, **where: Any) -> pd.DataFrame:
    for name, value in where.items():
        found = found[found[name] == value]
    return found[found["measure"] == measure]


def test_slopes_exponents_and_spreads_are_those_of_the_curves() -> None:
    tables = [levels(1.0), levels(3.0, target="tokens"), levels(1.0, synonyms=8), levels(2.0, target="labels")]
    tables[2]["strings"] *= 2**3
    found = runs({"levels": pd.concat(tables)})
    assert rows_of(found, "threshold", target="latents", synonyms=4)["strings"].to_numpy() == pytest.approx(1000)
    deep = rows_of(found, "threshold", target="latents", synonyms=4, depth=4)
    assert deep["by_latents"].to_numpy() == pytest.approx(1000 * (1 - 4 / 16) / (16 * 4**3), rel=1e-4)
    assert deep["by_tokens"].to_numpy() == pytest.approx(1000 * (1 - 4 / 16) / (16 * 4**5), rel=1e-4)
    slope = rows_of(found, "slope", target="tokens")
    assert slope["value"].to_numpy() == pytest.approx(math.log(3))
    assert sorted(slope["depth"]) == [3, 3, 3, 4, 4, 4]
    exponent = rows_of(found, "exponent", target="latents")
    assert exponent["value"].to_numpy() == pytest.approx(3)
    assert len(exponent) == 9
    spread = rows_of(found, "spread_in_depth", synonyms=4)
    assert rows_of(spread, "spread_in_depth", target="latents", unit="by_latents")["value"].to_numpy() == pytest.approx(
        1
    )
    tokens = rows_of(spread, "spread_in_depth", target="tokens")
    assert rows_of(tokens, "spread_in_depth", unit="by_latents")["value"].to_numpy() == pytest.approx(9)
    assert rows_of(tokens, "spread_in_depth", unit="by_tokens")["value"].to_numpy() == pytest.approx(16 / 9)
    everywhere = rows_of(found, "spread", target="latents", unit="by_latents")  # f is twice as large with 8 synonyms
    assert everywhere["value"].to_numpy() == pytest.approx(0.75 / 0.5)


def test_a_rule_is_compared_with_a_random_part_in_the_same_seed() -> None:
    kept = [levels(1.0, keep=0.5), levels(1.0, keep=0.5, rule="hard", scored="tokens")]
    kept[1]["strings"] *= 2.0
    found = rows_of(runs({"levels": pd.concat(kept)}), "against_random")
    assert found["value"].to_numpy() == pytest.approx(math.log(2))
    assert set(found["rule"]) == {"hard"}


def test_a_grammar_that_was_not_bracketed_has_no_value() -> None:
    table = levels(1.0)
    table.loc[(table["seed"] == 1) & (table["depth"] == 3), "accuracy"] = 0.5
    found = runs({"levels": table})
    assert rows_of(found, "threshold", seed=1)["value"].isna().sum() == 1
    assert rows_of(found, "slope", seed=1)["value"].isna().all()
    shown = rows_of(Latents.points(found), "threshold", depth=3)
    assert shown["seeds"].item() == 2
    assert math.isnan(shown["mean"].item())  # the two that reached it are a selection
    assert "own latents" not in Latents.verdict(found)


def test_one_depth_alone_has_a_page_without_a_slope() -> None:
    found = runs({"levels": levels(1.0).query("depth == 3")})
    assert Latents.verdict(found).startswith("No run has the top level right")
    assert Latents.points(found)["mean"].notna().any()


def test_pseudo_values_are_the_values_of_a_mean_and_remove_the_bias_of_a_square() -> None:
    drawn = np.random.default_rng(0).standard_normal((5, 1))
    assert pseudo_values(drawn, lambda means: means[0]) == pytest.approx(drawn[:, 0])
    unbiased = drawn.mean() ** 2 - drawn.var(ddof=1) / 5
    assert pseudo_values(drawn, lambda means: means[0] ** 2).mean() == pytest.approx(unbiased)


# ---- pruning, and the root -------------------------------------------------------------------------------------------


def test_the_loss_of_a_string_is_what_counting_the_others_says_of_it() -> None:
    """One level, two tuples a string: by hand, the string's own count left out and the marginal added once."""
    pool = Grammar(2, 4, 2, 2, seed=3).sample(60, 1)
    found = losses(pool, "tokens", 0)
    tokens, string = pool[-1], 17
    total = 0.0
    for place, other in ((0, 1), (1, 0)):
        tuples, beside = tokens[:, 2 * place : 2 * place + 2], tokens[:, 2 * other : 2 * other + 2]
        same = (tuples == tuples[string]).all(1)
        for slot in range(2):
            right = beside[:, slot] == beside[string, slot]
            total -= math.log(((same & right).sum() - 1 + right.mean()) / same.sum())
    assert found[string] == pytest.approx(total / 4)


def test_rules_keep_what_they_say_of_a_pool() -> None:
    pool = Grammar(3, 8, 2, 2, seed=0).sample(200, 1)

    def kept(**settings: Any) -> list[Indices]:
        return chosen(Latents(vocabulary=8, synonyms=2, sizes=(100,), keep=0.5, **settings), pool, 100, 0)

    hard, easy, random = kept(rule="hard"), kept(rule="easy"), kept()
    assert [one.shape for one in hard] == [(100, 2**k) for k in range(4)]
    scores = losses(pool, "latents", 0)
    assert (random[-1] == pool[-1][:100]).all()
    assert len(np.unique(np.concatenate([hard[-1], easy[-1]]), axis=0)) == len(np.unique(pool[-1], axis=0))
    assert (hard[-1] == pool[-1][np.sort(np.argsort(-scores, kind="stable")[:100])]).all()
    assert not all((one == two).all() for one, two in zip(hard, kept(rule="hard", scored="tokens"), strict=True))


def test_the_root_is_read_from_a_table_of_few_labels() -> None:
    top = np.array([[0, 0, 1, 0, 1, 2], [0, 0, 1, 0, 1, 2]])  # two symbols, six strings
    strings = Strings(top, np.array([1, 1, 0, 1, 0, 0]), 3, 2, (3,))
    assert root_accuracy(strings, top, 3) == pytest.approx(2 / 3)  # the last tuple is given the most common label
    assert root_accuracy(strings, top, 1) == pytest.approx(1 / 3)


# ---- bad input, and a run --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"synonyms": 17}, "synonyms=17 gives 16 symbols 272 tuples.*To mend it: synonyms of at most 16"),
        ({"synonyms": 16}, "study.synonyms=16 uses every tuple"),
        ({"depth": 40}, r"65,536|16,384 strings of depth 40.*To mend it: a smaller depth"),
        ({"depth": 1}, "study.depth=2"),
        ({"sizes": (8, 64)}, r"study.sizes=8 are fewer than the 16 clusters.*study.sizes=16"),
        ({"classes": 70}, "classes=70 .*some class would have no string"),
        ({"targets": ("untrained",)}, "study.learner=clustering has no target untrained: study.targets of latents"),
        ({"learner": "end_to_end", "targets": ("latents",), "keep": 0.5}, "study.keep=1"),
        ({"learner": "end_to_end", "targets": ("tokens",), "network": {"patch": 3}}, "at most study.network.patch=2"),
        ({"learner": "end_to_end", "targets": ("tokens",), "tested": 1}, "study.tested=2000"),
        ({"network": {"width": 30}}, "network.width=30 is no multiple"),
        ({"targets": ("latents", "latents")}, "study.targets has latents twice"),
        ({"sizes": (64, 64)}, "study.sizes has 64 twice"),
        ({"classes": 60, "sizes": (32, 64)}, "study.sizes=32 are fewer than study.classes=60"),
        ({"depth": 22, "sizes": (256,)}, "256 strings of depth 22"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Latents(**settings)


def test_what_does_not_matter_is_not_part_of_a_key() -> None:
    plain = Latents().simplified()
    assert Latents(gradient={"steps": 7}, network={"steps": 7}, scored="tokens").simplified() == plain
    assert Latents(keep=0.5, scored="tokens").simplified() == Latents(keep=0.5).simplified()
    assert Latents(learner="gradient", gradient={"steps": 7}).simplified().gradient.steps == 7


def test_how_many_labels_the_root_gets_is_part_of_a_key() -> None:
    def key(*words: str) -> str:
        (run,) = compose.runs("simulate", ["study=latents", *words])
        return job_of("simulate", run).key

    assert len({key(), key("study.labels=[]"), key("study.labels=[7]")}) == 3


def fake_work(seed: int) -> Any:
    return SimpleNamespace(seed=seed, notify=lambda words, share: None)


def test_what_a_run_measures_is_drawn_and_said() -> None:
    from matplotlib.figure import Figure

    tables: dict[str, list[pd.DataFrame]] = {"levels": [], "root": []}
    for seed in range(2):
        for depth in (2, 3):
            study = Latents(depth=depth, vocabulary=8, synonyms=2, tested=200, sizes=(64, 256, 1024), labels=(32,))
            study = study.model_copy(update={"targets": ("latents", "tokens", "labels", "shuffled")})
            told = {name: None if isinstance(one, tuple | dict) else one for name, one in study.model_dump().items()}
            measured, metrics = study.measure(fake_work(seed))
            assert metrics == {"filling": 0.25}
            for name, table in measured.items():
                tables[name].append(table.assign(**told | {"seed": seed}))
    whole = {name: pd.concat(parts) for name, parts in tables.items()}
    said = Latents.verdict(Latents.runs(whole))
    assert said.startswith("With each level of the grammar the strings that are needed grow by a factor: own latents")
    assert "2 seeds, 95 % t intervals" in Latents.caveat(whole)
    assert {"mean", "low", "high"} <= set(Latents.points(Latents.runs(whole)))
    drawings = [one for figure in Latents.figures(whole) for one in figure.drawings]
    assert {"In units of v m³/(1−f)", "Target: shuffled", "The root from few labels"} <= {one.title for one in drawings}
    for one in drawings:
        axes = Figure().subplots()
        one.draw(axes)
        assert axes.get_lines()


def test_the_command_line_refuses_what_cannot_be(capsys: pytest.CaptureFixture[str], results: str) -> None:
    refused = call(capsys, "simulate", "study=latents", "study.synonyms=17", results)
    assert refused.code == 2
    assert "some tuple would have two parents" in refused.err


def test_grammars_in_which_no_two_tuples_are_alike_are_measured() -> None:
    for settings in ({"synonyms": 1, "vocabulary": 8}, {"synonyms": 1, "vocabulary": 2}, {"synonyms": 2, "tested": 1}):
        study = Latents(sizes=(64,), labels=(), depth=3, **{"vocabulary": 8} | settings)
        assert study.measure(fake_work(0))[0]["levels"]["ari"].notna().all()


def test_every_seed_has_a_grammar_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(
        measuring, "Grammar", lambda *sizes, classes, seed: seeds.append(seed) or Grammar(*sizes, seed=seed)
    )
    for seed in (3, 4):
        Latents(vocabulary=8, synonyms=2, sizes=(64,), tested=9, depth=2, labels=()).measure(fake_work(seed))
    assert seeds == [3, 4]


def test_equal_seeds_measure_the_same() -> None:
    study = Latents(vocabulary=8, synonyms=2, sizes=(64, 256), tested=100, labels=(32,))
    tables, again, other = (study.measure(fake_work(seed))[0]["levels"] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(tables, again)
    assert not tables.equals(other)
