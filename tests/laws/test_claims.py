"""Claims are judged on the interval over seeds, and never on fewer than three of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from prune_lab.experiments.laws import claims
from prune_lab.experiments.laws.expectations import Expectation, Point
from prune_lab.experiments.laws.headline import headline
from prune_lab.experiments.report.pruning.runs import points, table

from ..synthetic_store import build, error_of


def runs(accuracies: dict[str, list[float]], *, budget: str = "epochs", **more: Any) -> pd.DataFrame:
    """A table of one point per rule, one run per seed."""
    shared = {"task": "digits", "model": "mlp", "width": 64, "setup": "a", "label_noise": 0.0, "pool": 400}
    shared |= {"balance": 0.0, "fingerprint": "f", "policy": "uniform"}
    rows = [
        shared | {"budget": "both" if rule == "none" else budget, "split": "test", "keep": 0.5, "rule": rule,
        "scorer": "none" if rule in ("none", "random") else "el2n", "selection": "none", "seed": seed, "examples": 200,
        "accuracy": accuracy, "model.whitening": True, "recipe.steps": None} | more
        for rule, values in accuracies.items() for seed, accuracy in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def expect(
    least: float | None = None, at_most: float | None = None, *, versus: bool = False, **more: Any
) -> Expectation:
    return Expectation(
        claim="hard beats random", source="arXiv:2206.14486", point=Point(where={"rule": "hard", "keep": 0.5}),
        versus=Point(where={"rule": "random", "keep": 0.5}) if versus else None, at_least=least, at_most=at_most,
        **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [
        (expect(0.89), "holds"),
        (expect(0.90), "undecided"),
        (expect(0.93), "undecided"),
        (expect(0.95), "fails"),
        (expect(at_most=0.95), "holds"),
        (expect(at_most=0.93), "undecided"),
        (expect(at_most=0.89), "fails"),
        (expect(0.89, 0.95), "holds"),
    ],
)
def test_a_claim_holds_where_the_whole_interval_is_inside(wanted: Expectation, verdict: str) -> None:
    """The mean decided where nothing was said: 0.92 [0.891, 0.941] was at least 0.90 and at least 0.915 alike."""
    outcome = claims.check(wanted, runs({"hard": [0.91, 0.92, 0.93]}))
    assert outcome.verdict == verdict, outcome.sentence
    assert outcome.effect == pytest.approx(0.92)
    assert (outcome.n, outcome.low) == (
        3,
        pytest.approx(1 / (1 + 0.08 / 0.92 * math.exp(4.302653 * 0.01 / 3**0.5 / (0.92 * 0.08)))),
    )


@pytest.mark.parametrize("wanted", [expect(0.0, versus=True), expect(at_most=0.0, versus=True)])
def test_equal_sides_beat_nothing(wanted: Expectation) -> None:
    """Where keep=1, or every accuracy is 1, the interval of the difference is [0, 0]."""
    same = [0.98, 1.0, 1.0]
    assert claims.check(wanted, runs({"hard": same, "random": same})).verdict == "undecided"


def test_seeds_of_other_numbers_of_runs_are_said() -> None:
    both = pd.concat([runs({"hard": [0.9, 0.91, 0.92]}), runs({"hard": [0.9, 0.91]}, width=128)])
    assert "each seed the mean of 1 to 2 runs" in claims.check(expect(0.8), both).sentence
    assert "each seed the mean of 2 runs" in claims.check(expect(0.8), both[both["seed"] < 2]).sentence


@pytest.mark.parametrize("column", ["setting", "point"])
def test_settings_of_fewer_seeds_are_no_luck_of_seeds(column: str) -> None:
    """Seeds 3 and 4 ran one setting of two: their means were those of other settings, 0.62 [0.31, 0.93] in all."""
    both = pd.concat(
        [
            runs({"hard": [0.9, 0.91, 0.89, 0.9, 0.9]}, **{column: "a"}),
            runs({"hard": [0.3, 0.31, 0.29]}, width=128, **{column: "b"}),
        ]
    )
    outcome = claims.check(expect(0.55, 0.65), both)
    assert outcome.verdict == "holds", outcome.sentence
    assert outcome.effect == pytest.approx(0.6)
    assert "the mean of 2 settings of 3 to 5 seeds each" in outcome.sentence


def test_sides_of_several_settings_are_paired_by_setting() -> None:
    """Each side the mean of what it has, the second one's setting at 0.3 would have counted as a loss of the first."""
    sides = [
        runs({"hard": [0.9, 0.91, 0.89], "random": [0.8, 0.81, 0.79]}, setting="a"),
        runs({"hard": [0.3, 0.31, 0.29], "random": [0.2, 0.21]}, setting="b"),
        runs({"random": [0.1, 0.1, 0.1]}, setting="c"),
    ]
    outcome = claims.check(expect(0.09, 0.11, versus=True), pd.concat(sides))
    assert outcome.verdict == "holds", outcome.sentence
    assert outcome.effect == pytest.approx(0.1)


def test_bounds_that_nothing_meets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at_least: 0\.9 above at_most: 0\.5"):
        expect(0.9, 0.5)


