"""From validated studies to outcomes, the same for every phase: plan, say it, launch, show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prune_lab.experiments import launch, schema
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.jobs import Job, closure, job_of
from prune_lab.experiments.launch import Outcome
from prune_lab.experiments.provenance import code_version
from prune_lab.experiments.store import Store

from .show import Show


def run(phase: str, studies: Sequence[schema.Study], show: Show, *, dry_run: bool) -> list[Outcome]:
    """The outcomes of a phase for these studies, after all that they need."""
    if studies[0].export is not None and phase != "score":
        raise ConfigError("export= writes scores", f"prune-lab score export={studies[0].export}")
    store = Store(studies[0].results)
    targets = {job.key: job for job in (job_of(phase, study) for study in studies)}
    jobs = closure(targets.values())
    todo = [job for job in jobs if store.find(job.phase, job.key) is None]
    before = [job for job in todo if job.key not in targets]
    if before:
        show.say(f"this needs {_count(before)} first; {'they would be' if dry_run else 'they are'} made now")
    if dry_run:
        return [_planned(job, store, show, asked_for=job.key in targets) for job in jobs]
    outcomes = []
    show.start(len(todo))
    try:
        for outcome in launch.launch(jobs, store, studies[0].launcher, show.watch):
            show.outcome(outcome, asked_for=outcome.key in targets)
            outcomes.append(outcome)
    finally:
        show.stop()
    return outcomes


def export_scores(studies: Sequence[schema.Study], show: Show) -> None:
    """Write the scores of the one score run that these studies share to the file they name."""
    from prune_lab.experiments.phases import export

    jobs = {job.key: job for job in (job_of("score", study) for study in studies)}
    if len(jobs) > 1:
        raise ConfigError(f"export={studies[0].export} is one file, and these settings span {len(jobs)} score runs")
    (job,) = jobs.values()
    show.say(export(Store(studies[0].results).get("score", job.key), str(studies[0].export)))


def _planned(job: Job, store: Store, show: Show, *, asked_for: bool) -> Outcome:
    """What a dry run says of a job: done, done by older code, or to do."""
    if store.find(job.phase, job.key) is None:
        outcome = Outcome(job.phase, job.key, str(store.path(job.phase, job.key)), "planned")
    else:
        outcome = launch.found(job, store)
        made_by = store.get(job.phase, job.key).record["code"]
        if made_by["commit"] != code_version()["commit"]:
            show.say(f"{job.phase} {job.key} was made by other code: {made_by['version']} at {made_by['commit']}")
    show.outcome(outcome, asked_for=asked_for)
    return outcome


def _count(jobs: Sequence[Job]) -> str:
    """ "3 proxy train runs, 1 score and 1 prune"."""
    counts = Counter("proxy" if "proxy" in job.recipe else job.phase for job in jobs)
    return ", ".join(f"{number} {phase} run{'s' if number > 1 else ''}" for phase, number in counts.items())
