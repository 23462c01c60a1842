"""The verbs that end in a page: `report` on evaluated runs, `search`, `simulate`, `reproduce` on an experiment."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from prune_lab.experiments.choices import loaded
from prune_lab.experiments.errors import ClaimFailed, ConfigError
from prune_lab.experiments.laws import expectations
from prune_lab.experiments.phases.plan import Job, closure, job_of, one_look
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.store.folders import Store, key_of

from . import compose, effects
from .inspect import inspect as inspect
from .run import run
from .show import Show, exit_code
from .track import track
from .until import decided

MOST_NAMED = 4  # rules, scores or data sets in the title of a page
ELSEWHERE = ("results=", "launcher=", "launcher.", "device=", "title=", "track=", "track.", "hydra.")  # of no result


def report(
    words: Sequence[str], *, dry_run: bool, as_json: bool, browse: bool = False, until: int | None = None
) -> int:
    """A page on the runs that the words span (made first where they are missing); on every run without words."""
    show = Show(as_json=as_json, browse=browse)
    if any(word.startswith("experiment=") for word in words):
        return reproduce(words, dry_run=dry_run, as_json=as_json, browse=browse, check=False, until=until)
    runs = compose.runs("report", words)
    if all(word.startswith(("results=", "title=", "track")) for word in words):
        title = runs[0].title or "Every evaluated run"
        if until is not None:
            raise ConfigError(
                "--until-decided adds seeds to runs, and no runs are asked for", "rule=hard,random keep=0.5"
            )
        return 0 if dry_run else _page(runs[0], None, "all", title, (), words, show)
    return _run_and_page(runs, None, words, show, dry_run=dry_run, until=until)


def search(words: Sequence[str], *, dry_run: bool, as_json: bool, browse: bool = False) -> int:
    """Searches of policies, and a page on them."""
    runs, show = compose.runs("search", words), Show(as_json=as_json, browse=browse)
    return _run_and_page(runs, None, words, show, dry_run=dry_run, phase="search")


def simulate(words: Sequence[str], *, dry_run: bool, as_json: bool, browse: bool = False) -> int:
    """Runs of a study, and a page on them."""
    runs = compose.runs("simulate", words)
    if len({type(run.study) for run in runs}) > 1:
        raise ConfigError("a page shows one study, and these words span several", "study=ONE")
    show = Show(as_json=as_json, browse=browse)
    return _run_and_page(runs, None, words, show, dry_run=dry_run, phase="simulate")


def reproduce(
    words: Sequence[str], *, dry_run: bool, as_json: bool, check: bool, browse: bool = False, until: int | None = None
) -> int:
    """Every phase of an experiment, its page, and with `check` an exit code for its expectations."""
    experiment, runs = compose.experiment(words)
    if check and not experiment.chosen.expect:
        raise ConfigError(f"{experiment.folder} makes no claims: a check of it would always pass", "leave --check out")
    if until is not None and not experiment.chosen.expect:
        raise ConfigError(f"{experiment.folder} makes no claims that could be decided", "leave --until-decided out")
    experiment = experiment if until is None else experiment.anytime
    show = Show(as_json=as_json, browse=browse)
    return _run_and_page(runs, experiment, words, show, dry_run=dry_run, check=check, until=until)


def _run_and_page(
    runs: Sequence[Run],
    experiment: expectations.Experiment | None,
    words: Sequence[str],
    show: Show,
    *,
    dry_run: bool,
    check: bool = False,
    phase: str = "evaluate",
    until: int | None = None,
) -> int:
    phase = phase if experiment is None else experiment.phase
    points = compose.grid(words) if experiment is None else compose.points(experiment.chosen, words)
    on_runs = [word for word in words if not word.startswith("title=")]
    show.note(effects.said(phase, on_runs, points, base="evaluate" if phase != "search" else phase))
    own = None if experiment is None or _changed(words) else experiment

    def check_claims(jobs: Sequence[Job]) -> None:
        if own is not None and own.chosen.expect:
            _check_claims(own, jobs, words)

    expect: Sequence[expectations.Expectation] = () if experiment is None else experiment.chosen.expect
    if experiment is None and until is not None:
        expect = _comparisons(runs)
    if until is None or dry_run:
        outcomes = run(phase, runs, show, dry_run=dry_run, check=check_claims)
    else:
        runs, outcomes = decided(phase, expect, runs, until, show, check_claims)
    if dry_run or exit_code(outcomes):
        return exit_code(outcomes)
    with one_look(Store(runs[0].results)):
        keys = list(dict.fromkeys(job_of(phase, run).key for run in runs))
    if experiment is None:
        number = f"{len(keys)} {'searches' if phase == 'search' else 'runs'}"
        name, title = key_of({"runs": sorted(keys)}), _titled(phase, runs, number)
    else:
        name, title = experiment.folder, experiment.chosen.title or experiment.title
        if changed := _changed(words):  # another experiment than the file's: its page does not take that one's place
            name, title = f"{name}_{key_of({'changed': sorted(changed)})[:6]}", f"{title} ({', '.join(changed)})"
    title = runs[0].title or title
    if until is not None:  # of runs whose number depends on what came out
        name, title = f"{name}_until_decided", f"{title} (seeds added until decided, at most {until})"
        words = [*words, f"--until-decided={until}"]
    return _page(runs[0], keys, name, title, expect, words, show, phase=phase, check=check)


def _titled(phase: str, runs: Sequence[Run], number: str) -> str:
    """As in `digits: hardest, random at keep 0.5 by el2n (6 runs)`."""

    def several(words: Iterable[str]) -> str:
        found = list(dict.fromkeys(words))
        return ", ".join(found[:MOST_NAMED]) + (f" and {len(found) - MOST_NAMED} more" if found[MOST_NAMED:] else "")

    if phase == "simulate":
        return several(f"{run.study.name} ({number})" for run in runs if run.study is not None)
    about = several(Path(getattr(run.task, "path", None) or run.task.name).name for run in runs)
    pruned = [run for run in runs if run.keep < 1]
    told = [f"{several(run.rule.label or run.rule.name for run in pruned)} at keep"] if pruned else []
    told += [several(f"{run.keep:g}" for run in pruned)] if pruned else []
    scored = [run.scorer.called() for run in pruned if run.rule.scored]
    told += [f"by {several(scored)}"] if scored else []
    told += [f"{'and ' if told else ''}unpruned"] if len(pruned) < len(runs) and phase == "evaluate" else []
    return f"{about}: {' '.join([*told, f'({number})'])}" if told else f"{about}: {number}"


def _comparisons(runs: Sequence[Run]) -> Sequence[expectations.Expectation]:
    """A claim for each rule among the runs: it beats random selection."""
    from prune_lab.experiments.report import foreseen

    with one_look(Store(runs[0].results)):
        claims = foreseen.against_random(closure(job_of("evaluate", run) for run in runs))
    if not claims:
        raise ConfigError(
            "no runs of a rule and of random selection are compared, so nothing could be decided",
            "rule=hard,random keep=0.5",
        )
    return claims


def _changed(words: Sequence[str]) -> list[str]:
    """The words that make another experiment of a file's."""
    return [word for word in words if not word.startswith(("experiment=", "experiment.size=", *ELSEWHERE))]


