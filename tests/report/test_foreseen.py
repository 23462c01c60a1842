"""A claim on what no planned run has is refused before anything runs, with the line and the nearest right word."""

from __future__ import annotations

from pathlib import Path

import pytest

from prune_lab.cli import compose, reports
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases.plan import closure, job_of

from ..command_line import call

OWN = """\
defaults:
  - override /task: {task}
experiment:
  name: mine
  title: t
  grids: [["keep=0.5", "rule=random,hard", "seed=0,1,2"], ["seed=0"]]
  expect:
    - claim: c
      source: us
      at_least: 0
      point:
        where: {where}
        metric: {metric}
"""


@pytest.mark.parametrize(
    ("where", "metric", "said", "mend"),
    [
        ("{rule: hrd}", "error", "line 12: no run has rule=hrd; the runs have rule=hard, none, random", "rule: hard"),
        ("{rul: hard}", "error", "line 12: no run has a setting rul. Did you mean rule?", "rule: in the file"),
        ("{scorer.proxis: 3}", "loss", "line 12: no run has a setting scorer.proxis. Did you", "scorer.proxies: in"),
        ("{keep: 0.3}", "loss", "line 12: no run has keep=0.3; the runs have keep=0.5, 1", ""),
        ("{rule: none, keep: 0.5}", "loss", "line 12: no run has all of rule=none, keep=0.5", "a line of grids"),
        ("{rule: hard}", "acuracy", "line 13: no run measures acuracy; there is: accuracy, error", "metric: accuracy"),
        ("{rule: hard}", "bits_per_byte", "line 13: no run measures bits_per_byte", "metric: bits_per_byte"),
        ("{rule: hard, keep: 0.5, budget: epochs, pool: 7}", "worst_class_accuracy_best", "", ""),
    ],
)
def test_claims_that_nothing_can_match_are_refused(
    where: str, metric: str, said: str, mend: str, tmp_path: Path
) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(OWN.format(task="digits", where=where, metric=metric))
    words = [f"experiment={own}"]
    experiment, runs = compose.experiment([*words, f"results={tmp_path}"])
    jobs = closure(job_of("evaluate", run) for run in runs)
    if not said:
        reports._check_claims(experiment, jobs, words)
        return
    with pytest.raises(ConfigError) as caught:
        reports._check_claims(experiment, jobs, words)
    assert said in caught.value.what
    assert mend in (caught.value.mend or "")


def test_of_a_study_the_settings_are_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "mine.yaml"
    content = OWN.format(task="digits", where="{keep: 0.7, rule: theirs}", metric="gain").replace(
        "  title", "  phase: simulate\n  title"
    )
    own.write_text(
        content.replace('[["keep=0.5", "rule=random,hard", "seed=0,1,2"], ["seed=0"]]', '[["study=perceptron"]]')
    )
    answer = call(capsys, "reproduce", f"experiment={own}", f"results={tmp_path}", "--dry-run")
    assert (answer.code, "line 13: no run has keep=0.7; the runs have keep=" in answer.err) == (2, True), answer.err
    content = OWN.format(task="digits", where="{rule: hrd}", metric="error")
    own.write_text(content)
    words = ["reproduce", f"experiment={own}", f"results={tmp_path}", "--dry-run"]
    compose._section.cache_clear()
    assert call(capsys, *words).code == 2
    assert call(capsys, *words, "seed=0").code == 0  # another experiment than the file's, whose grid may be smaller
