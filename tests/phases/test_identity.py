"""A result's identity holds what was decided for it, and no setting that has no effect."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from prune_lab.cli import compose
from prune_lab.experiments import choices, precision
from prune_lab.experiments.contracts import ScorerChoice
from prune_lab.experiments.data.load import build_task, data_of
from prune_lab.experiments.errors import ConfigError, LabError, RunFailed
from prune_lab.experiments.phases import run as phases
from prune_lab.experiments.phases.plan import Job, closure, job_of
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.store.folders import Store
from prune_lab.experiments.training.recipes import FULL, Recipe

from ..image_files import png


def job(*words: str, phase: str = "train") -> Job:
    (run,) = compose.runs(phase, words)
    return job_of(phase, run)


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that says what this machine's processor can do; there is no GPU, and torch cannot be asked."""
    file = tmp_path / "cpuinfo"
    file.write_text("flags\t\t: fpu avx2\n")
    monkeypatch.setattr(precision, "PROCESSOR", file)
    monkeypatch.setattr(precision, "may_have_gpu", lambda: False)
    monkeypatch.setitem(sys.modules, "prune_lab.experiments.devices", None)
    precision.resolved.cache_clear()
    yield file
    precision.resolved.cache_clear()


def test_the_precision_that_auto_means_here_is_in_every_key_of_a_trained_model(processor: Path) -> None:
    words = ["keep=0.5", "finetune={task:{name:digits}}"]
    plain, spelled = job(*words), job(*words, "recipe.precision=float32")
    assert plain.key == spelled.key
    processor.write_text("flags\t\t: fpu avx2 avx512_bf16 amx_tile\n")
    precision.resolved.cache_clear()
    fast = job(*words)
    assert fast.key == job(*words, "recipe.precision=bfloat16").key
    assert job(*words, "recipe.precision=float32").key == plain.key
    trained = [one for one in closure([fast]) if one.phase == "train"]
    assert len(trained) > 2  # proxies, the model, and the model that goes on
    assert {one.run.recipe.precision for one in trained} == {"bfloat16"}  # what runs is what the key says
    assert not {one.key for one in trained} & {one.key for one in closure([plain])}
    assert job(*words, "device=mps", "recipe.precision=float32").key == plain.key


def test_a_search_is_float32_everywhere_and_takes_the_whole_set(processor: Path) -> None:
    words, processor_text = ["recipe=flow", "model=mlp"], processor.read_text()
    keys = set()
    for text in (processor_text, "flags: amx_tile"):
        processor.write_text(text)
        precision.resolved.cache_clear()
        keys.add(job(*words, "recipe.precision=auto", phase="search").key)
    assert len(keys) == 1
    with pytest.raises(ConfigError, match="whole set"):
        job("recipe.steps=10", "recipe.epochs=null", phase="search")


SAME = (  # words for a job, and one more that changes nothing of what it computes
    (["recipe.optimizer=adamw"], "recipe.momentum=0.5"),
    (["scorer=mask", "keep=0.5"], "recipe.epochs=7"),
    (["scorer=mask", "keep=0.5"], "recipe.precision=bfloat16"),
    (["scorer.convention=single", "keep=0.5"], "scorer.proxies=9"),
    (["recipe=flow", "policy=learning_law"], "search.looks=7"),
    (["recipe=flow", "policy=learning_law"], "search.multiples=[3]"),
)


@pytest.mark.parametrize(("words", "more"), SAME, ids=[f"{' '.join(words)}: {more}" for words, more in SAME])
def test_a_setting_without_effect_is_in_no_key(words: list[str], more: str) -> None:
    plain, other = (closure([job(*given)]) for given in (words, [*words, more]))
    if words[0] == "scorer=mask":  # the model at the end is trained by the recipe; what chose its set is not
        plain, other = plain[:-1], other[:-1]
    assert [one.key for one in plain] == [one.key for one in other]


@pytest.mark.parametrize(
    ("word", "mend"),
    [("seed=true", "seed=0"), ("keep=false", "keep=0.5"), ("recipe.clip=true", None), ("launcher.workers=true", None)],
)
def test_a_flag_is_no_number(word: str, mend: str | None) -> None:
    with pytest.raises(ConfigError, match=f"{word}: true and false are no values of it") as caught:
        compose.runs("prune", [word])
    assert caught.value.mend == mend
    assert compose.runs("prune", ["recipe.flip=true", "model=convnet", "model.whitening=false"])


