"""Continuation, n-gram importance and duplicates: golden numbers, then each end to end on a few docstrings."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prune_lab.cli import compose
from prune_lab.experiments.contracts import IGNORED
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases.plan import Job, job_of
from prune_lab.experiments.scoring import duplicates
from prune_lab.experiments.scoring import ngram_importance as ngrams

from ..command_line import call
from ..scores import score
from ..training.test_evaluation import MemoryTask
from .test_scoring import proxy

PYDOC = [
    "task=pydoc", "task.documents=60", "task.vocabulary=300", "task.context=16", "model.width=16", "model.heads=2",
    "model.depth=1", "task.examples=40", "recipe.epochs=2", "recipe.batch_size=20",
]  # fmt: skip


# ---- continuation ----------------------------------------------------------------------------------------------------


class Counting(nn.Module):
    """Tokens (B, T) to logits (B, T, 10): the next token is one more."""

    def forward(self, tokens: Tensor) -> Tensor:
        return functional.one_hot((tokens + 1) % 10, 10).float()


def windows(*rows: list[int], length: int = 8) -> MemoryTask:
    """Windows whose targets are these; each begins with the token 0."""
    targets = torch.full((len(rows), length), IGNORED)
    inputs = torch.zeros(len(rows), length, dtype=torch.int64)
    for number, row in enumerate(rows):
        targets[number, : len(row)] = torch.tensor(row)
        inputs[number, 1 : len(row)] = torch.tensor(row[:-1])
    return MemoryTask(inputs, targets, "text")


def test_continuation_golden() -> None:
    """A count is known by heart; after 1 2 3 4 it goes 5 6 7 8: of 5 9 7 1 two are hit, of 9 0 1 2 none.

    That it goes on from its own tokens shows in the last: after a 9 that it is given it would hit the rest.
    """
    task = windows([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 9, 7, 1], [1, 2, 3, 4, 9, 0, 1, 2])
    scores = score("continuation", task, [proxy(Counting())])
    assert scores.tolist() == [[0.0, 0.5, 1.0]]
    assert task.inputs[2].tolist() == [0, 1, 2, 3, 4, 9, 0, 1]  # what the task holds is not written to


def test_the_prompt_is_that_share_of_a_windows_own_tokens_rounded_down() -> None:
    """Of 5 tokens 2 are given, of 2 one: 7 is a wrong token of three, then; at .9 all but the last are given."""
    task = windows([1, 2, 7, 4, 5], [5, 6], [1, 2, 3, 4, 5, 6, 8, 8])
    np.testing.assert_allclose(score("continuation", task, [proxy(Counting())]), [[1 / 3, 0, 1 / 4]])
    np.testing.assert_allclose(score("continuation", task, [proxy(Counting())], prompt=0.9), [[0, 0, 1]])
    one = windows([1], [3], length=2)
    assert score("continuation", one, [proxy(Counting())]).tolist() == [[0.0, 1.0]]


def test_a_question_before_the_targets_is_given() -> None:
    """After 1 2 3 4, which are no targets, half of 5 6 9 8 is given: 9 is missed and 8 is hit."""
    task = windows([1, 2, 3, 4, 5, 6, 9, 8])
    task.targets[0, :4] = IGNORED
    assert score("continuation", task, [proxy(Counting())]).tolist() == [[0.5]]


def test_memorization_is_not_of_what_was_held_out() -> None:
    with pytest.raises(AssertionError, match="trained on"):
        score("continuation", windows([1, 2]), [proxy(Counting(), held_out=[True])])


# ---- n-gram importance -----------------------------------------------------------------------------------------------


def test_ngram_importance_golden() -> None:
    """a: 2 of 6 n-grams here and 1 of 3 there; b: 1 of 6 and 1 of 3; "a b": the same; c and "a c": here alone.

    In a share s of the pool's own: a weighs 0, b and "a b" log(2 (1 - s) + s), the others log(s).
    """
    s = 0.25
    scores = ngrams.ngram_importance(["A b", "a  c", ""], ["a b"], smoothing=s)
    expected = [-2 * math.log(2 * (1 - s) + s), -2 * math.log(s), 0.0]
    assert scores.tolist() == pytest.approx(expected)
    longer = ngrams.ngram_importance(["a b", "c", "c c"], ["a b"], smoothing=s)
    assert longer[2] / longer[1] == pytest.approx(3)  # a sum over n-grams: not divided by their number


def test_ngrams_are_hashed_alike_everywhere() -> None:
    assert ngrams.hashed("It's A", 10_000).tolist() == [
        zlib.crc32(ngram) % 10_000 for ngram in (b"it", b"'", b"s", b"a", b"it '", b"' s", b"s a")
    ]
    assert ngrams.hashed("naïve", 10_000).tolist() == [3174]
    with pytest.raises(ConfigError, match=r"scorer\.target"):
        ngrams.ngram_importance(["a"], ["", " "])


def score_job(*words: str) -> Job:
    (run,) = compose.runs("score", ["task=pydoc", "scorer=ngram_importance", *words])
    return job_of("score", run)


def test_the_bytes_of_the_target_belong_to_the_recipe_and_its_place_does_not(tmp_path: Path) -> None:
    plain = score_job()
    assert (plain.recipe["scorer"]["target"], plain.inputs) == (None, {})
    keys = {plain.key}
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "target.txt").write_text("what to resemble")
        job = score_job(f"scorer.target={tmp_path / place}")
        assert str(tmp_path) not in str(job.recipe)
        keys.add(job.key)
    assert len(keys) == 2
    (tmp_path / "two" / "target.txt").write_text("something else")
    assert score_job(f"scorer.target={tmp_path / 'two'}").key not in keys
    with pytest.raises(ConfigError, match=r"scorer\.column"):
        score_job("scorer.column=body")


# ---- duplicates ------------------------------------------------------------------------------------------------------


def test_duplicates_golden() -> None:
    """One centre at 0 degrees: 60 comes first, then 50, 30, 30 and 0; each looks at the nearest before it."""
    angles = np.radians([0.0, 30, 50, 60, 30])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    scores, _ = duplicates.distances_to_earlier(points, np.array([[1.0, 0.0]]))
    ten, twenty, thirty = 1 - np.cos(np.radians([10, 20, 30]))
    np.testing.assert_allclose(scores, [thirty, twenty, ten, 2, 0], atol=1e-12)


def test_each_cluster_has_a_first_and_looks_at_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    points = np.abs(draw.normal(size=(40, 3)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    means = np.eye(3)
    scores, _ = duplicates.distances_to_earlier(points, means)
    assert (scores == duplicates.FIRST).sum() == 3
    own = (points @ means.T).argmax(1)
    for row in range(40):
        before = [
            other for other in np.flatnonzero(own == own[row])
            if (points[other, own[row]], other) < (points[row, own[row]], row)
        ]  # fmt: skip
        expected = min((1 - points[row] @ points[other] for other in before), default=2)
        assert scores[row] == pytest.approx(expected)
    monkeypatch.setattr(duplicates, "BLOCK", 3)
    np.testing.assert_allclose(duplicates.distances_to_earlier(points, means)[0], scores)


def test_duplicates_of_a_task_keep_one_of_each() -> None:
    """Four copies of five points at all angles: the five that come first are kept, and no copy is nearer than 0."""
    angles = torch.arange(5) * 0.6
    rows = torch.stack([angles.cos(), angles.sin()], 1).repeat(4, 1)
    scores = score(
        "duplicates", MemoryTask(rows, torch.zeros(20, dtype=torch.int64)), [proxy(nn.Linear(2, 2))], clusters=2
    )
    kept = np.flatnonzero(scores[0] > 1e-6)
    assert sorted(kept % 5) == [0, 1, 2, 3, 4]
    assert scores.min() == pytest.approx(0, abs=1e-12)


# ---- end to end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        ["scorer=el2n", "scorer.proxies=1"],
        ["scorer=continuation"],
        ["scorer=ngram_importance"],
        ["scorer=ngram_importance", "scorer.target"],
        ["scorer=duplicates"],
        ["scorer=duplicates", "task=digits", "task.examples=60", "model=linear", "recipe.epochs=2"],
    ],
    ids=" ".join,
)
def test_every_text_score_runs(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path, form: list[str]
) -> None:
    (tmp_path / "target.txt").write_text("Return the value.\n\nRaise an error.")
    form = [f"{word}={tmp_path / 'target.txt'}" if word == "scorer.target" else word for word in form]
    task = ["task=digits"] if "task=digits" in form else PYDOC
    answer = call(capsys, "score", *task, *form, "--json", results)
    (made,) = answer.objects
    scores = pd.read_parquet(Path(made["path"]) / "scores.parquet")["score"]
    assert np.isfinite(scores).all()
    if "scorer=continuation" in form:
        assert scores.between(0, 1).all()  # after two epochs next to nothing is known by heart
    else:
        assert scores.nunique() > 12
    if "scorer=ngram_importance" in form:
        said = "all of it: it has no parts" if len(form) == 2 else "target: the dev split"
        assert said in answer.err
        assert made["metrics"]["proxies"] == 1


def test_they_judge_text_alone() -> None:
    for name in ("continuation", "ngram_importance"):
        with pytest.raises(ConfigError, match=f"scorer={name} judges text; for task=digits use scorer=loss"):
            compose.runs("score", ["task=digits", f"scorer={name}"])
