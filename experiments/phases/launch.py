"""Run jobs here, in processes, or on a cluster: an Outcome each, never an exception.

All launchers are one loop: a job starts when its inputs are there and a place is free.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any, Literal, Protocol

from .. import choices
from ..errors import LabError, RunFailed, foreseen, unforeseen
from ..store.folders import TRACEBACK, Store
from ..store.provenance import quiet
from .cluster import PLACES, submitting
from .plan import Job
from .settings import Launcher

Status = Literal["done", "cached", "failed", "blocked", "planned"]
Watch = Callable[[Job, str, float], None]  # the job, a sentence or "", and the share of it that is done


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job."""

    phase: str
    key: str
    path: str
    status: Status
    seconds: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)
    error: LabError | None = None
    name: str = ""

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        names = ("phase", "key", "name", "path", "status", "seconds", "metrics")
        content = {name: getattr(self, name) for name in names}
        return content if self.error is None else content | {"error": str(self.error)}


class _Pending(Protocol):
    """A future, as the standard library and submitit both have it."""

    def done(self) -> bool: ...
    def result(self) -> Outcome: ...


def launch(jobs: Sequence[Job], store: Store, settings: Launcher, watch: Watch) -> Iterator[Outcome]:
    """Outcomes of jobs, which are ordered inputs first, as they come. What is in the store is not run again."""
    todo = [job for job in jobs if store.find(job.phase, job.key) is None]
    done = {job.key for job in jobs} - {job.key for job in todo}
    yield from (found(job, store) for job in jobs if job.key in done)
    if not todo:
        return
    starters = {"local": _local, "processes": _processes, "submitit": _submitit}
    with starters[settings.name](todo, store, settings, watch) as (submit, places, pause):
        yield from _schedule(todo, done, submit, places, pause, store, watch)


def work(job: Job, store: Store, watch: Watch) -> Outcome:
    """Run one job to its outcome. Only an interrupt passes."""
    from . import run as phases

    started = time.monotonic()
    try:
        if store.find(job.phase, job.key) is not None:
            return found(job, store)  # another process made it since the plan
        folder = phases.run(job, store, lambda sentence, share: watch(job, sentence, share))
    except (Exception, SystemExit) as error:  # a plug-in that ends the program ends its own run
        with suppress(LabError):
            if store.find(job.phase, job.key) is not None:
                return found(job, store)  # another process made it meanwhile, and took its checkpoints away
        said = error if isinstance(error, LabError) else _broken(job, store, error)
        return _failed(job, store, said, time.monotonic() - started)
    seconds, metrics = float(folder.record["seconds"]), folder.record["metrics"]
    return Outcome(job.phase, job.key, str(folder.path), "done", seconds, metrics, name=job.name)


def _broken(job: Job, store: Store, error: BaseException) -> LabError:
    """An error that nobody expected: of the machine, in a plug-in, on what a plug-in gave, or in our own code."""
    if where := choices.blame(error):
        return RunFailed(f"{job.phase} {job.key} broke in a plug-in: {where}")
    if (known := foreseen(error)) is not None:
        return known
    whose = f" on what {', '.join(job.plugins)} gave" if job.plugins else ""
    file = store.path(job.phase, job.key).with_suffix(TRACEBACK)
    return unforeseen(f"{job.phase} {job.key} broke{whose}", error, file)


def found(job: Job, store: Store) -> Outcome:
    """The outcome of a job that ran before."""
    folder = store.get(job.phase, job.key)
    return Outcome(job.phase, job.key, str(folder.path), "cached", 0.0, folder.record["metrics"], name=job.name)


def _failed(job: Job, store: Store, error: LabError, seconds: float = 0.0) -> Outcome:
    path = str(store.path(job.phase, job.key))
    return Outcome(job.phase, job.key, path, "failed", round(seconds, 3), error=error, name=job.name)


def _schedule(
    todo: Sequence[Job],
    done: set[str],
    submit: Callable[[Sequence[Job]], Sequence[_Pending]],
    places: int,
    pause: float,
    store: Store,
    watch: Watch,
) -> Iterator[Outcome]:
    waiting, lost, died = list(todo), set[str](), set[str]()
    running: dict[str, tuple[Job, _Pending]] = {}
    while waiting or running:
        ready: list[Job] = []
        for job in list(waiting):
            needed = {needed.key for needed in job.inputs.values()}
            if needed & lost:
                waiting.remove(job)
                lost.add(job.key)
                yield Outcome(job.phase, job.key, str(store.path(job.phase, job.key)), "blocked", name=job.name)
            elif needed <= done and len(running) + len(ready) < places:
                waiting.remove(job)
                ready.append(job)
        for job in ready:
            watch(job, "", 0.0)
        if ready:
            running |= {job.key: (job, pending) for job, pending in zip(ready, submit(ready), strict=True)}
        settled = [key for key, (_, pending) in running.items() if pending.done()]
        for key in settled:
            job, pending = running.pop(key)
            outcome, death = _settle(job, pending, store)
            if death and key not in died:
                died.add(key)
                waiting.insert(0, job)
                watch(job, f"{job.phase} {job.name}: {death}; it is tried once more", 0.0)
                continue
            (lost if outcome.status == "failed" else done).add(key)
            yield outcome
        if not settled and running:
            watch(next(iter(running.values()))[0], "", 0.0)  # a chance to say how far everything is
            time.sleep(pause)