def test_rules_are_compared_under_one_policy() -> None:
    plain = runs({"hard": [0.81, 0.82, 0.83], "random": [0.71, 0.72, 0.73]})
    equal = runs({"hard": [0.61, 0.62, 0.63], "random": [0.71, 0.72, 0.73]}, setup="b", policy="equal_contribution")
    found = claims.advantage(pd.concat([plain, equal]))
    assert found.set_index("policy")["verdict"].to_dict() == {"uniform": "better", "equal_contribution": "worse"}
    assert "keep 0.5, under equal_contribution: worse" in headline(found)
    assert "0.5 by el2n under equal_contribution against random" in headline(claims.advantage(equal))


def test_two_seeds_decide_nothing() -> None:
    outcome = claims.check(expect(0.5), runs({"hard": [0.91, 0.92]}))
    assert (outcome.verdict, outcome.n) == ("undecided", 2)
    assert "fewer than 3" in outcome.sentence


def test_one_seed_has_no_interval() -> None:
    outcome = claims.check(expect(0.5), runs({"hard": [0.91]}))
    assert (outcome.low, outcome.verdict) == (None, "undecided")


def test_differences_are_paired_by_seed() -> None:
    paired = claims.check(expect(0.0, versus=True), runs({"hard": [0.71, 0.82, 0.93], "random": [0.70, 0.80, 0.90]}))
    assert paired.effect == pytest.approx(0.02)
    assert (paired.low, paired.n) == (pytest.approx(0.02 - 4.302653 * 0.01 / 3**0.5), 3)
    assert "paired by seed" in paired.sentence
    four = runs({"hard": [0.71, 0.82, 0.93], "random": [0.7, 0.8, 0.9, 0.8]})
    assert claims.check(expect(0.0, versus=True), four).effect == pytest.approx(0.02)  # of the seeds that both have
    four.loc[four["rule"] == "random", "seed"] += 2
    unpaired = claims.check(expect(0.0, versus=True), four)
    assert unpaired.low is not None
    assert unpaired.low < -0.1
    assert "unpaired" in unpaired.sentence


def test_runs_without_a_value_leave_a_selection_that_decides_nothing() -> None:
    some = runs({"hard": [0.9, 0.9, 0.9, math.nan]})
    outcome = claims.check(expect(0.6), some)
    assert (outcome.verdict, outcome.n) == ("undecided", 3)
    assert "1 of the runs" in outcome.sentence


def test_no_runs_says_which_setting_is_missing() -> None:
    table_ = runs({"hard": [0.9] * 3})
    assert "rule=random" in claims.check(expect(0.0, versus=True), table_).sentence
    unknown = Expectation(claim="c", source="s", point=Point(where={"rulle": "hard"}), at_least=0)
    outcome = claims.check(unknown, table_)
    assert (outcome.verdict, outcome.effect) == ("no runs", None)
    assert outcome.sentence == "point: no column rulle in the table; there is: rule"
    lost = Expectation(claim="c", source="s", point=Point(where={"rule": "hard"}, metric="acuracy"), at_least=0)
    assert (
        "no column acuracy in the table; there is: accuracy, balance, examples," in claims.check(lost, table_).sentence
    )


def test_two_data_sets_are_not_averaged() -> None:
    both = pd.concat([runs({"hard": [0.9] * 3}), runs({"hard": [0.5] * 3}, fingerprint="g")])
    outcome = claims.check(expect(0.6), both)
    assert (outcome.verdict, outcome.effect) == ("no runs", None)
    assert "2 data sets" in outcome.sentence
    assert "fingerprint=f (digits) and fingerprint=g (digits)" in outcome.sentence
    one = Expectation(claim="c", source="s", point=Point(where={"rule": "hard", "fingerprint": "f"}), at_least=0.6)
    assert claims.check(one, both).verdict == "holds"


@pytest.mark.parametrize(
    ("where", "n"),
    [
        ({"rule": "none", "budget": "steps"}, 3),
        ({"rule": "hard", "budget": "steps"}, 0),
        ({"rule": "hard", "width": 64.0, "model.whitening": True, "recipe.steps": None}, 3),
        ({"rule": "hard", "model.whitening": 1}, 0),
        ({"rule": "hard", "recipe.steps": 10}, 0),
    ],
)
def test_settings_match_by_value_and_unpruned_runs_are_of_both_budgets(where: dict[str, Any], n: int) -> None:
    table_ = runs({"hard": [0.9] * 3, "none": [0.95] * 3})
    outcome = claims.check(Expectation(claim="c", source="s", point=Point(where=where), at_least=0), table_)
    assert outcome.n == n


def test_advantage_is_signed_towards_better() -> None:
    found = claims.advantage(runs({"hard": [0.81, 0.82, 0.83], "easy": [0.6, 0.8, 1.0], "random": [0.7, 0.71, 0.725]}))
    assert found.set_index("rule")["verdict"].to_dict() == {"hard": "better", "easy": "undecided"}
    text = runs({"hard": [0.81, 0.82, 0.83], "random": [0.7, 0.71, 0.725]})
    text = text.rename(columns={"accuracy": "bits_per_byte"})
    worse = claims.advantage(text).iloc[0]
    assert (worse["verdict"], worse["metric"]) == ("worse", "bits_per_byte")
    assert worse["low"] < worse["effect"] < worse["high"] < 0


