"""Which of a command's words change nothing of what it makes: found by leaving each one out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prune_lab.experiments.errors import LabError
from prune_lab.experiments.phases.plan import closure, job_of, one_look, timed
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.precision import resolved
from prune_lab.experiments.store.folders import Store

from . import compose

ELSEWHERE = (
    "results",
    "launcher",
    "device",
    "export",
    "track",
    "links",
    "hydra",
    "experiment",
)  # they say where, and change no result
MOST = 200  # points that are looked at for a word: of more, none is said to have no effect

Points = Sequence[tuple[str, ...]]
Compose = Callable[[tuple[str, ...]], Run]


def said(phase: str, words: Sequence[str], points: Points, *, base: str | None = None) -> str:
    """A sentence on the words without effect on a phase; empty where all have one. `base`: the verb that composes."""

    def composed(point: tuple[str, ...]) -> Run:
        return compose.run_of(base or phase, point)

    last = {word.partition("=")[0]: word for word in words if _is_checked(word.partition("=")[0])}
    with one_look(Store(composed(points[0]).results)):
        found = [word for key, word in last.items() if _counts(phase, key, points, composed) is False]
        if not found:
            return ""
        pruned = [(*(word for word in point if not word.startswith("keep=")), "keep=0.5") for point in points]
        meant = [word for word in found if _counts(phase, word.partition("=")[0], pruned, composed)]
    hint = f"; {' '.join(meant)} would have one with keep=0.5, and keep=1 prunes nothing" if meant else ""
    return f"without effect on {phase} here: {' '.join(found)} (the results are the same without{hint})"


def _is_checked(key: str) -> bool:
    return key[:1] not in "+~" and key.split(".")[0] not in ELSEWHERE and key.rpartition(".")[2] != "path"


def _counts(phase: str, key: str, points: Points, composed: Compose) -> bool | None:
    """Whether a key changes the result of some point, where it changes the settings of some; None: of none.

    A word that says a default changes no settings; one of a sweep may have an effect on a part of its runs.
    """
    counts, looked_at = None, set[tuple[str, ...]]()
    for point in points:
        own = {word for word in point if word.partition("=")[0] == key}
        alike = tuple(word for word in point if key == "seed" or not word.startswith("seed="))
        if not own or alike in looked_at:
            continue
        looked_at.add(alike)
        if len(looked_at) > MOST:
            return None
        try:
            run = composed(point)
        except LabError:  # it was none to begin with
            continue
        try:
            other = composed(tuple(one for one in point if one not in own))
            if _spelled_out(run, other):
                continue
            if _keys(phase, run) != _keys(phase, other):
                return True
        except LabError:  # a word without which there is no run
            return True
        counts = False
    return counts


def _spelled_out(run: Run, other: Run) -> bool:
    """Whether one of two runs says what the other derives."""
    return _derived(run) == _derived(other)


def _derived(run: Run) -> Run:
    precision = resolved(run.recipe.precision, run.device)
    return run.model_copy(update={"recipe": timed(run).recipe.model_copy(update={"precision": precision})})


def _keys(phase: str, run: Run) -> set[str]:
    return {job.key for job in closure([job_of(phase, run)])}
