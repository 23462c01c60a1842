"""The launcher submitit: jobs of a Slurm cluster, whose states come from squeue."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DataUnavailable
from ..extras import install
from .settings import Launcher

PLACES = 256  # jobs at once, where launcher.workers does not say
ENDED = {  # Slurm's states of a job that will not run again; GONE: the queue no longer lists it
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "GONE", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
SECONDS = 10.0  # between two looks at the queue
LOOKS = 2  # without a job, until it is gone

Submit = Callable[[Sequence[tuple[Any, ...]]], list[Any]]  # arguments of each job to its future


@contextmanager
def submitting(function: Callable[..., Any], settings: Launcher, folder: Path) -> Iterator[Submit]:
    """How to submit calls of a function; where there is no Slurm, as submitit's local jobs. Logs are in the folder."""
    try:
        import submitit
    except ImportError as error:
        raise DataUnavailable("launcher=submitit needs submitit", install("cluster")) from error
    executor, queue = submitit.AutoExecutor(folder=folder), Queue()
    executor.update_parameters(  # what is None is not asked for
        name="prune-lab",
        timeout_min=settings.minutes,
        gpus_per_node=settings.gpus,
        mem_gb=settings.memory,
        slurm_partition=settings.partition,
        slurm_array_parallelism=settings.workers,
    )

    def submit(calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        groups = [calls] if settings.array else [[call] for call in calls]
        jobs: list[Any] = []
        try:
            for group in groups:
                jobs += executor.map_array(function, *zip(*group, strict=True))
        except Exception as error:  # submitit's own, with what sbatch said
            said = str(error).strip().splitlines() or [repr(error)]
            raise DataUnavailable(
                f"the cluster takes no job: {said[-1].strip()}",
                "launcher.partition, launcher.gpus, launcher.memory or launcher.minutes as the cluster has them",
            ) from error
        if executor.cluster == "slurm":
            for job in jobs:
                job.watcher = queue
        return jobs

    yield submit


class Queue:
    """The states of this user's jobs, for submitit, which else asks sacct: that needs accounting, and warns without.

    squeue is on every cluster. It lists a job that has ended for some minutes (MinJobAge), and then no more.
    """

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._missed: dict[str, int] = {}  # looks without a job that was asked for
        self._looked = -float("inf")

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        return self.get_state(job_id, mode) in ENDED

    def get_state(self, job_id: str, mode: str = "standard") -> str:
        self._missed.setdefault(job_id, 0)
        if time.monotonic() - self._looked >= SECONDS:
            self._look()
        return "GONE" if self._missed[job_id] >= LOOKS else self._states.get(job_id, "UNKNOWN")

    def _look(self) -> None:
        """One call for all jobs. A controller that does not answer says nothing about them."""
        self._looked = time.monotonic()
        command = ["squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%i %T"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return
        self._states = {words[0]: words[1] for words in map(str.split, said.splitlines()) if len(words) == 2}
        self._missed = {job: 0 if job in self._states else count + 1 for job, count in self._missed.items()}