def _settle(job: Job, pending: _Pending, store: Store) -> tuple[Outcome, str]:
    """A job's outcome; and, where its worker died, a sentence that says so."""
    try:
        return pending.result(), ""
    except LabError as error:
        return _failed(job, store, error), ""
    except Exception as error:  # the worker itself died: out of memory, killed, lost node
        death = f"its worker died ({' '.join(str(error).split()[:40])})"
        mend = "fewer launcher.workers, or more memory for each"
        return _failed(job, store, RunFailed(f"{job.phase} {job.key}: {death}, twice", mend)), death


Starter = tuple[Callable[[Sequence[Job]], Sequence[_Pending]], int, float]  # submit, places, seconds between looks


@contextmanager
def _local(todo: Sequence[Job], store: Store, settings: Launcher, watch: Watch) -> Iterator[Starter]:
    """One after the other, in this process, with all of its threads."""

    def start(job: Job) -> _Pending:
        future: Future[Outcome] = Future()
        future.set_result(work(job, store, watch))
        return future

    yield lambda jobs: list(map(start, jobs)), 1, 0.0


@contextmanager
def _processes(todo: Sequence[Job], store: Store, settings: Launcher, watch: Watch) -> Iterator[Starter]:
    """Several at once. Every worker gets its share of the cores: two that each start two threads on two cores crawl.

    Each is a pool of its own: one that dies (out of memory) takes its job with it, and no other.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(settings.workers or cores, 64)
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores // workers))  # read by the workers as they start
    gpus, spawn = deal(workers, todo), get_context("spawn")
    pools: dict[int, ProcessPoolExecutor] = {}
    futures: dict[int, Future[Outcome]] = {}

    def start(job: Job) -> _Pending:
        place = next(place for place in range(workers) if place not in futures or futures[place].done())
        try:
            futures[place] = pools[place].submit(_quietly, *_packed(job, store))
        except (KeyError, BrokenProcessPool):  # there is no worker yet, or it died
            pools[place] = ProcessPoolExecutor(1, spawn, _be_a_worker, (gpus[place],))
            futures[place] = pools[place].submit(_quietly, *_packed(job, store))
        return futures[place]

    try:
        yield lambda jobs: list(map(start, jobs)), workers, 0.05
    finally:
        for pool in pools.values():
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)  # its thread ends here: at exit it would meet closed pipes


@contextmanager
def _submitit(todo: Sequence[Job], store: Store, settings: Launcher, watch: Watch) -> Iterator[Starter]:
    """On a cluster. `results` must be on a disk that its nodes share."""
    with submitting(_quietly, settings, store.root / ".submitit") as submit:
        yield lambda jobs: submit([_packed(job, store) for job in jobs]), settings.workers or PLACES, 1.0


def _packed(job: Job, store: Store) -> tuple[dict[str, str], bytes]:
    """The plug-ins that a worker must load before it can read the job, and the job."""
    return choices.loaded(), pickle.dumps((job, store))


def _quietly(plugins: dict[str, str], packed: bytes) -> Outcome:
    quiet()
    now = choices.load_plugins(plugins)
    if changed := [name for name, source in plugins.items() if now[name] != source]:
        raise RunFailed(f"{changed[0]} changed while the command ran", "the same command again")
    job, store = pickle.loads(packed)  # made by this very program a moment ago
    return work(job, store, lambda *_: None)


def deal(workers: int, jobs: Sequence[Job]) -> list[str | None]:
    """The GPU of each worker, dealt in turn from those that this process may use; None: as the job's device says."""
    if any(job.run.device not in ("auto", "cuda") for job in jobs):
        return [None] * workers
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    return [gpus[worker % len(gpus)] if gpus else None for worker in range(workers)]


def _be_a_worker(gpu: str | None) -> None:
    """Use a GPU; leave Ctrl-C to the parent, which ends its workers; and end with it however it ends."""
    os.dup2(2, 1)  # stdout is the parent's data: what a plug-in or a library prints here is for people
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
