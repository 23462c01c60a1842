"""Peak memory of each contest, a child process a side: the highest resident size in a lap less that after imports and
data. What setting up takes for a moment is left out, because the baseline is given its first weights by our task.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from . import scoring, text, training
from .contest import Comparison, Contest, compare, import_compiler

ROOT = Path(__file__).resolve().parent.parent
MIB = 2**20


def comparisons(quick: bool) -> Iterator[Comparison]:
    """One a contest, as soon as both its children have ended."""
    for contest in _contests(quick):
        ours, baseline = (_measured(contest.name, side, quick) for side in ("ours", "baseline"))
        note = "highest resident size in one lap, above that after imports and data"
        yield compare(f"memory.{contest.name}", ours, baseline, "MiB", target=None, note=note, more_is_better=False)


def _contests(quick: bool) -> list[Contest]:
    return [contest for part in (training, scoring, text) for contest in part.contests(quick)]


def _measured(name: str, side: str, quick: bool) -> float:
    """MiB of one side, from a child with as many threads as this process."""
    asked = json.dumps({"name": name, "side": side, "quick": quick, "threads": torch.get_num_threads()})
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", asked], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(child.stdout)


def _child(name: str, side: str, quick: bool, threads: int) -> float:
    torch.set_num_threads(threads)
    import_compiler()
    (contest,) = (contest for contest in _contests(quick) if contest.name == name)
    given = contest.prepare()
    before = _resident("VmRSS")
    lap = (contest.ours if side == "ours" else contest.baseline)(given)
    _forget_the_peak()
    lap()
    return max(_resident("VmHWM") - before, 1) / MIB


def _forget_the_peak() -> None:
    """Where Linux allows it; elsewhere the peak of setting up remains."""
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
    print(_child(**json.loads(sys.argv[1])))
