"""A wrong setting of an experiment's own file is named with its line, and the nearest right one with what mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from prune_lab.cli import compose
from prune_lab.experiments.errors import ConfigError

HEAD = "experiment:\n  name: mine\n  title: t\n"
GOOD = f"defaults:\n  - override /task: digits\n{HEAD}  grids: [['keep=0.5']]\n"


@pytest.mark.parametrize(
    ("content", "said", "mend"),
    [
        (HEAD + "  gird: 1\n  grids: [[keep=1]]\n", "4: there is no experiment.gird. Did you", "grids: in the file"),
        (HEAD + "  grid: [[keep=1]]\n", "4: there is no experiment.grid. Did you mean", "grids: in the file"),
        (
            GOOD + "  expect: [{claim: a, atleast: 0}]\n",
            "7: there is no experiment.expect.0.atleast. Did",
            "at_least: in",
        ),
        (GOOD + "  expect:\n  - point: {wher: 1}\n", "8: there is no experiment.expect.0.point.wher", "where: in"),
        (GOOD + "kep: 0.5\n", "7: there is no kep. Did you mean keep?", "keep: in the file"),
        (GOOD + "recipe:\n  epoch: 5\n", "8: there is no recipe.epoch. Did you", "epochs: in the file"),
        (GOOD + "balance: 2\n", "7: balance=2: ", ""),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(tmp_path: Path, content: str, said: str, mend: str) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(content)
    with pytest.raises(ConfigError) as caught:
        compose.experiment([f"experiment={own}"])
    assert f"mine.yaml, line {said}" in caught.value.what
    assert mend in str(caught.value.mend)
