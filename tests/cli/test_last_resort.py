"""What no line of ours expects ends in a sentence as well, and what libraries warn of stays off the terminal."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from prune_lab.cli import compose, show
from prune_lab.cli import run as running
from prune_lab.experiments.data import digits
from prune_lab.experiments.phases import run as phases
from prune_lab.experiments.phases.work import Work
from prune_lab.experiments.store.folders import Store

from ..command_line import call

SCORE = ["score", "task.examples=100", "scorer=random"]


def breaking(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let every score run fail with this."""

    def fail(work: Work) -> dict[str, Any]:
        raise error

    monkeypatch.setitem(phases.PHASES, "score", fail)


def test_a_defect_of_a_verb_is_a_sentence_and_its_traceback_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*words: object, **flags: object) -> None:
        raise ZeroDivisionError("divided\nby zero")

    monkeypatch.setattr(running, "run", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    answer = call(capsys, "train")
    assert answer.code == 1
    assert "ZeroDivisionError: divided (a defect; the traceback is in " in answer.err
    (file,) = tmp_path.glob("prune-lab-*.txt")
    assert str(file) in answer.err
    assert "in broken" in file.read_text()


def test_a_defect_of_a_run_leaves_its_traceback_in_the_store(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, results: str
) -> None:
    breaking(monkeypatch, KeyError("nobody"))
    answer = call(capsys, *SCORE, results)
    assert answer.code == 1
    (file,) = re.findall(r"the traceback is in (\S+\.txt)\)", answer.err)
    assert Path(file).is_relative_to(results.partition("=")[2])
    assert "KeyError: 'nobody'" in Path(file).read_text()
    assert call(capsys, "runs", results).code == 0  # it is no run


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "this machine has too little memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), "this machine has too little memory"),
        (OSError(40, "Too many levels of symbolic links", "a/b"), "a/b: Too many levels of symbolic links"),
    ],
)
def test_what_the_machine_refuses_is_no_defect(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, results: str, error: Exception, said: str
) -> None:
    breaking(monkeypatch, error)
    answer = call(capsys, *SCORE, results)
    assert (answer.code, said in answer.err, "to mend it" in answer.err) == (4, True, True)


@pytest.mark.parametrize(
    "words",
    [
        ["train", "task=images", f"task.path={'a' * 5000}"],
        ["train", f"results={'a/' * 2500}"],
        ["score", f"export={'a' * 5000}.csv"],
        ["prune", "scorer=file", f"scorer.path={'a' * 5000}.csv", "keep=0.5"],
        ["train", "--plugin", f"{'a' * 5000}.py"],
        ["runs", "--results", "a" * 5000],
        ["claims", "smoke", f"results={'a' * 5000}"],
    ],
)
def test_a_path_of_thousands_of_letters(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    answer = call(capsys, *words)
    assert (answer.code, "File name too long" in answer.err, "to mend it" in answer.err) == (4, True, True)
    assert len(answer.err) < 500


def test_an_output_without_space(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(show.json, "dumps", full)
    answer = call(capsys, "choices", "rule", "--json")
    assert (answer.code, "no space is left where the output" in answer.err) == (4, True)


PLUGIN = """
from prune_lab.experiments.choices import choice
from prune_lab.experiments.contracts import ModelChoice, ScorerChoice

@choice("scorer", "leaving")
class Leaving(ScorerChoice):
    def score(self, evidence):
        raise SystemExit(7)

@choice("scorer", "odd")
class Odd(ScorerChoice):
    def evidence(self, run):
        return [1]
"""


@pytest.mark.parametrize(
    ("scorer", "said"),
    [("leaving", "broke in a plug-in: "), ("odd", "perhaps on what ")],
)
def test_what_a_plug_in_breaks_is_said_to_be_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, results: str, scorer: str, said: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    answer = call(capsys, "score", "--plugin", str(file), f"scorer={scorer}", "task.examples=100", results)
    assert (answer.code, f"{said}{file}" in answer.err) == (1, True)


def test_a_choice_that_does_not_say_what_it_takes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f'{PLUGIN}\n@choice("model", "mine")\nclass Mine(ModelChoice):\n    """A model."""\n')
    answer = call(capsys, "choices", "--plugin", str(file))
    assert (answer.code, "Mine does not say its takes" in answer.err) == (2, True)


def test_a_plug_in_below_the_home_of_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "train", "--plugin", "~nobodyhere/x.py")
    assert (answer.code, "there is no such file" in answer.err) == (4, True)