def test_what_a_text_of_ours_would_ignore_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"would ignore task\.column"):
        compose.runs("prune", ["task=pydoc", "task.column=body"])


SMALL = {
    "task": {"name": "digits", "examples": 40}, "model": {"name": "mlp", "width": 4, "depth": 1}, "device": "cpu",
    "recipe": {"steps": 2, "batch_size": 40, "precision": "float32"}, "scorer": {"name": "random"}, "keep": 1.0,
}  # fmt: skip
TRAINED = {  # the phase that trains, and what makes it short
    "a model": ("train", {}),
    "a search": ("search", {"recipe": {"steps": 2, "batch_size": FULL}, "search": {"epochs": 1, "looks": 2}}),
    "mask": ("score", {"scorer": {"name": "mask", "steps": 1, "inner_steps": 2, "runs": 1}}),
    "prototypes": ("score", {"scorer": {"name": "prototypes", "encoder": "simclr", "epochs": 1, "clusters": 2}}),
    **{
        name: ("score", {"scorer": {"name": name, "models": 30, "share": 0.5}})
        for name in ("memorization", "influence_max", "influence_sum_abs")
    },
}


def test_every_way_to_train_is_among_those_below() -> None:
    own = {one.registered for one in choices.every("scorer") if one.trainer is not ScorerChoice.trainer}
    assert own <= TRAINED.keys()


@pytest.mark.parametrize("name", ["a model", "a search", "mask", "prototypes", "memorization"])
def test_a_setting_of_the_recipe_that_a_run_does_not_read_is_not_in_its_key(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phase, changes = TRAINED[name]

    def trained(**recipe: Any) -> Job:
        content = {**SMALL, **changes}
        run = Run.model_validate({**content, "recipe": {**content["recipe"], **recipe}})
        return next(one for one in closure([job_of(phase, run)]) if one.phase in ("train", "search"))

    job, read, store = trained(), set[str](), Store(tmp_path)
    plain = Recipe.__getattribute__

    def reading(self: Recipe, attribute: str) -> Any:
        read.add(attribute)
        return plain(self, attribute)

    with monkeypatch.context() as patched:
        patched.setattr(Recipe, "__getattribute__", reading)
        phases.run(job, store, lambda *_: None)
    others = {"precision": "bfloat16", "epochs": 3.0, "examples": 99, "batch_size": FULL + 1, "steps": 3}
    others |= {"least_epochs": 2.0, "least_steps": 3}
    unread = set(Recipe.model_fields) - read
    assert len(unread) < 9
    for setting in unread:
        duration = {"steps": None} if setting in ("epochs", "examples") else {}
        with suppress(ValidationError, LabError):
            assert trained(**duration, **{setting: others[setting]}).key == job.key, setting


def test_what_changes_after_a_run_was_planned_is_not_read_under_its_key(tmp_path: Path) -> None:
    rows = [f"{name}/{row}.png" for name in ("cat", "dog") for row in range(8)]
    for number, name in enumerate(rows):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(png(np.full((3, 8, 8), number, np.uint8)))
    (run,) = compose.runs("prune", ["task=images", f"task.path={tmp_path / 'set'}", "keep=0.5", "rule=random"])
    planned, store = job_of("prune", run), Store(tmp_path / "results")
    (tmp_path / "set" / rows[0]).write_bytes(png(np.full((3, 8, 8), 99, np.uint8)))
    with pytest.raises(RunFailed, match="the data of task=images changed since the run was planned"):
        phases.run(planned, store, lambda *_: None)
    scores = tmp_path / "scores.csv"
    scores.write_text("id,score\n" + "".join(f"{name},{number}\n" for number, name in enumerate(rows)))
    words = ["task=images", f"task.path={tmp_path / 'set'}", "scorer=file", f"scorer.path={scores}"]
    planned = job(*words, phase="score")
    scores.write_text(scores.read_text().replace("png,3", "png,33"))
    with pytest.raises(RunFailed, match="what scorer=file reads changed since the run was planned"):
        phases.run(planned, store, lambda *_: None)
    phases.run(job(*words, phase="score"), store, lambda *_: None)
    (run,) = compose.runs("score", words)
    assert (build_task(run, torch.device("cpu")).examples("train").inputs < 100).all()
    for name in rows:
        (tmp_path / "set" / name).write_bytes(png(np.full((3, 8, 8), 250, np.uint8)))
    data_of(run.task, run.task.fingerprint())  # in this very process
    assert (build_task(run, torch.device("cpu")).examples("train").inputs == 250).all()
