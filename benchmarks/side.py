"""One side of a contest in a process of its own, so that neither gains by what the other sets up."""

from __future__ import annotations

import importlib
import json
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from . import contribution, design, equalising, packing, scoring, sweep, text, training
from .contest import DEVICE, settle

ROOT = Path(__file__).resolve().parent.parent
RACES = {
    "training": training,
    "scoring": scoring,
    "packing": packing,
    "text": text,
    "equalising": equalising,
    "contribution": contribution,
    "sweep": sweep,
    "design": design,
}
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Measured:
    """One lap. `peak` is the most memory held in it (on a GPU by tensors) less that after imports and data, in MiB."""

    done: float
    seconds: float
    peak: float


class Side:
    """A child that does a lap on request, with as many threads as this process."""

    def __init__(self, contest: str, side: str, quick: bool) -> None:
        self.name = f"{contest}, {side}"
        asked = json.dumps({"name": contest, "side": side, "quick": quick, "threads": torch.get_num_threads()})
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.side", asked],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.communicate()

    def lap(self) -> Measured:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(BrokenPipeError):
            print(file=self._child.stdin, flush=True)
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: its process ended; the reason is above")
        return Measured(**json.loads(line))


def _child(name: str, side: str, quick: bool, threads: int) -> None:
    """A lap a line of stdin. What setting up takes for a moment is not in any lap's peak."""
    torch.set_num_threads(threads)
    if not quick:
        _import_compiler()
    (contest,) = (one for one in RACES[name.partition(".")[0]].contests(quick) if one.name == name)
    given = contest.prepare()
    before = torch.cuda.memory_allocated() if DEVICE.type == "cuda" else _resident("VmRSS")
    lap = (contest.ours if side == "ours" else contest.baseline)(given)
    for _ in sys.stdin:
        _forget_the_peak()
        begin = time.perf_counter()
        done = lap()
        settle()
        seconds = time.perf_counter() - begin
        peak = max(_highest() - before, 1) / MIB
        print(json.dumps(asdict(Measured(done, seconds, peak))), flush=True)


def _import_compiler() -> None:
    """torch's optimisers and function transforms import its compiler at first use: seconds that belong to no lap."""
    for name in ("torch._dynamo", "torch._inductor.config"):
        importlib.import_module(name)


def _highest() -> int:
    """Bytes that were held at most: on a GPU those of tensors, else the resident ones."""
    return torch.cuda.max_memory_allocated() if DEVICE.type == "cuda" else _resident("VmHWM")


def _forget_the_peak() -> None:
    """Where Linux allows it; elsewhere the peak of setting up remains."""
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _resident(kind: str) -> int:
    """Bytes resident now (VmRSS) or at most (VmHWM), as Linux counts; elsewhere the highest so far for both.

    `ru_maxrss` would not do on Linux: a child's starts at the size of the process that made it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith(kind))
        return int(line.split()[1]) * 1024
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


if __name__ == "__main__":
    _child(**json.loads(sys.argv[1]))