def test_nothing_that_is_said_hides_letters() -> None:
    assert show.readable("a\x1b[31m\n\tb") == "a\\x1b[31m\n\\tb"
    assert show.readable(f"in {'x' * 900} there") == f"in {'x' * 100}... (900 letters) there"


def test_what_libraries_warn_of_is_in_the_record_and_not_on_the_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, results: str
) -> None:
    scored = phases.PHASES["score"]

    def warning(work: Work) -> dict[str, Any]:
        for _ in range(3):
            warnings.warn("old and cold", UserWarning, stacklevel=1)
            logging.getLogger("somebody").warning("too hot for %s", "me")
        warnings.warn("for authors", DeprecationWarning, stacklevel=1)
        return scored(work)

    monkeypatch.setitem(phases.PHASES, "score", warning)
    answer = call(capfd, *SCORE, results)
    assert (answer.code, "cold" in answer.err, "hot" in answer.err) == (0, False, False)
    (folder,) = Store(results.partition("=")[2]).folders("score")
    assert folder.record["warnings"] == ["test_last_resort.py: UserWarning: old and cold", "somebody: too hot for me"]


def test_a_command_looks_at_its_files_once(monkeypatch: pytest.MonkeyPatch, results: str) -> None:
    looks: list[int] = []
    before = digits.fingerprint
    monkeypatch.setattr(digits, "fingerprint", lambda: looks.append(1) or before())
    runs = compose.runs("train", ["seed=range(0,20)", "keep=0.5", results])
    assert len(running.run("train", runs, show.Show(as_json=False), dry_run=True)) > 50
    assert len(looks) == 1


def test_the_store_is_named_in_both_ways_everywhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = str(tmp_path / "mine, (new)")
    assert call(capsys, *SCORE, "--results", store).code == 0
    assert "already done" in call(capsys, *SCORE, f"results='{store}'").err
    for words in (["--results", store], [f"results={store}"], [f"results='{store}'"]):
        (row,) = call(capsys, "runs", "--json", *words).objects
        assert call(capsys, "runs", str(row["key"]), "--json", *words).objects[0]["key"] == row["key"]
        assert call(capsys, "claims", "smoke", *words).code == 0
    assert call(capsys, "runs", "--clean", "--results", "").code == 2
    assert "one is looked at" in call(capsys, "claims", "a", "b").err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ["task=images", "task.path=a,b"],
            4,
            "task.path=a,b is 2 values\n  to mend it: \"task.path='a,b'\" for one value",
        ),
        (["keep=0,5"], 2, "keep=0,5 is 2 values\n  to mend it: keep=0.5"),
        (["keep=1,0.5,0"], 2, ""),
    ],
)
def test_that_a_comma_makes_a_sweep_is_said(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    answer = call(capsys, "train", *words)
    assert answer.code == code
    assert said in answer.err
    assert ("a comma makes a sweep" in answer.err) == bool(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=perceptron"], "model=perceptron takes vectors, and task=digits has images"),
        (
            ["recipe.shift=16", "task.examples=100"],
            "moves images of 8 pixels out of sight\n  to mend it: recipe.shift=1",
        ),
    ],
)
def test_a_model_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], results: str, words: list[str], said: str
) -> None:
    answer = call(capsys, "train", *words, results)
    assert (answer.code, said in answer.err) == (2, True)
