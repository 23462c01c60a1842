"""`report` and `reproduce` from the command line: a page, and exit 5 where an expectation fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prune_lab.cli import compose

from ..command_line import TINY, call

EXPERIMENT = """\
# @package _global_
defaults:
  - override /task: digits
experiment:
  name: mine
  title: A small <experiment>
  grids:
    - ["seed=0,1,2"]
    - ["seed=0,1,2", "keep=0.25", "rule=random,easy"]
  expect:
    - claim: it learns
      source: here
      point: {where: {keep: 1.0}}
      at_least: %s
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    (tmp_path / "configs" / "experiment").mkdir(parents=True)
    return tmp_path / "configs" / "experiment" / "mine.yaml"


def test_an_expectation_that_fails_ends_with_exit_5(
    capsys: pytest.CaptureFixture[str], experiment: Path, results: str
) -> None:
    words = ["reproduce", f"experiment={experiment}", *TINY, results]
    experiment.write_text(EXPERIMENT % 0.5)
    held = call(capsys, *words, "--check", "--json")
    assert held.code == 0
    *runs, claim, report = held.objects
    assert len(runs) == 9
    assert (claim["phase"], claim["status"], claim["claim"], claim["n"]) == ("claim", "holds", "it learns", 3)
    assert report["metrics"]["claims"]["holds"] == 1
    page = Path(report["path"])
    assert page.name.startswith("mine_")  # changed by words, so a page of its own
    assert "A small &lt;experiment&gt;" in (page / "index.html").read_text()
    assert {path.name for path in page.iterdir()} >= {"table.csv", "points.csv", "claims.json", "record.json"}
    command = json.loads((page / "record.json").read_text())["command"]
    assert command.startswith("prune-lab reproduce")
    assert "results=" not in command  # the path of this store is nobody else's
    experiment.write_text(EXPERIMENT % 0.999)
    compose._groups.cache_clear()  # a process reads its configs once
    compose._section.cache_clear()
    failed = call(capsys, *words, "--check")
    assert failed.code == 5
    named = call(capsys, "claims", str(experiment), results, "--json", "--check")
    assert named.code == 5
    own, words_changed, stopped = named.objects  # the file's own page is not made; that of other words is
    assert (own["verdict"], own["measured"], stopped["exit_code"]) == ("no runs", None, 5)
    assert (words_changed["experiment"], words_changed["verdict"]) == (page.name, "fails")
    assert words_changed["page"] == str(page / "index.html")
    assert "it learns" in failed.err
    assert "wanted at least 0.999" in failed.err
    assert "claims: 1 fails" in failed.err
    assert call(capsys, *words).code == 0  # without --check a finding is no failure


def test_a_report_on_nothing_says_which_command_makes_something(
    capsys: pytest.CaptureFixture[str], results: str
) -> None:
    answer = call(capsys, "report", results)
    assert answer.code == 3
    assert "prune-lab reproduce experiment=demo" in answer.err


def test_a_report_runs_what_its_sweep_needs_and_then_covers_the_store(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    answer = call(capsys, "report", *TINY, "keep=0.5,1.0", "rule=random", results, "--json")
    assert answer.code == 0
    assert [made["phase"] for made in answer.objects] == ["evaluate", "evaluate", "report"]
    page = Path(answer.objects[-1]["path"], "index.html").read_text()
    assert "<h1>digits: random at keep 0.5 and unpruned (2 runs)</h1>" in page
    assert f'<p class="command">prune-lab report {" ".join(TINY)} keep=0.5,1.0 rule=random</p>' in page
    everything = call(capsys, "report", results, "--json")
    assert everything.objects[0]["metrics"]["runs"] == 2
    assert (tmp_path / "results" / "report" / "all" / "index.html").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["task=cifar10", "task.path=nowhere"],
        ["task=imdb"],
        ["task=images", "task.path=nowhere"],
        ["device=cuda:99"],
    ],
    ids=" ".join,
)
def test_what_is_not_there_ends_with_exit_4_and_a_way_out(
    capsys: pytest.CaptureFixture[str], results: str, words: list[str]
) -> None:
    answer = call(capsys, "train", *words, results)
    assert answer.code == 4
    assert "to mend it" in answer.err


def test_a_mistake_is_an_object_too_where_a_program_reads(capsys: pytest.CaptureFixture[str], results: str) -> None:
    answer = call(capsys, "train", "keep=50", results, "--json")
    (said,) = answer.objects
    assert answer.code == said["exit_code"] == 2
    assert said["status"] == "failed"
    assert "keep=0.5" in said["error"]
    assert "keep=0.5" in answer.err


def test_an_experiment_of_ones_own_is_a_file_anywhere(
    capsys: pytest.CaptureFixture[str], experiment: Path, results: str
) -> None:
    experiment.write_text("experiment:\n  name: [mine\n")
    broken = call(capsys, "reproduce", f"experiment={experiment}", results)
    assert broken.code == 2
    assert "mine.yaml, line 3" in broken.err
    compose._groups.cache_clear()
    compose._section.cache_clear()
    no_section, no_mapping = "has no section experiment", "is a mapping of names to values"
    for content, sentence in {"": no_section, "- a\n": no_mapping, "keep: 0.5\n": no_section}.items():
        experiment.write_text(content)
        compose._section.cache_clear()
        empty = call(capsys, "reproduce", f"experiment={experiment}", results)
        assert (empty.code, sentence in empty.err) == (2, True)
    experiment.write_text("defaults:\n  - override /task: nope\nexperiment:\n  name: mine\n")
    nested = call(capsys, "reproduce", f"experiment={experiment}", results)
    assert (nested.code, "nope" in nested.err) == (2, True)
    missing = call(capsys, "reproduce", "experiment=nowhere.yaml", results)
    assert (missing.code, "no file nowhere.yaml" in missing.err) == (2, True)
    unclaimed = call(capsys, "reproduce", "experiment=demo", results, "--check")
    assert unclaimed.code == 2
    assert "makes no claims" in unclaimed.err


def test_a_setting_given_twice_is_refused(capsys: pytest.CaptureFixture[str], results: str) -> None:
    twice = call(capsys, "train", *TINY, "--seed", "0", "seed=1", "--dry-run", results)
    assert (twice.code, "seed is given twice: seed=1 and seed=0" in twice.err) == (2, True)
    assert (
        call(capsys, "train", *TINY, "--keep", "1", "--keep", "0.5", "--dry-run", results).err.count("train to do") == 2
    )
    percent = call(capsys, "train", *TINY, "--keep", "50%", "--dry-run", results)
    assert (percent.code, "to mend it: keep=0.5" in percent.err) == (2, True)
