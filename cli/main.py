"""The command line: verbs and few flags. Everything else is `key=value`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import signature
from typing import Any, NoReturn

import typer

from prune_lab.experiments import choices as registry
from prune_lab.experiments.errors import INTERRUPTED, LabError, RunFailed, foreseen, unforeseen

from . import options, stdout, verbs
from .options import (
    Browse,
    Check,
    DryRun,
    Experiment,
    Json,
    Keep,
    Kind,
    Launcher,
    Name,
    Overrides,
    Phase,
    Plugins,
    Results,
    Run,
    Seeds,
    UntilDecided,
)

AFTER_INTERRUPT = (
    "\nprune-lab: interrupted; finished runs are kept, and the same command continues, runs from their last checkpoint"
)
PHASES = {
    "score": (
        "Give every training example a difficulty: higher is harder.",
        "prune-lab score scorer=grand  |  prune-lab score task=cifar10 export=scores.csv",
    ),
    "prune": (
        "Choose which examples are kept.",
        "prune-lab prune --keep 0.3 balance=0.5  |  prune-lab prune rule=stratified rule.drop_hardest=0.1",
    ),
    "train": (
        "Train a model on what is kept; scores and prunes first where that is needed.",
        "prune-lab train --keep 0.5 scorer=el2n rule=hard task=cifar10  |  prune-lab train --seed 0 --seed 1",
    ),
    "evaluate": (
        "Measure the test split under a trained model.",
        "prune-lab evaluate --keep 0.5 --json  |  prune-lab evaluate task=pydoc rule=middle keep=0.5,1.0",
    ),
    "search": (
        "Search how much each example should weigh at each step; a page says what every one contributes.",
        "prune-lab search task=perceptron recipe=flow seed=0,1,2  |  prune-lab search recipe=flow --keep 0.5",
    ),
    "inspect": (
        "Find what is likely wrong with a data set: labels, copies, the hardest examples; a page shows them.",
        "prune-lab inspect task=images task.path=photos  |  prune-lab inspect --json",
    ),
    "simulate": (
        "Run a study, a question that is no pipeline run; a page shows what it measured.",
        "prune-lab simulate study=perceptron study.keep=0.2,0.5,1 seed=0,1,2  |  prune-lab choices study",
    ),
    "report": (
        "Draw the evaluated runs as a page: scaling curves, what was kept, the verdict.",
        "prune-lab report (every run in the store)  |  prune-lab report keep=0.5,1.0 seed=0,1,2",
    ),
    "reproduce": (
        "Run every phase of an experiment and write its report.",
        "prune-lab reproduce experiment=demo  |  prune-lab reproduce experiment=smoke --check",
    ),
}
PAGES = ("inspect", "search", "simulate", "report", "reproduce")  # verbs that end in a page
DECIDED = ("report", "reproduce")  # verbs that can add seeds
CHECKED = "reproduce"  # the verb whose claims can be checked

app = typer.Typer(
    help="Which training data matters? Score, prune, train, evaluate, report: data pruning, re-tested.",
    epilog=options.settings(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"prune-lab {version('prune-lab')}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", help="Say the version.", callback=_version, is_eager=True),
) -> None:
    """What stands before a verb."""


def _verb(name: str) -> Callable[..., None]:
    """The command of a phase: all of them take the same words."""

    def verb(
        settings: Overrides = None,
        keep: Keep = None,
        seed: Seeds = None,
        dry_run: DryRun = False,
        json: Json = False,
        launcher: Launcher = None,
        results: Results = None,
        plugin: Plugins = None,
        check: Check = False,
        browse: Browse = False,
        until_decided: UntilDecided = None,
    ) -> None:
        from .words import check_spaces, sweeps_explained

        options.load(plugin)
        check_spaces(settings or [])
        words = options.overrides(settings, keep=keep, seed=seed, launcher=launcher, results=results)
        with sweeps_explained(words):
            if name not in PAGES:
                _run(name, words, dry_run=dry_run, as_json=json)
            from . import reports

            more: dict[str, Any] = {"browse": browse}
            more |= {"until": until_decided} if name in DECIDED else {}
            more |= {"check": check} if name == CHECKED else {}
            raise typer.Exit(getattr(reports, name)(words, dry_run=dry_run, as_json=json, **more))

    what, examples = PHASES[name]
    verb.__doc__ = f"{what}\n\nExamples: {examples}"
    taken = signature(verb, eval_str=True)
    flags = (("check", (CHECKED,)), ("until_decided", DECIDED), ("browse", PAGES))
    unread = {flag for flag, verbs_of in flags if name not in verbs_of}
    others = [one for one in taken.parameters.values() if one.name not in unread]
    verb.__signature__ = taken.replace(parameters=others)  # type: ignore[attr-defined]
    return verb


for phase in PHASES:
    app.command(phase, cls=verbs.Verb)(_verb(phase))


def _run(phase: str, words: list[str], *, dry_run: bool, as_json: bool) -> None:
    from prune_lab.experiments.store.folders import Store

    from . import compose, effects
    from .run import export, run
    from .show import Show, exit_code
    from .track import track

    runs, show = compose.runs(phase, words), Show(as_json=as_json)
    show.note(effects.said(phase, words, compose.grid(words)))
    outcomes = run(phase, runs, show, dry_run=dry_run)
    if not dry_run:
        made = [outcome.key for outcome in outcomes if outcome.phase == phase and outcome.status in ("done", "cached")]
        track(runs[0].track, Store(runs[0].results), phase, made, show)
    if runs[0].export is not None and not dry_run and not exit_code(outcomes):
        export(phase, runs, show)
    raise typer.Exit(exit_code(outcomes))


@app.command(cls=verbs.Verb)
def claims(
    experiment: Experiment = None,
    results: Results = None,
    json: Json = False,
    check: Check = False,
    plugin: Plugins = None,
) -> None:
    """List what papers claim, and what was measured of it: here, or else as it is published.

    Examples: prune-lab claims  |  prune-lab claims learning_law --json
    """
    from .claims import claims as show

    options.load(plugin)
    one, place = options.placed(experiment, results)
    raise typer.Exit(show(one, place, as_json=json, check=check))


@app.command(cls=verbs.Verb)
def choices(kind: Kind = None, name: Name = None, json: Json = False, plugin: Plugins = None) -> None:
    """List the scorers, rules, policies, tasks, models, studies and trackers: source, meaning, settings, defaults.

    Examples: prune-lab choices scorer  |  prune-lab choices scorer dual  |  prune-lab choices --plugin mine.py --json
    """
    from .choices import choices as show

    options.load(plugin)
    raise typer.Exit(show(kind, name, as_json=json))


@app.command(cls=verbs.Verb)
def runs(
    words: Run = None,
    phase: Phase = None,
    results: Results = None,
    remove: bool = typer.Option(
        False, "--remove", help="Remove the runs named, by keys or settings, and what was made from them."
    ),
    merge: str | None = typer.Option(
        None, "--merge", metavar="FOLDER", help="Copy the runs of another store that are not here; overwrite nothing."
    ),
    clean: bool = typer.Option(
        False, "--clean", help="Remove what killed runs left, their checkpoints too, and damaged runs."
    ),
    verify: bool = typer.Option(
        False, "--verify", help="Compare every file with the size and hash that its record carries; exit 1 on damage."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what --remove or --merge would do, and do nothing."),
    csv: bool = typer.Option(False, "--csv", help="The list as csv on stdout: every setting and measure is a column."),
    json: Json = False,
    plugin: Plugins = None,
) -> None:
    """List, show, remove, merge, verify and clean what is in the store. A list shows in what the runs differ.

    Examples: prune-lab runs keep=0.5 rule=hard  |  prune-lab runs 3f2a --remove --dry-run  |  prune-lab runs --csv
    """
    from .runs import runs as look

    options.load(plugin)
    named, place = options.located(words, results)
    asked = {"remove": remove, "clean": clean, "verify": verify, "dry_run": dry_run, "as_json": json, "as_csv": csv}
    raise typer.Exit(look(named, phase=phase, results=place, merge=merge, **asked))


@app.command(cls=verbs.Verb)
def doctor(json: Json = False, plugin: Plugins = None) -> None:
    """Say what this machine can do, and what would mend the rest."""
    from .doctor import doctor as examine

    options.load(plugin)
    raise typer.Exit(examine(as_json=json))


def run() -> None:
    """The command: a user's mistake ends in a sentence and an exit code, never in a traceback."""
    from prune_lab.experiments.store.provenance import quiet

    quiet()
    try:
        app()
    except LabError as error:
        _fail(error)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # Typer turns Ctrl-C into this
            print(AFTER_INTERRUPT, file=sys.stderr)
        raise
    except Exception as error:
        if (where := registry.blame(error)) is not None:  # its author's to mend
            _fail(RunFailed(f"a plug-in broke; finished runs are kept: {where}"))
        given = "".join(f", perhaps on what {name} gave" for name in registry.loaded())
        _fail(foreseen(error) or unforeseen(f"prune-lab broke{given}; finished runs are kept", error))
    finally:
        stdout.release()


def _fail(error: LabError) -> NoReturn:
    from .show import fail

    sys.exit(fail(error, as_json="--json" in sys.argv))
