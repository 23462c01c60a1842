"""A result's identity holds what was decided for it, and no setting that has no effect."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prune_lab.cli import compose
from prune_lab.experiments import precision
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases.plan import Job, closure, job_of


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
    assert len(trained) == 5
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
