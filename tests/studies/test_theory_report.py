"""`reproduce` of the pruned perceptron: the phase simulate and its page, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from prune_lab.cli import compose
from prune_lab.experiments.figures import panels
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.studies import perceptron
from prune_lab.experiments.studies.perceptron import figures as theory
from prune_lab.experiments.studies.perceptron.theory import generalization_error

from ..command_line import call

EXPERIMENT = """\
# @package _global_
experiment:
  name: small
  title: A small perceptron
  phase: simulate
  grids:
    - [study=perceptron, "study.keep=1"]
    - [study=perceptron, "study.keep=0.5", "study.rule=hard", "study.theta=0,20"]
    - [study=perceptron, "study.keep=0.5", "study.rule=easy"]
  expect:
    - claim: the easiest half beats the hardest half where data are scarce
      source: arXiv:2206.14486 Figure 1A
      point: {where: {rule: easy, alpha: 1}, metric: error}
      versus: {where: {rule: hard, theta: 0, alpha: 1}, metric: error}
      at_most: %s
"""
SMALL = ("study.dimension=40", "study.draws=3", "study.alphas=[1,4]")


def test_the_theory_and_its_simulation_become_a_page(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perceptron, "CURVE", 3)
    monkeypatch.setattr(theory, "KEEPS", (0.5, 1.0))
    saved: list[str] = []
    monkeypatch.setattr(panels, "save", lambda drawings, stem, **_: saved.append(stem.name))
    (tmp_path / "configs" / "experiment").mkdir(parents=True)
    (tmp_path / "configs" / "experiment" / "small.yaml").write_text(EXPERIMENT % -0.05)
    words = ["reproduce", f"hydra.searchpath=[file://{tmp_path / 'configs'}]", "experiment=small", *SMALL, results]
    made = call(capsys, *words, "--check", "--json")
    assert made.code == 0
    *runs, claim, report = made.objects
    assert [run["phase"] for run in runs] == ["simulate"] * 4
    assert claim["verdict"] == "holds"
    assert report["metrics"]["claims"] == {"holds": 1, "fails": 0, "undecided": 0, "no runs": 0}
    page = Path(report["path"])
    rows = pd.read_csv(page / "table.csv")
    assert len(rows) == 4 * 3 * 2
    one = rows[(rows["rule"] == "hard") & (rows["theta"] == 20) & (rows["alpha"] == 4)]
    assert one["theory"].to_numpy() == pytest.approx([generalization_error(4, 0.5, theta=20)] * 3)
    assert 0 < one["error"].min() < one["error"].max() < 0.5
    assert saved == ["error", "envelope", "probe"]
    assert "error against alpha for rule hard" in (page / "index.html").read_text()
    assert json.loads((page / "record.json").read_text())["folders"] == 4
    again = call(capsys, *words, "--json")
    assert [run["status"] for run in again.objects[:-1]] == ["cached"] * 4


def test_the_theory_knows_three_rules(capsys: pytest.CaptureFixture[str], results: str) -> None:
    refused = call(capsys, "reproduce", "experiment=perceptron_theory", "study.rule=middle", results)
    assert refused.code == 2
    assert "study.rule=middle" in refused.err


def test_a_random_subset_is_an_unpruned_set_of_its_size() -> None:
    """One key for one result."""
    words = ["study=perceptron", "study.rule=random", "study.keep=0.2", "study.theta=10"]
    runs = [*compose.runs("simulate", words), *compose.runs("simulate", ["study=perceptron"])]
    assert len({job_of("simulate", run).key for run in runs}) == 1
