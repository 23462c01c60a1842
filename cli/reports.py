"""The verbs that end in a page: `report` on what was evaluated, `search` on policies, `reproduce` on an experiment."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from prune_lab.experiments import expectations, schema
from prune_lab.experiments.errors import ClaimFailed, ConfigError
from prune_lab.experiments.jobs import job_of
from prune_lab.experiments.store import Store, key_of

from . import compose
from .run import run
from .show import Show, exit_code

ELSEWHERE = ("results=", "launcher=", "launcher.", "device=", "hydra.")  # words that say where, and change no result


def report(words: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """A page on the runs that the words span (made first where they are missing); on every run without words."""
    show = Show(as_json=as_json)
    if any(word.startswith("experiment=") for word in words):
        return reproduce(words, dry_run=dry_run, as_json=as_json, check=False)
    studies = compose.studies("report", words)
    if all(word.startswith("results=") for word in words):
        return 0 if dry_run else _page(studies[0].results, None, "all", "Every evaluated run", (), words, show)
    return _run_and_page(studies, None, words, show, dry_run=dry_run)


def search(words: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """Searches of policies, and a page on them."""
    studies = compose.studies("search", words)
    return _run_and_page(studies, None, words, Show(as_json=as_json), dry_run=dry_run, phase="search")


def reproduce(words: Sequence[str], *, dry_run: bool, as_json: bool, check: bool) -> int:
    """Every phase of an experiment, its page, and with `check` an exit code for its expectations."""
    experiment, studies = compose.experiment(words)
    if check and not experiment.chosen.expect:
        raise ConfigError(f"{experiment.folder} makes no claims: a check of it would always pass", "leave --check out")
    return _run_and_page(studies, experiment, words, Show(as_json=as_json), dry_run=dry_run, check=check)


def _run_and_page(
    studies: Sequence[schema.Study],
    experiment: expectations.Experiment | None,
    words: Sequence[str],
    show: Show,
    *,
    dry_run: bool,
    check: bool = False,
    phase: str = "evaluate",
) -> int:
    phase = phase if experiment is None else experiment.phase
    outcomes = run(phase, studies, show, dry_run=dry_run)
    if dry_run or exit_code(outcomes):
        return exit_code(outcomes)
    keys = list(dict.fromkeys(job_of(phase, study).key for study in studies))
    if experiment is None:
        number = f"{len(keys)} {'searches' if phase == 'search' else 'runs'}"
        asked = " ".join(word for word in words if not word.startswith(ELSEWHERE))
        name, title = key_of({"runs": sorted(keys)}), f"{number}: {asked}" if asked else number
        return _page(studies[0].results, keys, name, title, (), words, show, phase=phase)
    name, title, expect = experiment.folder, experiment.chosen.title or experiment.title, experiment.chosen.expect
    changed = [word for word in words if not word.startswith(("experiment=", "experiment.size=", *ELSEWHERE))]
    if changed:  # another experiment than the file's: its page does not take that one's place
        name, title = f"{name}_{key_of({'changed': sorted(changed)})[:6]}", f"{title} ({', '.join(changed)})"
    return _page(studies[0].results, keys, name, title, expect, words, show, phase=phase, check=check)


def _page(
    results: str,
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
    from prune_lab.experiments.report import equality, page, theory

    store = Store(results)
    for error in store.damaged().values() if keys is None else ():
        show.say(f"left out: {error}")
    alone = "search" if phase == "search" else "report"
    verb = "reproduce" if expect or any(word.startswith("experiment=") for word in words) else alone
    command = shlex.join(["prune-lab", verb, *words])
    with store.page(name) as folder:
        build = {"simulate": theory.build, "search": equality.build}.get(phase, page.build)
        metrics = build(store, keys, folder, title=title, command=command, expectations=expect)
    path = store.path("report", name) / "index.html"
    if show.as_json:
        show.data({"phase": "report", "key": name, "path": str(path.parent), "status": "done", "metrics": metrics})
    judged = ", ".join(f"{number} {verdict}" for verdict, number in metrics["claims"].items() if number)
    show.say("\n".join(filter(None, [metrics["verdict"], judged and f"claims: {judged}", f"the page: {path}"])))
    if check and metrics["failed"]:
        raise ClaimFailed("what this experiment expects did not come out:\n  " + "\n  ".join(metrics["failed"]))
    return 0