def test_random_of_another_budget_is_no_baseline() -> None:
    both = pd.concat([runs({"hard": [0.8] * 3}), runs({"random": [0.7] * 3}, budget="steps")])
    found = claims.advantage(both)
    assert found["verdict"].tolist() == ["no random"]
    assert "no runs of both" in headline(found)


def test_a_text_model_beside_an_image_model_keeps_its_own_metric() -> None:
    image = runs({"hard": [0.8, 0.81, 0.82], "random": [0.7] * 3})
    text = runs({"hard": [2.0, 2.1, 2.2], "random": [2.5] * 3}, setup="b").rename(columns={"accuracy": "bits_per_byte"})
    found = claims.advantage(pd.concat([image, text]))
    assert found["metric"].tolist() == ["accuracy", "bits_per_byte"]
    assert (found["effect"] > 0).all()


def test_the_headline_leads_with_the_effect_of_each_rule() -> None:
    """It was a tally: better in 11, worse in 17 and undecided in 8 of 36."""
    found = claims.advantage(runs({"hard": [0.81, 0.82, 0.83], "easy": [0.5, 0.51, 0.52], "random": [0.7, 0.71, 0.72]}))
    assert headline(found).splitlines() == [
        "Against as many random examples under the same budget, scored by el2n:",
        "keeping the hardest: +11.0 points [+11.0, +11.0] (keep 0.5: better).",
        "keeping the easiest: −20.0 points [−20.0, −20.0] (keep 0.5: worse).",
    ]
    many = pd.concat([found.assign(keep=keep, effect=keep) for keep in (0.2, 0.5, 0.7, 0.9)], ignore_index=True)
    said = headline(many.assign(place="digits", setup=["a", "b"] * 4)).splitlines()[1]
    assert "from +20.0 points" in said
    assert "(keep 0.2, digits) to +90.0 points" in said or "(digits, keep 0.2) to +90.0 points" in said
    assert said.endswith("better in 4, worse in 0, undecided in 0 of 4.")
    assert claims.caveat(found).endswith("not corrected for the number of comparisons, which is 2.")
    twenty = pd.concat([found] * 10)
    assert claims.caveat(twenty).endswith("which is 20: about 1.0 of them would exclude 0 by chance alone.")


def test_a_single_comparison_is_given_whole() -> None:
    found = claims.advantage(runs({"hard": [0.81, 0.82, 0.83], "random": [0.81, 0.80, 0.82]}))
    assert headline(found) == (
        "Keeping the hardest 0.5 by el2n against random: +1.0 points [−1.5, +3.5], 3 seeds, equal epochs: undecided."
    )
    assert "chance" not in claims.caveat(found)
    one = headline(claims.advantage(runs({"stratified": [0.81], "random": [0.80]})))
    assert one.startswith("Keeping a stratified 0.5 by el2n against random: +1.0 points, 1 seed, equal epochs: ")
    assert one.endswith("undecided (fewer than 3 seeds).")


def test_the_store_becomes_a_table_of_points(tmp_path: Path) -> None:
    store = build(tmp_path, pools=(2000, 32_000), keeps=(0.5,), rules=("random", "hard"), noise=0.0)
    found = table(store)
    assert len(found) == 2 * 3 + 2 * 2 * 2 * 3
    row = found[(found["rule"] == "hard") & (found["budget"] == "steps") & (found["pool"] == 2000)].iloc[0]
    assert row["error"] == pytest.approx(error_of(2000, 0.5, "hard", "steps", False))
    assert (row["examples"], row["scorer"], row["task.examples"], row["scorer.name"]) == (1000, "el2n", 2000, "el2n")
    assert store.find("score", row["score"]) is not None
    unpruned = found[found["rule"] == "none"]
    assert set(unpruned["budget"]) == {"both"}
    assert set(unpruned["keep"]) == {1.0}
    grouped = points(found)
    assert len(grouped) == 2 + 2 * 2 * 2
    assert not grouped["few"].any()
    subset = found[(found["rule"] != "hard") | (found["seed"] < 2)]
    assert points(subset).query("rule == 'hard'")["few"].all()
    advantage = claims.advantage(found).set_index(["pool", "budget"])["verdict"]
    assert advantage[2000, "epochs"] == "worse"
    assert advantage[32_000, "steps"] == "better"


def test_a_second_run_of_the_same_seed_is_no_second_seed(tmp_path: Path) -> None:
    found = table(build(tmp_path, pools=(2000,), keeps=(0.5,), rules=("random",), budgets=("epochs",)))
    again = found.assign(created="2031-01-01", accuracy=0.123)
    grouped = points(pd.concat([found, again], ignore_index=True))
    assert set(grouped["n"]) == {3}
    assert set(grouped["accuracy"].round(6)) == {0.123}
