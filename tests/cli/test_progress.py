"""How far a sweep is: runs done, running and to do, and an estimate of the time left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prune_lab.cli import show as showing
from prune_lab.cli.progress import Progress, duration
from prune_lab.cli.show import Show
from prune_lab.experiments.phases.launch import Outcome


def jobs(**phases: str) -> list[Any]:
    return [SimpleNamespace(key=key, phase=phase, settings={}, name=key) for key, phase in phases.items()]


def test_the_rest_takes_the_mean_of_its_phase_shared_by_those_that_run_at_once() -> None:
    now = [0.0]
    progress = Progress(jobs(a="train", b="train", c="train", d="evaluate", e="evaluate"), lambda: now[0])
    assert (str(progress), progress.left()) == ("0 of 5 runs done, 0 running, 5 to do", None)
    progress.began("a")
    progress.began("a")  # said again
    progress.began("b")
    now[0] = 100.0
    progress.ended("a", made=True)
    assert progress.left() == 0 + 3 * 100  # b is as old as a was; one evaluate is taken to be as long as a train
    progress.began("d")
    now[0] = 110.0
    progress.ended("d", made=True)
    progress.began("c")
    assert progress.left() == (0 + 100 + 10) / 2  # b, c, e; two run at once
    progress.ended("b", made=False)
    progress.ended("e", made=False)  # found in the store
    assert str(progress) == "4 of 5 runs done, 1 running, 0 to do, about 2 min left"


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (89, "89 s"), (120, "2 min"), (5400, "1.5 h")])
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_off_a_terminal_it_is_a_line_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(showing.time, "monotonic", lambda: now[0])
    show, (first, second) = Show(as_json=False), jobs(a="train", b="train")
    show.start([first, second])
    show._progress.clock = lambda: now[0]
    show.watch(first, "", 0.0)
    now[0] += 50
    show.outcome(Outcome("train", "a", "", "done"), asked_for=False)
    show.watch(second, "", 0.2)
    assert "runs done" not in capsys.readouterr().err
    now[0] += 20
    show.watch(second, "", 0.5)
    show.watch(second, "", 0.6)
    show.stop()
    lines = [line for line in capsys.readouterr().err.splitlines() if "runs done" in line]
    assert lines == ["1 of 2 runs done, 1 running, 0 to do, about 30 s left; train b at 50%"]
