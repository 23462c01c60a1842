"""The argument types that verbs share."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout, suppress
from itertools import pairwise
from pathlib import Path
from textwrap import fill
from typing import Annotated

import typer

from prune_lab.experiments import choices
from prune_lab.experiments.errors import ConfigError, LabError

from . import stdout

WIDTH = 76  # of a line of the help
HELP = """\
[bold]Common settings[/bold], each key=value; several values make a sweep: seed=0,1,2
{choices}
keep      the fraction kept: above 0, up to 1
balance   0 to 1: the share of its proportional part that each class keeps
budget    of training the kept: epochs (fewer steps), steps (as many)
seed      0 1 2 ...
device    auto cpu cuda cuda:N mps
What they mean, their sources and their settings: prune-lab choices. The tab key completes keys and values.
"""


def settings() -> str:
    """The common settings for the help, with every choice that there is."""
    lines = []
    for kind in choices.KINDS:
        words = " ".join(choices.names(kind))
        lines.append(fill(f"{kind:<9} {words}", WIDTH, subsequent_indent=" " * 10))
    return HELP.format(choices="\n".join(lines))


def load(plugins: list[str] | None) -> None:
    """Import the plug-ins that the user names, and nothing else of a user's. What they print is not data."""
    stdout.reserve()
    choices.load_plugins(plugins or ())


def _complete(incomplete: str) -> list[str]:
    from .completion import complete

    before = os.environ.get("COMP_WORDS", "").split()[: int(os.environ.get("COMP_CWORD") or 0)]
    with suppress(LabError), redirect_stdout(sys.stderr):
        choices.load_plugins([word for flag, word in pairwise(before) if flag == "--plugin"])
    if incomplete == "=":
        before, incomplete = [*before, "="], ""
    if len(before) > 1 and before[-1] == "=":  # bash breaks words at "=": the word to complete is the value alone
        return [word.partition("=")[2] for word in complete(f"{before[-2]}={incomplete}")]
    return list(complete(incomplete))


def _experiments(incomplete: str) -> list[str]:
    from .completion import experiments

    return experiments(incomplete)


def _launchers(incomplete: str) -> list[str]:
    from .compose import choices as configs

    return [name for name in configs("launcher") if name.startswith(incomplete)]


def _kinds(incomplete: str) -> list[str]:
    return [kind for kind in choices.KINDS if kind.startswith(incomplete)]


def _phases(incomplete: str) -> list[str]:
    from prune_lab.experiments.store.folders import PHASES

    return [name for name in PHASES if name.startswith(incomplete)]


def _keys(context: typer.Context, incomplete: str) -> list[str]:
    root = Path((context.params.get("results") or ["results"])[0])
    return sorted(path.name for path in root.glob(f"*/{incomplete}*") if path.name[0] != ".")


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Settings, such as task=cifar10 rule=random scorer=el2n. Several values make a sweep: seed=0,1,2. "
        "The common ones: prune-lab --help.",
        autocompletion=_complete,
        show_default=False,
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        "--keep",
        metavar="FRACTION",
        help="Fraction kept, 0 to 1 (short for keep=); give it several times for a sweep.",
        show_default=False,
    ),
]
Seeds = Annotated[
    list[str] | None,
    typer.Option("--seed", metavar="NUMBER", help="Seed; give it several times for a sweep.", show_default=False),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        help=f"A .py file with your own {', '.join(choices.KINDS[:-1])} or {choices.KINDS[-1]}; "
        f"give it several times for several. Also: ${choices.VARIABLE}.",
        show_default=False,
    ),
]
Browse = Annotated[bool, typer.Option("--open", help="Open the page in a browser.")]
Check = Annotated[bool, typer.Option("--check", help="Exit 5 where a claim has not the expected verdict.")]
UntilDecided = Annotated[
    int | None,
    typer.Option(
        "--until-decided",
        metavar="SEEDS",
        min=3,
        help="Add seeds while a claim is undecided, up to so many; its interval then holds at any number of seeds.",
        show_default=False,
    ),
]
Results = Annotated[
    list[str] | None,
    typer.Option("--results", metavar="FOLDER", help="The store's folder (short for results=).", show_default=False),
]
Experiment = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[EXPERIMENT]",
        help="Only this one's; all where left out.",
        autocompletion=_experiments,
        show_default=False,
    ),
]
Kind = Annotated[
    str | None,
    typer.Argument(
        metavar="[KIND]",
        help=f"{', '.join(choices.KINDS)}; all where left out.",
        autocompletion=_kinds,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run, and run nothing.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a run on stdout.")]
Launcher = Annotated[
    list[str] | None,
    typer.Option(
        "--launcher",
        metavar="NAME",
        help="Where runs happen: local, processes or submitit (short for launcher=).",
        autocompletion=_launchers,
    ),
]
Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this one, with all that its file says.")]
Run = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY] [SETTING=VALUE]",
        help="A key, or the beginning of one: show this run whole; several: list them. A setting: list the runs that "
        "have it, as keep=0.5 rule=hard,random task.examples=2000.",
        autocompletion=_keys,
        show_default=False,
    ),
]
Phase = Annotated[
    str | None, typer.Option("--phase", help="Only this phase.", autocompletion=_phases, show_default=False)
]


def overrides(words: list[str] | None, **flags: list[str] | None) -> list[str]:
    """Flags are sugar for overrides: `--keep 0.5 --keep 1` is keep=0.5,1."""
    if places := flags.get("results"):
        flags["results"] = ["'{}'".format(one.replace("'", r"\'")) for one in places]  # whatever is in a path
    own = [_in_quotes(word) if word.startswith("title=") else word for word in words or []]
    return [*own, *(f"{key}={','.join(values)}" for key, values in flags.items() if values)]


def _in_quotes(word: str) -> str:
    """A title as it is, whatever is in it: commas are no sweep of it."""
    key, _, value = word.partition("=")
    return word if value[:1] in ("'", '"') or not value else "{}='{}'".format(key, value.replace("'", r"\'"))


def located(words: list[str] | None, results: list[str] | None) -> tuple[list[str], str]:
    """The words of a verb that looks into a store, and the store: --results FOLDER or results=FOLDER."""
    places = [word.partition("=")[2].strip("'\"") for word in words or () if word.startswith("results=")]
    places = list(dict.fromkeys([*(results or ()), *places]))
    if "" in places:
        raise ConfigError("results= names no folder", "results=results")
    named = [word for word in words or () if not word.startswith("results=")]
    return named, _one(places, "stores") or "results"


def placed(words: list[str] | None, results: list[str] | None) -> tuple[str | None, str]:
    """As `located`, of a verb that takes one word."""
    named, place = located(words, results)
    return _one(named, "names"), place


def _one(given: list[str], what: str) -> str | None:
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} are {len(given)} {what}, and one is looked at", given[0])
    return next(iter(given), None)
