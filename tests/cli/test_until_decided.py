"""`--until-decided` adds seeds to the runs of an undecided claim, up to a limit; and the page says so."""

from __future__ import annotations

import pandas as pd
import pytest

from prune_lab.cli import compose, until
from prune_lab.cli.show import Show
from prune_lab.experiments.laws import claims
from prune_lab.experiments.laws.expectations import Expectation
from prune_lab.experiments.phases.plan import closure, job_of
from prune_lab.experiments.report import foreseen, judged, page

from ..command_line import call


@pytest.mark.parametrize(("decides", "most", "seeds"), [(5, 9, 5), (99, 6, 6), (3, 9, 3)])
def test_seeds_are_added_until_the_claim_is_decided_or_the_limit_is_reached(
    decides: int, most: int, seeds: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment, runs = compose.experiment(["experiment=smoke", "keep=0.5", "seed=0,1,2"])
    compared = [run for run in runs if run.rule.name == "random"]
    asked: list[int] = []

    def undecided(_store: object, phase: str, keys: list[str], _claims: object) -> dict[str, list[str]]:
        asked.append(len(keys))
        own = compared + [run for run in every if run.rule.name == "random" and run.seed > 2]
        return {} if len({run.seed for run in own}) >= decides else {"c": [job_of(phase, run).key for run in own]}

    every = list(runs)

    def run(_phase: str, given: list[object], *_: object, **__: object) -> list[object]:
        every[:] = given  # type: ignore[assignment]
        return []

    monkeypatch.setattr(until, "run", run)
    monkeypatch.setattr(judged, "undecided", undecided)
    found, _ = until.decided(
        experiment.phase, experiment.chosen.expect, runs, most, Show(as_json=False), lambda _: None
    )
    assert {run.seed for run in found if run.rule.name == "random"} == set(range(seeds))
    assert {run.seed for run in found if run.rule.name != "random"} == {0, 1, 2}
    assert len(found) == len(set(map(repr, found)))
    assert capsys.readouterr().err.count("undecided after") == seeds - 3


def test_the_page_says_which_intervals_are_of_that_kind() -> None:
    told = {"claim": "c", "source": "us", "at_least": 0, "point": {"where": {}}}
    runs = pd.DataFrame({"seed": [0, 1, 2], "accuracy": [0.4, 0.5, 0.6]})
    for anytime in (False, True):
        outcome = claims.check(Expectation.model_validate(told | {"anytime": anytime}), runs)
        section = page.expected([outcome])
        assert section is not None
        assert ("A confidence sequence: seeds could be added" in str(section)) == anytime


def test_a_report_claims_that_each_rule_beats_random_selection() -> None:
    runs = compose.runs("report", ["keep=0.3,0.5", "rule=hard,easy,random", "seed=0,1", "scorer.proxies=1"])
    found = foreseen.against_random(closure(job_of("evaluate", run) for run in runs))
    assert [one.claim for one in found] == [
        f"rule={rule}, keep={keep} beats random selection" for rule in ("easy", "hard") for keep in (0.3, 0.5)
    ]
    assert all(one.anytime and one.at_least == 0 for one in found)
    assert [one.versus and one.versus.where for one in found[:2]] == [
        {"keep": keep, "rule": "random"} for keep in (0.3, 0.5)
    ]
    lone = [run for run in runs if run.rule.name == "hard"]
    assert not foreseen.against_random(closure(job_of("evaluate", run) for run in lone))


def test_only_claims_can_be_decided(capsys: pytest.CaptureFixture[str], results: str) -> None:
    words = ["reproduce", "experiment=demo", "--until-decided", "5", "--dry-run", results]
    answer = call(capsys, *words)
    assert (answer.code, "makes no claims that could be decided" in answer.err) == (2, True)
    answer = call(capsys, "report", "--until-decided", "5", "--dry-run", results)
    assert (answer.code, "no runs are asked for" in answer.err) == (2, True)
