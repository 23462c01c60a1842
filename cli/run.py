"""From validated runs to outcomes, the same for every phase: plan, say it, launch, show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prune_lab.experiments import extras
from prune_lab.experiments.contribution.settings import Search
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases import launch
from prune_lab.experiments.phases.launch import Outcome
from prune_lab.experiments.phases.plan import Job, closure, job_of, one_look
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.store.folders import Folder, Store
from prune_lab.experiments.store.provenance import code_version

from .show import Show

Check = Callable[[Sequence[Job]], None]


def run(phase: str, runs: Sequence[Run], show: Show, *, dry_run: bool, check: Check | None = None) -> list[Outcome]:
    """The outcomes of a phase for these runs, after all that they need. `check` looks at the jobs before any runs."""
    store = Store(runs[0].results)
    with one_look(store) as gone:
        targets = {job.key: job for job in (job_of(phase, run) for run in runs)}
    if runs[0].export is not None:
        from prune_lab.experiments.phases import export as exporting

        for one in exported(phase, runs):
            exporting.check(phase, one)
    _check_search(phase, runs)
    jobs = closure(targets.values())
    todo = [job for job in jobs if store.find(job.phase, job.key) is None]
    for error in gone.values():
        if todo:
            raise error
        show.say(f"{error.what}; what was made of them is in {store.root}")
    if check is not None:
        check(jobs)
    _check_extras(todo, runs[0])
    _check_place(phase, runs, todo)
    missing = {job.key for job in todo}
    before = [job for job in todo if job.key not in targets]
    if before:
        show.say(f"this needs {_count(before)} first, {'to be made' if dry_run else 'made'} now")
    _say_changed(todo, store, show)
    if dry_run:
        _say_other_code([job for job in jobs if job.key not in missing], store, show)
        return [_planned(job, store, show, asked_for=job.key in targets) for job in jobs]
    outcomes = []
    show.start(jobs)
    try:
        for outcome in launch.launch(jobs, store, runs[0].launcher, show.watch):
            show.outcome(outcome, asked_for=outcome.key in targets)
            if phase == "score" and outcome.status == "cached" and outcome.key in targets:
                _say_warnings(store.get(phase, outcome.key), show)
            outcomes.append(outcome)
    finally:
        show.stop()
    return outcomes


def _check_extras(todo: Sequence[Job], run: Run) -> None:
    """Refuse what needs a package that is not installed, before anything runs."""
    for one in {type(one): one for job in todo for one in job.choices}.values():
        extras.check(one.extra, f"{one.kind}={one.name}")
    if todo:
        extras.check(run.launcher.extra, f"launcher={run.launcher.name}")
    if run.track is not None:
        extras.check(run.track.extra, f"track={run.track.name}")


def _check_place(phase: str, runs: Sequence[Run], todo: Sequence[Job]) -> None:
    """Refuse to work for an export whose place is taken. What is done already is compared with what is there."""
    missing = {job.key for job in todo}
    for run in exported(phase, runs) if runs[0].export is not None else ():
        path = Path(str(run.export))
        with one_look(Store(run.results)):
            is_missing = job_of(phase, run).key in missing
        if is_missing and path.exists() and not (path.is_dir() and not any(path.iterdir())):
            other = path.with_name(f"{path.stem}_2{path.suffix}")
            raise ConfigError(f"export={path} is there already, and is not replaced", f"export={other}, or remove it")


def _say_warnings(folder: Folder, show: Show) -> None:
    """What an earlier command warned of, which this one would not say."""
    for sentence in folder.record["derived"]:
        if sentence.startswith("warning:"):
            show.say(sentence)


def export(phase: str, runs: Sequence[Run], show: Show) -> None:
    """Write what finished score or prune runs found to the files or folders that `export` names."""
    from prune_lab.experiments.phases import export as exporting

    store = Store(runs[0].results)
    for run in exported(phase, runs):
        with one_look(store):
            key = job_of(phase, run).key
        show.say(exporting.export(store, store.get(phase, key), run))


def exported(phase: str, runs: Sequence[Run]) -> list[Run]:
    """A run for each job, whose `export` tells them apart: of two scorers s_el2n.csv and s_grand.csv for s.csv."""
    with one_look(Store(runs[0].results)):
        unique = list({job_of(phase, run).key: run for run in reversed(runs)}.values())[::-1]
    if len(unique) == 1:
        return unique
    called = [
        {"task": run.task.name, "scorer": run.scorer.called(), "rule": run.rule.name, "keep": f"{run.keep:g}"}
        | {"seed": f"seed{run.seed}"}
        for run in unique
    ]
    apart = [name for name in called[0] if len({one[name] for one in called}) > 1]
    names = [re.sub(r"\.(csv|npy|parquet)\b|[^\w.-]+", "", "_".join(one[name] for name in apart)) for one in called]
    if len({*names}) < len(names):
        what = f"these settings span {len(unique)} {phase} runs, and not all differ in task, scorer, rule, keep or seed"
        raise ConfigError(f"export={runs[0].export} is one: {what}", "a command for each")
    place = str(runs[0].export)
    end = "/" if place.endswith("/") else Path(place).suffix
    paths = [f"{place.removesuffix(end)}_{name}{end}" for name in names]
    return [run.model_copy(update={"export": path}) for run, path in zip(unique, paths, strict=True)]


def _check_search(phase: str, runs: Sequence[Run]) -> None:
    """Refuse settings of a search that nothing here reads; beside a policy that does, they are no fault."""
    unread = not any(run.policy.searched for run in runs)
    if phase != "search" and unread and any(run.search != Search() for run in runs):
        raise ConfigError(
            "search is read by prune-lab search and by policy=learning_law, and would be ignored", "policy=learning_law"
        )


def _planned(job: Job, store: Store, show: Show, *, asked_for: bool) -> Outcome:
    """What a dry run says of a job: done or to do."""
    if store.find(job.phase, job.key) is None:
        outcome = Outcome(job.phase, job.key, str(store.path(job.phase, job.key)), "planned", name=job.name)
    else:
        outcome = launch.found(job, store)
    show.outcome(outcome, asked_for=asked_for)
    return outcome


def _say_other_code(done: Sequence[Job], store: Store, show: Show) -> None:
    """How many of the runs that are there other code made; `prune-lab runs KEY` shows which."""
    made_by = [store.get(job.phase, job.key).record["code"] for job in done]
    others = Counter(
        f"{code['version']} at {code['commit']}" for code in made_by if code["commit"] != code_version()["commit"]
    )
    if others:
        show.say(f"{others.total()} of {len(done)} runs that are there were made by other code: {', '.join(others)}")


def _say_changed(todo: Sequence[Job], store: Store, show: Show) -> None:
    """Which plug-ins are not as they were when runs of the same settings were made."""
    changed: Counter[str] = Counter()
    for phase in {job.phase for job in todo if job.plugins}:
        made = [_without_code(folder.record["recipe"]) for folder in store.folders(phase)]
        for job in todo:
            if job.phase == phase and job.plugins and _without_code(job.recipe) in made:
                changed.update(job.plugins)
    for plugin, number in changed.items():
        show.say(f"{plugin} is not as it was when {number} of these runs was made: new ones are made")


def _without_code(recipe: Any) -> Any:
    """A recipe but for the hashes of plug-ins, as JSON has it."""
    if isinstance(recipe, dict):
        return {name: _without_code(one) for name, one in recipe.items() if not name.endswith("plugin")}
    return [_without_code(one) for one in recipe] if isinstance(recipe, list | tuple) else recipe


def _count(jobs: Sequence[Job]) -> str:
    """ "3 proxy train runs, 1 score and 1 prune"."""
    counts = Counter("proxy" if "proxy" in job.recipe else job.phase for job in jobs)
    return ", ".join(f"{number} {phase} run{'s' if number > 1 else ''}" for phase, number in counts.items())
