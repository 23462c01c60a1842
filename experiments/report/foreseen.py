"""Claims and the planned runs: those that no run can match, and those that compare each rule with random selection."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from ..laws.claims import COMPARED, rows_with
from ..laws.expectations import Expectation, Point
from .pruning import runs
from .table import completed, dotted, without

Job = Any  # of phases.plan, a room of this floor


class Fault(NamedTuple):
    """What is wrong with a claim, where in the list of claims, and what mends it."""

    place: tuple[str | int, ...]
    what: str
    mend: str | None


@dataclass(frozen=True, slots=True)
class _Planned:
    """A run that is not made yet, as a folder of the store: its record has no metrics."""

    key: str
    record: Mapping[str, Any]


class _Plan:
    """The planned runs in place of a store."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.jobs = {job.key: job for job in jobs}

    def get(self, _phase: str, key: str) -> Any:
        job = self.jobs[key]
        inputs = {name: needed.key for name, needed in job.inputs.items()}
        return _Planned(key, {"recipe": job.recipe, "inputs": inputs, "metrics": {}})


def faults(phase: str, jobs: Sequence[Job], claims: Sequence[Expectation]) -> Iterator[Fault]:
    """The claims on a setting, a value or a metric that none of the runs has. `jobs`: the runs with all they need.

    Of a study its settings alone are known before it runs, and of a search nothing.
    """
    own = [job for job in jobs if job.phase == phase]
    if phase == "simulate":
        rows, metrics = _of_study(own), None
    elif phase == "evaluate":
        rows = runs.table(_Plan(jobs), [job.key for job in own])  # type: ignore[arg-type]
        metrics = [*rows.columns, *_measured(own)]
    else:
        return
    for number, claim in enumerate(claims):
        for name, point in (("point", claim.point), ("versus", claim.versus)):
            found = None if point is None else _fault(point, rows, metrics)
            if found is not None:
                yield found._replace(place=(number, name, *found.place))


def against_random(jobs: Sequence[Job]) -> list[Expectation]:
    """A claim for each point of a score-based rule that runs of random selection match: it does better than they do.

    Of accuracy, or of text in bits per byte. Seeds may be added until it is decided.
    """
    own = [job for job in jobs if job.phase == "evaluate"]
    table = runs.table(_Plan(jobs), [job.key for job in own])  # type: ignore[arg-type]
    ruled = table[~table["rule"].isin(["none", "random"])]
    varied = [name for name in (*COMPARED, "scorer", "selection") if ruled[name].nunique(dropna=False) > 1]
    text = own[0].run.task.reads == "text"
    metric, bounds = ("bits_per_byte", {"at_most": 0.0}) if text else ("accuracy", {"at_least": 0.0})
    names, found = list(dict.fromkeys(["rule", "keep", *varied])), []
    for key, _ in ruled.groupby(names, dropna=False, sort=True):
        where = dict(zip(names, key, strict=True))
        random = {name: where[name] for name in where if name in COMPARED and name != "balance"} | {"rule": "random"}
        if rows_with(table, random).any():
            called = ", ".join(f"{name}={value}" for name, value in where.items() if name != "fingerprint")
            sides = {"point": {"where": where, "metric": metric}, "versus": {"where": random, "metric": metric}}
            told = {"claim": f"{called} beats random selection", "source": "asked for by --until-decided"}
            found.append(Expectation.model_validate({**told, **sides, **bounds, "anytime": True}))
    return found


def _of_study(jobs: Iterable[Job]) -> pd.DataFrame:
    recipes = [completed(job.recipe) for job in jobs]
    return pd.DataFrame([dict(dotted(without(one["study"], "name"))) | {"seed": one["seed"]} for one in recipes])


def _measured(jobs: Iterable[Job]) -> Iterator[str]:
    """What evaluate measures of these runs."""
    kinds = {(job.run.task.reads == "text", job.run.shifted is not None) for job in jobs}
    for name in runs.METRICS:
        for text, shifted in kinds:
            of_text = name.startswith(("bits", "perplexity")) or (name.startswith("shifted") and shifted)
            of_classes = name.startswith(("error", "worst"))
            if (text and of_text) or (not text and of_classes) or name.startswith(("accuracy", "loss")):
                yield name


def _fault(point: Point, rows: pd.DataFrame, metrics: Sequence[str] | None) -> Fault | None:
    known = [str(name) for name in rows.columns]
    if metrics is not None:  # all columns are known
        if point.metric not in metrics:
            near = _near(point.metric, dict.fromkeys([*runs.METRICS, *known]))
            there = ", ".join(name for name in runs.METRICS if name in metrics)
            return Fault(("metric",), f"no run measures {point.metric}; there is: {there}", near and f"metric: {near}")
        for name in point.where:
            if name not in known:
                near = _near(name, known)
                meant = "" if near is None else f". Did you mean {near}?"
                return Fault(("where", name), f"no run has a setting {name}{meant}", near and f"{near}: in the file")
    foreseen = {name: value for name, value in point.where.items() if name in known and name not in runs.TRAINED}
    for name, value in foreseen.items():
        if not rows_with(rows, {name: value}).any():
            values = sorted({f"{one:g}" if isinstance(one, float) else str(one) for one in rows[name].dropna()})
            near = _near(str(value), values)
            what = f"no run has {name}={value}; the runs have {name}={', '.join(values[:10])}"
            return Fault(("where", name), what, near and f"{name}: {near}")
    if not rows_with(rows, foreseen).any():
        said = ", ".join(f"{name}={value}" for name, value in foreseen.items())
        return Fault(("where",), f"no run has all of {said}", "a line of grids with them, or other values here")
    return None


def _near(word: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)), None)
