"""Scores, rules, tasks and models of the lab that a study's settings choose by name."""

from __future__ import annotations

import pytest

from prune_lab.cli import compose
from prune_lab.experiments import choices
from prune_lab.experiments.contracts import TaskChoice
from prune_lab.experiments.phases.plan import job_of

PRUNED = ["study=formats", "study.keep=0.5", "study.rule=hard"]


@pytest.mark.parametrize(
    ("words", "kind", "name"),
    [
        (["study=validity"], "task", "digits"),
        (["study=validity"], "model", "mlp"),
        (["study=architecture"], "task", "pydoc"),
        (["study=pipeline"], "task", "pydoc"),
        (["study=pipeline"], "model", "gpt"),
        (["study=pipeline"], "scorer", "perplexity"),
        (["study=pipeline"], "rule", "middle"),
        (PRUNED, "scorer", "loss"),
        (PRUNED, "rule", "hard"),
        (["study=formats"], "policy", "uniform"),
        (["study=demonstrations", "study.learner=head", "study.task={name: digits}"], "task", "digits"),
    ],
)
def test_the_code_of_what_is_chosen_is_part_of_the_key(
    words: list[str], kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = compose.runs("simulate", words)
    before, chosen = job_of("simulate", run).key, choices.get(kind, name)
    monkeypatch.setattr(chosen, "version", chosen.version + 1)
    version = job_of("simulate", run).key
    monkeypatch.setattr(chosen, "plugin", "0123456789abcdef")
    assert len({before, version, job_of("simulate", run).key}) == 3


def test_a_corpus_that_is_not_pruned_does_not_depend_on_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = compose.runs("simulate", ["study=formats"])
    before = job_of("simulate", run).key
    monkeypatch.setattr(choices.get("scorer", "loss"), "version", 9)
    assert job_of("simulate", run).key == before


@pytest.mark.parametrize("settings", [{}, {"name": "nothing"}])
def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"study\.task names no task: there are .*digits"):
        choices.chosen("task", settings, TaskChoice)
