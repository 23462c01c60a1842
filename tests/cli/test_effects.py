"""A word that changes nothing is said; one that says a default, or counts for a part of a sweep, is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from prune_lab.cli import compose, effects

from ..command_line import TINY, call

SAID = [
    (
        "evaluate",
        "rule=easy balance=0.5 scorer=grand score_seed=3 seed=0,1",
        "rule=easy balance=0.5 scorer=grand score_seed=3",
    ),
    ("evaluate", "scorer.proxies=4,5", "scorer.proxies=4,5"),
    ("search", "recipe=flow policy=rs2 budget=steps", "policy=rs2 budget=steps"),
    ("prune", "rule=random scorer=grand recipe.epochs=3", "scorer=grand recipe.epochs=3"),
    ("score", "keep=0.4 scorer=input_norm model.width=9", "keep=0.4 model.width=9"),
    ("train", "recipe.optimizer=adamw recipe.momentum=0.3", "recipe.momentum=0.3"),
    ("train", "recipe=flow policy=learning_law search.looks=3", "search.looks=3"),
    ("train", "scorer=mask recipe.epochs=7 keep=0.5", ""),
    ("score", "scorer=mask recipe.epochs=7", "recipe.epochs=7"),
    ("prune", "rule=random,hard scorer=grand scorer.epoch=1 seed=0,1", ""),  # one of its runs reads them
    ("evaluate", "keep=1 seed=0 rule=hard recipe.precision=float32", ""),  # defaults
    ("train", "recipe.epochs=20", ""),  # what is derived for the digits
    ("train", "recipe.epochs=7 recipe.least_steps=900", "recipe.least_steps=900"),
    ("evaluate", "keep=0.5 rule=easy balance=0.5 budget=steps", ""),
    ("search", "recipe=flow recipe.precision=float32 seed=1", ""),
]


@pytest.mark.parametrize(("phase", "words", "idle"), SAID, ids=[f"{phase} {words}" for phase, words, _ in SAID])
def test_words_without_effect_are_said(phase: str, words: str, idle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "resolved", lambda name, _: "float32" if name == "auto" else name)
    given = ["device=cpu", "results=elsewhere", *words.split()]
    sentence = effects.said(phase, given, compose.grid(given))
    assert sentence.partition(" (")[0] == (idle and f"without effect on {phase} here: {idle}")
    assert ("would have one with keep=0.5" in sentence) == (phase == "evaluate" and bool(idle))


def test_the_sentence_is_on_stderr_and_in_every_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = call(capsys, "train", *TINY, "rule=easy", f"results={tmp_path}", "--dry-run", "--json")
    assert made.code == 0
    note = "without effect on train here: rule=easy (the results are the same without; rule=easy would have one with "
    assert made.err.startswith(note)
    assert [one["notes"][0].startswith(note) for one in made.objects] == [True]
    assert "notes" not in call(capsys, "train", *TINY, f"results={tmp_path}", "--dry-run", "--json").objects[0]
