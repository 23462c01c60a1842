"""What a point is: every setting of a run that has an effect, and not the seed, for the page and for the claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_origin

import pandas as pd
import pytest
from pydantic import BaseModel, ValidationError

from prune_lab.experiments import choices
from prune_lab.experiments.contribution.settings import Search
from prune_lab.experiments.errors import LabError
from prune_lab.experiments.laws import claims
from prune_lab.experiments.laws.runs import newest, runs_of
from prune_lab.experiments.phases import plan
from prune_lab.experiments.phases.plan import Job, closure, job_of
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.report.pruning import runs
from prune_lab.experiments.store.folders import Folder
from prune_lab.experiments.training.recipes import FULL, Recipe

FOR_CPU = {"scorer": {"name": "el2n"}, "keep": 0.5, "device": "cpu"}
DIGITS = {**FOR_CPU, "task": {"name": "digits"}, "model": {"name": "mlp"}, "recipe": {"epochs": 2}}
TEXT = {"task": {"name": "pydoc"}, "model": {"name": "gpt"}, "recipe": {"optimizer": "adamw", "epochs": 2}}
FLOW = {"steps": 9, "batch_size": FULL}
FITTING: dict[str, dict[str, Any]] = {  # what a choice needs beside its name
    "beta": {"scorer": {"name": "dual"}}, "quota": {"scorer": {"name": "class_error"}},
    "infobatch": {"keep": 1.0, "budget": "steps"}, "rs2": {"keep": 1.0}, "learning_law": {"recipe": FLOW},
    "perceptron": {"task": {"name": "perceptron"}},
    **dict.fromkeys(("perplexity", "continuation", "ngram_importance", "gpt", "pydoc", "digits_as_text"), TEXT),
}  # fmt: skip
NEEDING_FILES = ("file", "images", "text", "cifar10", "imdb", "tinystories")


def of(settings: dict[str, Any]) -> Job:
    return job_of("evaluate", Run.model_validate({**DIGITS, **settings}))


def rows(*jobs: Job) -> Any:
    """The page's table of runs that would be these jobs', without running them."""
    made = {}
    for job in closure(jobs):
        pool = job.run.task.examples or 99
        record = {"phase": job.phase, "key": job.key, "recipe": job.recipe, "metrics": {"accuracy": 0.5, "pool": pool}}
        record |= {"inputs": {name: one.key for name, one in job.inputs.items()}, "created": job.key}
        made[job.phase, job.key] = Folder(Path(job.key), json.loads(json.dumps(record)))
    store: Any = SimpleNamespace(get=lambda phase, key: made[phase, key], root="results")
    return runs.table(store, [job.key for job in jobs])


def others(annotation: Any, value: Any) -> Iterator[Any]:
    """Other values of a setting; some of them are out of its bounds."""
    if get_origin(annotation) is Literal:
        yield from (one for one in get_args(annotation) if one != value)
    elif annotation is bool:
        yield not value
    elif annotation in (int, float):
        yield from (one for one in ((value or 6) + 1, (value or 6) - 1, 0.4, (value or 6) / 2) if one != value)
    elif isinstance(value, tuple):
        yield (*value, 3)
    else:
        for part in get_args(annotation):
            yield from others(part, value) if part in (int, float, bool) or get_args(part) else ()


def changes(section: type[BaseModel], base: dict[str, Any], place: str, run: dict[str, Any]) -> Iterator[Any]:
    """(name of the setting, a job, the same with that setting changed) for every setting that can be changed."""
    for name, field in section.model_fields.items():
        usual = base.get(name, None if field.is_required() else field.get_default(call_default_factory=True))
        for value in others(field.annotation, usual) if name != "name" else ():
            with suppress(ValidationError, LabError):
                yield f"{place}.{name}", of({**run, place: base}), of({**run, place: {**base, name: value}})
                break


def cases() -> Iterator[Any]:
    for kind in ("task", "model", "scorer", "rule", "policy"):
        for one in choices.every(kind):
            if one.registered not in NEEDING_FILES:
                yield from changes(one, {"name": one.registered}, kind, FITTING.get(one.registered, {}))
    yield from changes(Recipe, {"epochs": 2, "precision": "float32"}, "recipe", {})
    yield from changes(Search, {}, "search", {"recipe": FLOW, "policy": {"name": "learning_law"}})
    second = [{"task": {"name": "digits", "classes": ["1", number]}} for number in "23"]
    for name, values in (("balance", (0.0, 0.5)), ("budget", ("epochs", "steps")), ("keep", (0.5, 0.4)),
                         ("score_seed", (None, 1)), ("score_seed", (1, 2)), ("finetune", (None, second[0])),
                         ("finetune", second)):  # fmt: skip
        yield name, *(of({name: value}) for value in values)
    yield "scored", *(of({"task": {"name": "digits", "examples": 90}, "scored": one}) for one in ("pool", "everything"))


def test_every_setting_makes_a_point_and_a_comparison_of_its_own() -> None:
    pairs = list(cases())
    table = rows(*(job for _, *both in pairs for job in both)).set_index("evaluate")
    compared = table[[*claims.COMPARED, "rule", "scorer", "selection"]].astype(str).agg("|".join, axis=1)
    assert table["point"].is_unique
    for setting, job, other in pairs:
        assert job.key == other.key or compared[job.key] != compared[other.key], setting
    idle = {"search.looks", "search.multiples", "recipe.least_epochs", "recipe.least_steps"}  # the duration is given
    assert {setting for setting, job, other in pairs if job.key == other.key} == idle
    varied = {setting for setting, *_ in pairs}
    assert {"policy.dropped", "policy.until", "search.rate", "scorer.epoch", "recipe.precision"} <= varied
    assert len(pairs) > 110


def test_a_seed_makes_no_point_and_an_older_run_of_it_no_second_seed(tmp_path: Path) -> None:
    """The page and `prune-lab claims`, which reads the page's table, judge the same runs."""
    table = rows(of({}), of({"seed": 1}), of({"keep": 0.4}))
    assert table["point"].nunique() == 2
    again = table.assign(created="0", accuracy=0.1, evaluate="older")
    every = pd.concat([table, again], ignore_index=True)
    table_of_page = tmp_path / "table.csv"
    every.to_csv(table_of_page, index=False)
    judged = [newest(every), runs_of(table_of_page)]
    assert [one["evaluate"].tolist() for one in judged] == [table["evaluate"].tolist()] * 2
    assert runs.points(every).set_index("keep")["n"].to_dict() == {0.4: 1, 0.5: 2}
    study = pd.DataFrame({"seed": [0, 0], "accuracy": [0.1, 0.2]})
    assert newest(study) is study


def test_scores_of_an_older_version_are_no_seeds_of_todays_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their proxies were the same for all seeds: mixed with scores of each seed they would narrow the interval."""
    today = rows(of({"seed": 1}))
    own = plan.score_job

    def older(run: Run) -> Job:
        job = own(run)
        return Job("score", {name: one for name, one in job.settings.items() if name != "seed"}, job.inputs, run)

    monkeypatch.setattr(plan, "score_job", older)
    before = rows(of({"seed": 2}))
    assert before["point"][0] != today["point"][0]
    assert before["selection"][0] != today["selection"][0]
    assert before["score_shared"].tolist() == [True]
    assert today["score_shared"].tolist() == [False]
    drawn_by_none = rows(of({"seed": 3, "scorer": {"name": "input_norm"}}))
    assert drawn_by_none["score_shared"].tolist() == [False]
