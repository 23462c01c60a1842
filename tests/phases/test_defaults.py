"""Keys leave out settings at their defaults, so a default that changes its meaning would serve old results as new."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from prune_lab.experiments import choices
from prune_lab.experiments.contribution.settings import Search
from prune_lab.experiments.data.texts import SecondText
from prune_lab.experiments.phases.plan import PHASE_VERSION, job_of
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.report.table import completed
from prune_lab.experiments.store.folders import key_of
from prune_lab.experiments.training.recipes import Recipe

FROZEN = "5b54d6f923cdac33"
VERSIONS = {"score": 1, "prune": 2, "train": 2, "evaluate": 1, "simulate": 1, "search": 2}


def defaults(model: type[BaseModel]) -> dict[str, Any]:
    return {name: json.loads(json.dumps(field.default, default=str)) for name, field in model.model_fields.items()}


def test_defaults_are_frozen_or_a_version_is_raised() -> None:
    """Of every choice with its version, and of the sections that are no choice."""
    found: dict[str, Any] = {section.__name__: defaults(section) for section in (Recipe, Search, SecondText)}
    for kind in choices.KINDS:
        for one in choices.every(kind):
            found[f"{kind}={one.registered}"] = [one.version, defaults(one)]
    assert dict(PHASE_VERSION) == VERSIONS, "a new phase version: freeze the defaults again"
    assert key_of(found) == FROZEN, "a default changed: raise the choice's version, or that of the phases it touches"


def run(**changes: Any) -> Run:
    content = {
        "task": {"name": "digits"},
        "model": {"name": "linear"},
        "recipe": {"epochs": 2},
        "scorer": {"name": "el2n"},
        **changes,
    }
    return Run.model_validate(content)


def test_an_older_record_is_read_with_the_settings_that_came_later() -> None:
    whole = job_of("train", run(model={"name": "convnet", "width": 0.5})).recipe
    again = json.loads(json.dumps(whole))
    older = {**whole, "model": {"name": "convnet", "width": 0.5, "stride": None}}
    older["task"] = {name: value for name, value in whole["task"].items() if name != "classes"}
    assert completed(older) == again
    assert completed(again) == again
    assert completed({"model": {"name": "of the future", "depth": 3}, "keep": 0.5}) == {
        "model": {"name": "of the future", "depth": 3}, "keep": 0.5,
    }  # fmt: skip


def test_a_key_depends_on_what_the_result_depends_on_and_on_nothing_else() -> None:
    key = job_of("train", run(keep=0.5)).key
    assert job_of("train", run(keep=0.5, results="elsewhere", device="cpu", launcher={"name": "processes"})).key == key
    assert job_of("train", run(keep=0.5, scorer={"name": "el2n", "proxies": 3})).key == key  # its default, spelled out
    for change in (
        {"seed": 1}, {"keep": 0.4}, {"rule": "easy"}, {"balance": 0.5}, {"budget": "steps"},
        {"scorer": {"name": "grand"}}, {"model": {"name": "mlp"}}, {"recipe": {"epochs": 3}},
        {"task": {"name": "digits", "label_noise": 0.1}},
    ):  # fmt: skip
        assert job_of("train", run(**{"keep": 0.5, **change})).key != key, change


def test_an_unpruned_run_does_not_depend_on_how_it_would_be_pruned() -> None:
    key = job_of("train", run()).key
    assert job_of("train", run(rule="easy", budget="steps", scorer={"name": "grand"})).key == key


def test_each_seed_is_ranked_by_proxies_of_its_own_unless_one_set_is_shared() -> None:
    """Else the interval over seeds would leave out what another set of proxies would have kept."""
    scores = [job_of("score", run(seed=seed)) for seed in range(3)]
    assert len({score.key for score in scores}) == 3
    assert len({proxies.key for score in scores for proxies in score.inputs.values()}) == 3  # three proxies each
    shared = [job_of("score", run(seed=seed, score_seed=1)) for seed in range(3)]
    assert len({score.key for score in shared}) == 1
    assert shared[0].key not in {score.key for score in scores}  # conditional on one set: another kind of run
    assert len({job_of("prune", run(keep=0.5, seed=seed)).key for seed in (1, 2)}) == 2
    given = [job_of("score", run(seed=seed, scorer={"name": "random"})).key for seed in (0, 1)]
    assert len(set(given)) == 2


def test_every_choice_depends_on_the_seed_and_a_random_one_needs_no_scores() -> None:
    """The seed draws among equal scores."""
    assert job_of("prune", run(keep=0.5, seed=1)).key != job_of("prune", run(keep=0.5, seed=2)).key
    random = job_of("prune", run(keep=0.5, rule="random"))
    assert random.inputs == {}
    assert random.key != job_of("prune", run(keep=0.5, rule="random", seed=2)).key


def test_scores_of_one_schedule_share_its_proxies_and_only_tdds_asks_for_more() -> None:
    """An older proxy of aum serves dyn_unc as it is; none can stand in for one that records movement."""

    def proxies(name: str) -> set[str]:
        given = run(scorer={"name": name}, model={"name": "convnet"})  # whose proxies are jobs of their own
        return {proxy.key for proxy in job_of("score", given).inputs.values()}

    assert proxies("dyn_unc") == proxies("aum") == proxies("forgetting")
    assert proxies("loss") > proxies("d2")
    assert not proxies("tdds") & proxies("aum")
