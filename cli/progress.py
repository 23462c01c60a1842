"""How far a sweep is: runs done, running and to do, and how long the rest may take."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from prune_lab.experiments.phases.plan import Job


class Progress:
    """What became of each job so far. `clock` gives seconds."""

    def __init__(self, jobs: Sequence[Job], clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.to_do = {job.key: _kind(job) for job in jobs}
        self.running: dict[str, tuple[str, float]] = {}  # the kind, and when it began
        self.done = 0
        self.seconds: dict[str, list[float]] = defaultdict(list)  # of the finished runs of a kind

    @property
    def total(self) -> int:
        return self.done + len(self.running) + len(self.to_do)

    def began(self, key: str) -> None:
        """A job runs now."""
        if key in self.to_do:
            self.running[key] = self.to_do.pop(key), self.clock()

    def ended(self, key: str, *, made: bool) -> None:
        """A job ended; `made`: in a run that took its time, and not found in the store or failed."""
        kind, since = self.running.pop(key, (self.to_do.pop(key, ""), None))
        self.done += 1
        if made and since is not None:
            self.seconds[kind].append(self.clock() - since)

    def left(self) -> float | None:
        """Seconds that the rest may take; None before a run has ended.

        Each takes the mean of those of its phase that ended, of all where none did, and as many run at once as now.
        """
        every = [one for seconds in self.seconds.values() for one in seconds]
        if not every:
            return None
        overall, now = sum(every) / len(every), self.clock()
        usual = defaultdict(lambda: overall, {kind: sum(one) / len(one) for kind, one in self.seconds.items()})
        rest = sum(usual[kind] for kind in self.to_do.values())
        rest += sum(max(usual[kind] - (now - since), 0) for kind, since in self.running.values())
        return rest / max(len(self.running), 1)

    def __str__(self) -> str:
        parts = [f"{self.done} of {self.total} runs done", f"{len(self.running)} running", f"{len(self.to_do)} to do"]
        left = self.left()
        return ", ".join(parts if left is None else [*parts, f"about {duration(left)} left"])


def _kind(job: Job) -> str:
    return "proxy" if "proxy" in job.settings else job.phase


def duration(seconds: float) -> str:
    """As a person says it: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
