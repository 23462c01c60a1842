"""Launchers, and what killing, interrupting and racing leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from prune_lab.cli import compose
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases import cluster, launch
from prune_lab.experiments.phases import run as phases
from prune_lab.experiments.phases.launch import Outcome
from prune_lab.experiments.phases.plan import Job, job_of
from prune_lab.experiments.phases.work import Work
from prune_lab.experiments.store.folders import Store

from ..command_line import TINY, call, changed

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


FRAGILE = """
import os, signal, sys
from pathlib import Path
import numpy as np
from prune_lab.experiments.choices import choice
from prune_lab.experiments.contracts import ScorerChoice

print("imported")

@choice("scorer", "fragile", source="a test")
class Fragile(ScorerChoice):
    \"\"\"It kills its worker at its first try of the smallest pool.\"\"\"
    higher_means = "later"

    def fits(self, run):
        print("validated")

    def score(self, evidence):
        print("scored")
        os.write(1, b"a library's line" + bytes([10]))
        number, marks = len(evidence.data.splits["train"].ids), Path(__file__).parent
        if number < 90 and not (marks / "killed").exists():
            (marks / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.arange(number)
"""


def test_a_killed_worker_takes_no_other_job_with_it_and_its_job_is_tried_once_more(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    plugin = tmp_path / "fragile.py"
    plugin.write_text(FRAGILE)
    words = ["score", "task=digits", "scorer=fragile", "--plugin", str(plugin), "--json", results]
    words += ["--launcher", "processes", "launcher.workers=1"]
    answer = call(capsys, *words, "task.examples=80,100")
    assert [one["status"] for one in answer.objects] == ["done"] * 2, answer.err  # stdout is JSON alone
    assert answer.err.count("its worker died") == 1
    assert "tried once more" in answer.err


def test_a_job_whose_worker_dies_twice_fails_and_the_others_go_on(tmp_path: Path) -> None:
    """The schedule alone, with futures that are over."""
    jobs = [job_of("prune", run) for run in compose.runs("prune", [*TINY, "rule=random", "seed=0,1,2"])]
    store, said, tried = Store(tmp_path), list[str](), list[str]()

    def submit(ready: Sequence[Job]) -> list[Future[Outcome]]:
        futures = []
        for job in ready:
            future: Future[Outcome] = Future()
            tried.append(job.key)
            if job is jobs[0] or (job is jobs[1] and tried.count(job.key) == 1):
                future.set_exception(BrokenProcessPool("terminated"))
            else:
                future.set_result(launch.work(job, store, lambda *_: None))
            futures.append(future)
        return futures

    outcomes = launch._schedule(jobs, set(), submit, 2, 0.0, store, lambda job, words, share: said.append(words))
    assert {one.key: one.status for one in outcomes} == {
        jobs[0].key: "failed", jobs[1].key: "done", jobs[2].key: "done"
    }  # fmt: skip
    assert [tried.count(job.key) for job in jobs] == [2, 2, 1]
    assert len([words for words in said if words]) == 2


def test_a_plug_in_that_prints_leaves_stdout_to_data(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    plugin = tmp_path / "fragile.py"
    plugin.write_text(FRAGILE)
    answer = call(capsys, "score", "task=digits", "scorer=fragile", "--plugin", str(plugin), "--json", results)
    assert [one["status"] for one in answer.objects] == ["done"], answer.err
    assert all(word in answer.err for word in ("imported", "validated", "scored"))


def test_killed_at_any_moment_nothing_is_published_its_workers_end_and_the_next_call_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
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
    assert Store(store).folders() == []
    assert call(capsys, "runs", "--clean", "--results", str(store)).code == 0
    assert call(capsys, "train", *changed(*LONG, "recipe.epochs=2"), f"results={store}").code == 0


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
    assert "the same command continues" in said
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


def test_the_slower_of_two_equal_commands_finds_its_run_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run,) = compose.runs("prune", [*TINY, "rule=random"])
    job, store, prune = job_of("prune", run), Store(tmp_path), phases.PHASES["prune"]

    def overtaken(work: Work) -> dict[str, object]:
        with monkeypatch.context() as patch:
            patch.setitem(phases.PHASES, "prune", prune)
            assert launch.work(job, store, lambda *_: None).status == "done"
        raise FileNotFoundError("the checkpoints that the faster one took away")

    monkeypatch.setitem(phases.PHASES, "prune", overtaken)
    assert launch.work(job, store, lambda *_: None).status == "cached"


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
    assert "-m pip install 'submitit" in answer.err


def on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    """Commands of a cluster, as shell scripts."""
    folder.mkdir(exist_ok=True)
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_cluster_is_asked_for_gpus_memory_and_one_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Slurm without accounting, played by scripts and a thread in the place of a node: no word of warning."""
    pytest.importorskip("submitit")
    from submitit.core.utils import DelayedSubmission, cloudpickle_dump

    words = ["launcher=submitit", "launcher.gpus=2", "launcher.memory=16", "launcher.array=true", "launcher.workers=9"]
    runs = compose.runs("prune", [*TINY, "rule=random", "seed=0,1", "launcher.partition=short", *words])
    jobs, store, folder = [job_of("prune", run) for run in runs], Store(tmp_path), tmp_path / ".submitit"
    on_path(
        tmp_path / "bin", monkeypatch, srun="", squeue='echo "7_0 RUNNING"; echo "7_1 OUT_OF_MEMORY"', sacct="exit 1",
        sbatch=f'cp "$1" {tmp_path}/asked; echo Submitted batch job 7',
    )  # fmt: skip
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 0)
    said: list[str] = []

    def watch(job: Job, sentence: str, share: float) -> None:
        """The second job was killed: now a node runs what there is, and the job that comes again."""
        if sentence:
            said.append(sentence)
            on_path(tmp_path / "bin", monkeypatch, sbatch="echo Submitted batch job 8")

    def node(calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        submitted = submit(calls)
        for path in folder.glob("*_submitted.pkl"):
            if path.name != "7_1_submitted.pkl":
                done = path.with_name(path.name.replace("submitted", "0_result"))
                cloudpickle_dump(("success", DelayedSubmission.load(path).result()), done)
        return submitted

    with cluster.submitting(launch._quietly, runs[0].launcher, folder) as submit:

        def packed(ready: Sequence[Job]) -> list[Any]:
            return node([launch._packed(job, store) for job in ready])

        outcomes = list(launch._schedule(jobs, set(), packed, 9, 0.0, store, watch))
    assert {one.status for one in outcomes} == {"done"}
    assert ["OUT_OF_MEMORY" in sentence for sentence in said] == [True]
    asked = (tmp_path / "asked").read_text()
    for words_asked in ("--array=0-1%2", "--gpus-per-node=2", "--mem=16GB", "--partition=short", "--time=240"):
        assert words_asked in asked, asked


def test_a_cluster_that_refuses_a_job_says_why(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    on_path(tmp_path / "bin", monkeypatch, srun="", sbatch="echo 'sbatch: error: invalid partition: no' >&2; exit 1")
    words = ["prune", *TINY, "rule=random", "--launcher", "submitit", "launcher.partition=no", results]
    answer = call(capsys, *words)
    assert answer.code == 4
    assert "invalid partition: no" in answer.err
    assert "launcher.partition" in answer.err


def test_states_come_from_the_queue_and_what_it_lists_no_more_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "SECONDS", 0.0)
    on_path(tmp_path / "bin", monkeypatch, squeue='echo "1 PENDING"; echo "2_0 NODE_FAIL"')
    queue = cluster.Queue()
    assert (queue.get_state("1"), queue.is_done("1")) == ("PENDING", False)
    assert queue.is_done("2_0")
    on_path(tmp_path / "bin", monkeypatch, squeue="echo 'slurm_load_jobs error: timed out' >&2; exit 1")
    assert [queue.get_state("1") for _ in range(4)] == ["PENDING"] * 4  # no answer says nothing
    on_path(tmp_path / "bin", monkeypatch, squeue="")
    assert [queue.get_state("1") for _ in range(2)] == ["UNKNOWN", "GONE"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "words", [["launcher.gpus=1"], ["launcher=processes", "launcher.array=true"], ["launcher.workers=2"]]
)
def test_a_setting_that_a_launcher_does_not_read_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match="is read by launcher="):
        compose.runs("train", [*TINY, *words])


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
