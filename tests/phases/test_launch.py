"""Launchers, and what killing, interrupting and racing leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prune_lab.cli import compose
from prune_lab.experiments.phases import launch
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.store.folders import Store

from ..command_line import TINY, call

LONG = ["task=digits", "task.examples=1000", "recipe.epochs=4000", "recipe.batch_size=20"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def start(*words: str) -> subprocess.Popen[str]:
    code = "from prune_lab.cli.main import run; run()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background shell ignores it
    )


def wait_for(condition: Callable[[], object]) -> None:
    """Until it is true, for at most two minutes (on a busy machine)."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it never came true")


def wait_until_training(store: Path) -> None:
    wait_for(lambda: list(store.glob("train/.*.resume")))


def test_processes_give_the_same_results_as_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["evaluate", *TINY, "scorer.proxies=1", "keep=0.5,1.0", "--json"]
    one = call(capsys, *words, f"results={tmp_path / 'one'}")
    two = call(capsys, *words, f"results={tmp_path / 'two'}", "--launcher", "processes", "launcher.workers=2")
    assert (one.code, two.code) == (0, 0)

    def metrics(answer: object) -> dict[str, object]:
        return {made["key"]: made["metrics"] for made in answer.objects}  # type: ignore[attr-defined]

    assert metrics(one) == metrics(two)


def test_killed_at_any_moment_nothing_is_published_and_the_next_call_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = tmp_path / "results"
    process = start("train", *LONG, f"results={store}")
    wait_until_training(store)
    process.kill()
    process.communicate()
    assert Store(store).folders() == []
    assert call(capsys, "runs", "--clean", "--results", str(store)).code == 0
    assert call(capsys, "train", *LONG, "recipe.epochs=2", f"results={store}").code == 0


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    store = tmp_path / "results"
    process = start("train", *LONG, f"results={store}", "--launcher", "processes", "launcher.workers=1")
    wait_until_training(store)
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=True
    )
    workers = children.stdout.split()
    assert workers
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_an_interrupt_ends_in_a_sentence_and_keeps_what_is_finished(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store = tmp_path / "results"
    call(capsys, "train", *TINY, f"results={store}")
    process = start("train", *LONG, f"results={store}")
    wait_until_training(store)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert len(Store(store).folders("train")) == 1


def test_two_that_publish_the_same_run_leave_one_result(tmp_path: Path) -> None:
    words = ["prune", *TINY, "rule=random", "--json", f"results={tmp_path / 'results'}"]  # no torch: starts in a second
    racing = [start(*words), start(*words)]
    answers = [process.communicate(timeout=120) for process in racing]
    assert [process.returncode for process in racing] == [0, 0], answers
    store = Store(tmp_path / "results")
    assert len(store.folders()) == 1
    assert store.leftovers() == []


def test_a_run_that_another_process_has_made_meanwhile_is_already_done(tmp_path: Path) -> None:
    (run,) = compose.runs("prune", [*TINY, "rule=random"])
    job, store = job_of("prune", run), Store(tmp_path)
    first, second = (launch.work(job, store, lambda *_: None) for _ in range(2))
    assert (first.status, second.status) == ("done", "cached")
    assert second.metrics == first.metrics


def test_a_results_folder_that_cannot_be_written_ends_with_exit_4(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    answer = call(capsys, "train", *TINY, f"results={tmp_path / 'file'}")
    assert answer.code == 4
    assert "results=FOLDER" in answer.err


def test_a_cluster_without_submitit_says_what_to_install(
    capsys: pytest.CaptureFixture[str], results: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    answer = call(capsys, "train", *TINY, results, "--launcher", "submitit")
    assert answer.code == 4
    assert "prune-lab[cluster]" in answer.err


def test_workers_are_dealt_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = compose.runs("train", TINY)
    (chosen,) = compose.runs("train", [*TINY, "device=cpu"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert launch.deal(3, [job_of("train", run)]) == ["0", "1", "0"]
    assert launch.deal(2, [job_of("train", chosen)]) == [None, None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert launch.deal(3, [job_of("train", run)]) == ["3", "5", "3"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert launch.deal(2, [job_of("train", run)]) == [None, None]