def _check_claims(experiment: expectations.Experiment, jobs: Sequence[Job], words: Sequence[str]) -> None:
    """Refuse claims on what none of the planned runs has."""
    from prune_lab.experiments.report import foreseen

    size = () if experiment.size not in experiment.sizes else ("sizes", experiment.size)
    found = list(foreseen.faults(experiment.phase, jobs, experiment.chosen.expect))
    said = [compose.place(words, ("experiment", *size, "expect", *fault.place)) + fault.what for fault in found]
    if said:
        raise ConfigError("\n".join(said), next((fault.mend for fault in found if fault.mend), None))


def _page(
    run: Run,
    keys: Sequence[str] | None,
    name: str,
    title: str,
    expect: Sequence[expectations.Expectation],
    words: Sequence[str],
    show: Show,
    *,
    phase: str = "evaluate",
    check: bool = False,
) -> int:
    from prune_lab.experiments.report import study
    from prune_lab.experiments.report.equality import build as equality
    from prune_lab.experiments.report.pruning import build as pruning

    store = Store(run.results)
    for error in store.damaged().values() if keys is None else ():
        show.say(f"left out: {error}")
    alone = phase if phase in ("search", "simulate") else "report"
    verb = "reproduce" if any(word.startswith("experiment=") for word in words) else alone
    plugins = [word for plugin in loaded() for word in ("--plugin", os.path.relpath(plugin))]
    kept = [word for word in words if not word.startswith(("results=", "track"))]  # in any store it is the same
    placeless = [f"title={run.title}" if word.startswith("title=") else word for word in kept]  # not in quotes twice
    command = shlex.join(["prune-lab", verb, *placeless, *plugins])
    with store.page(name) as folder:
        build = {"simulate": study.build, "search": equality.build}.get(phase, pruning.build)
        metrics = build(store, keys, folder, title=title, command=command, expectations=expect)
    path = store.path("report", name) / "index.html"
    if show.as_json and check:
        for claim in json.loads(path.with_name("claims.json").read_text())["expectations"]:
            show.data({"phase": "claim", "key": name, "status": claim["verdict"]} | claim)
    if show.as_json:
        show.data({"phase": "report", "key": name, "path": str(path.parent), "status": "done", "metrics": metrics})
    judged = ", ".join(f"{number} {verdict}" for verdict, number in metrics["claims"].items() if number)
    show.say("\n".join(filter(None, [metrics["verdict"], judged and f"claims: {judged}", f"the page: {path}"])))
    sent = [one.key for one in store.folders(phase)] if keys is None else keys
    track(run.track, store, phase, sent, show, page=(path.parent, title, metrics))
    show.page(path)
    if check and metrics["failed"]:
        raise ClaimFailed("what this experiment expects did not come out:\n  " + "\n  ".join(metrics["failed"]))
    return 0
