"""Peak memory of each contest, a child process a side: the highest resident size less that after imports and data."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

from . import scoring, text, training
from .contest import Comparison, Contest, compare, import_compiler

ROOT = Path(__file__).resolve().parent.parent
MIB = 2**20


def comparisons(quick: bool) -> list[Comparison]:
    return [
        compare(
            f"memory.{contest.name}",
            _measured(contest.name, "ours", quick),
            _measured(contest.name, "baseline", quick),
            "MiB",
            target=None,
            note="peak above imports and data, one lap",
            more_is_better=False,
        )
        for contest in _contests(quick)
    ]


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
    before = _peak()
    lap = (contest.ours if side == "ours" else contest.baseline)(given)
    lap()
    return max(_peak() - before, 1) / MIB


def _peak() -> int:
    """Bytes of this process's highest resident size.

    Linux's own counter where there is one: a child's `ru_maxrss` starts at the size of the process that made it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


if __name__ == "__main__":
    print(_child(**json.loads(sys.argv[1])))
