"""A study that a plug-in brings: simulate, reproduce --check, the page, claims, a kill and going on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ..command_line import call

TOY = '''
import os
import numpy as np
import pandas as pd
from prune_lab.experiments.choices import choice
from prune_lab.experiments.contracts import StudyChoice
from prune_lab.experiments.figures.panels import Drawing, Figures


@choice("study", "toy", source="this test")
class Toy(StudyChoice):
    """Powers of a number."""

    base: float = 2.0
    fatal: bool = False  # dies after its first half, once

    def measure(self, work):
        saved = work.resume / "half.npy"
        if not saved.exists():
            np.save(saved, np.arange(3))
            work.notify("half of it is done", 0.5)
            if self.fatal:
                os._exit(9)
        powers = self.base ** np.concatenate([np.load(saved), [3]])
        return {"powers": pd.DataFrame({"power": range(4), "value": powers})}, {"largest": float(powers.max())}

    @classmethod
    def figures(cls, tables):
        draw = lambda axes: axes.plot(tables["powers"]["power"], tables["powers"]["value"])
        yield Figures("powers", "Powers", "They grow.", [Drawing("Powers", "of a number", "value by power", draw)])

    @classmethod
    def verdict(cls, runs):
        return f"The largest of {len(runs)} is {runs['largest'].max():g}."
'''
EXPERIMENT = """
experiment:
  name: toy
  title: A toy
  phase: simulate
  grids:
    - [study=toy, "study.base=2,3", "seed=0,1,2"]
  expect:
    - claim: three cubed is more than two cubed
      source: arithmetic
      point: {where: {base: 3}, metric: largest}
      versus: {where: {base: 2}, metric: largest}
      at_least: 0
      at_most: BOUND
"""


@pytest.fixture
def toy(tmp_path: Path) -> list[str]:
    """`--plugin FILE`."""
    (tmp_path / "toy.py").write_text(TOY)
    return ["--plugin", str(tmp_path / "toy.py")]


@pytest.mark.usefixtures("real_figures")
def test_simulate_makes_runs_and_their_page(capsys: pytest.CaptureFixture[str], results: str, toy: list[str]) -> None:
    words = ["simulate", "study=toy", "study.base=2,3", "seed=0,1,2", results, *toy]
    answer = call(capsys, *words, "--json")
    assert answer.code == 0, answer.err
    *runs, page = answer.objects
    assert [one["metrics"]["largest"] for one in runs] == [8, 8, 8, 27, 27, 27]
    assert "half of it is done" in answer.err
    folder = Path(page["path"])
    table = pd.read_csv(folder / "table.csv")
    assert table.groupby("base")["largest"].first().to_dict() == {2: 8, 3: 27}
    assert set(table["seed"]) == {0, 1, 2}
    assert (folder / "figures" / "powers.svg").is_file()
    shown = (folder / "index.html").read_text()
    assert "The largest of 6 is 27." in shown
    assert "They grow." in shown
    again = call(capsys, *words, "--json")
    assert {one["status"] for one in again.objects[:-1]} == {"cached"}


def test_its_claims_are_judged_by_reproduce_and_by_the_verb(
    capsys: pytest.CaptureFixture[str], results: str, toy: list[str], tmp_path: Path
) -> None:
    for name, bound, code in (("holds", "19", 0), ("fails", "18", 5)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(EXPERIMENT.replace("BOUND", bound).replace("name: toy", f"name: toy_{name}"))
        words = [f"experiment={file}", results, *toy]
        assert call(capsys, "reproduce", *words, "--check").code == code
        (row,) = call(capsys, "claims", str(file), "--results", results.partition("=")[2], *toy, "--json").objects
        assert (row["verdict"], row["effect"], row["n"]) == (name, 19.0, 3)


def test_killed_half_way_it_goes_on_from_what_it_saved(
    capsys: pytest.CaptureFixture[str], results: str, toy: list[str], tmp_path: Path
) -> None:
    words = ["simulate", "study=toy", "study.fatal=true", results, *toy]
    killed = subprocess.run(
        [sys.executable, "-c", "from prune_lab.cli.main import run; run()", *words], capture_output=True, timeout=120
    )
    assert killed.returncode == 9
    assert not list((tmp_path / "results" / "simulate").glob("[!.]*"))
    answer = call(capsys, *words, "--json")
    assert (answer.code, answer.objects[0]["metrics"]["largest"]) == (0, 8)
    assert "half of it is done" not in answer.err
    assert not list((tmp_path / "results" / "simulate").glob(".*.resume"))


def test_a_study_without_a_name_is_asked_for(capsys: pytest.CaptureFixture[str], results: str) -> None:
    answer = call(capsys, "simulate", results)
    assert (answer.code, "study=perceptron" in answer.err) == (2, True)
