"""What the help of a verb says beside its flags: the settings that it reads, what it writes, its exit codes.

All of it is read from the code: the planner's functions, the files that a phase writes, the classes of errors.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from textwrap import fill
from typing import Any

from typer.core import TyperCommand

from prune_lab.experiments import errors
from prune_lab.experiments.store.folders import PHASES, RECORD

WIDTH = 76  # of a line
CODE = "prune_lab.experiments"
WHERE = ("device", "launcher", "results", "track")  # settings of every verb that runs something; they change no result
EXPORTED = ("score", "prune")
LAST = {
    "report": "evaluate",
    "reproduce": "evaluate",
    "inspect": "score",
}  # the phase that a verb's runs end in, where not of its name
PAGES = {"search": "equality/build.py", "simulate": "study.py", "report": "pruning/build.py"}
PAGES |= {"reproduce": PAGES["report"], "inspect": "inspection/build.py"}


class Verb(TyperCommand):
    """A command whose help ends in what is worked out here, when it is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.epilog = described(str(self.name), checks=any(one.name == "check" for one in self.params))
        super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if type(error).__name__ != "NoSuchOption":  # its module is Click's, or Typer's own copy of it
                raise
            raise self._no_option(str(getattr(error, "option_name", "")), given) from None

    def _no_option(self, option: str, words: Sequence[str]) -> errors.ConfigError:
        """What to say of an option that is none: another one, or a setting, which is written key=value."""
        from . import meant
        from .words import every_key

        word = next(word for word in words if word.partition("=")[0] == option or word.startswith(option))
        follows = words[words.index(word) + 1 :][:1]
        value = word.partition("=")[2] or next((one for one in follows if not one.startswith("-")), "...")
        key, known = option.strip("-").replace("-", "_"), every_key() if takes_settings(self) else []
        flags = {
            name: not getattr(one, "is_flag", False) for one in self.params for name in one.opts if name[:2] == "--"
        }
        top = [one for one in known if "." not in one]
        near = next(iter(difflib.get_close_matches(option, flags, n=1, cutoff=meant.NEAR)), None)
        if key not in known and near is not None:
            mend = f"{near} {value}" if flags[near] else near
        elif said := meant.kept(key, value) if known else None:
            mend = said
        else:
            mend = next((f"{one}={value}" for one in meant.settings(key, top, known)), f"prune-lab {self.name} --help")
        listed = ", ".join(sorted(flags))
        return errors.ConfigError(f"prune-lab {self.name} has no option {option}; it has: {listed}", mend)


def takes_settings(verb: Any) -> bool:
    """Whether a verb takes words key=value."""
    return any(one.name in ("settings", "words") for one in verb.params)


def described(verb: str, *, checks: bool) -> str:
    """The end of a verb's help. `checks`: whether it can fail for a claim."""
    parts = []
    phase = LAST.get(verb, verb)
    if phase in PHASES:
        own = ["experiment"] if verb == "reproduce" else ["export"] if verb in EXPORTED else []
        own += ["title"] if verb in PAGES else []
        settings = sorted({*reads(phase), *WHERE, *own})
        what = fill(" ".join(settings), WIDTH)
        parts.append(f"[bold]Reads[/bold], and the settings of these choices (prune-lab choices)\n{what}")
    if places := writes(verb):
        parts.append("\n".join(["[bold]Writes[/bold]", *places]))
    ends = "\n".join(f"{code} {what}" for code, what in exit_codes(checks=checks).items())
    return "\n\n".join([*parts, f"[bold]Exit codes[/bold]\n{ends}"])


@lru_cache(maxsize=1)
def _planner() -> dict[str, tuple[set[str], set[str]]]:
    """Each function of the planner: the settings of a run that it names, and the functions that it calls."""
    tree = ast.parse(resources.files(CODE).joinpath("phases", "plan.py").read_text())
    found = {}
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        nodes = list(ast.walk(function))
        named = {one.attr for one in nodes if isinstance(one, ast.Attribute) and getattr(one.value, "id", "") == "run"}
        called = {one.func.id for one in nodes if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}
        found[function.name] = named, called
    return found


def reads(phase: str) -> set[str]:
    """The settings that the folder of a phase, or of any that it needs, may depend on."""
    from prune_lab.experiments.phases.settings import Run

    functions, names, todo = _planner(), set[str](), [f"{phase}_job"]
    seen = set[str]()
    while todo:
        name = todo.pop()
        if name in functions and name not in seen:
            seen.add(name)
            names |= functions[name][0]
            todo += functions[name][1]
    return names & set(Run.model_fields)


def writes(verb: str) -> list[str]:
    """Where a verb writes, and which files."""
    found, phase = [], LAST.get(verb, verb)
    if phase in PHASES:
        named = re.findall(r'work\.folder / "([\w.]+)"', _source("phases", f"{phase}.py"))
        found.append(f"results/{phase}/KEY/: {', '.join(dict.fromkeys([*named, RECORD]))}")
    if verb in PAGES:
        named = re.findall(r'folder / "([\w.]+)"', _source("report", "page.py"))
        named += re.findall(r'"(\w+\.csv)"', _source("report", *PAGES[verb].split("/")))
        found.append(f"results/report/NAME/: {', '.join(dict.fromkeys(named))}")
    return found


def exit_codes(*, checks: bool) -> dict[int, str]:
    """What each exit code of a command means."""
    kinds = [one for one in errors.LabError.__subclasses__() if checks or one is not errors.ClaimFailed]
    said = {one.exit_code: (one.__doc__ or "").partition("\n")[0].rstrip(".") for one in kinds}
    ours = {code: what[0].lower() + what[1:] for code, what in said.items()}
    return {0: "done"} | dict(sorted(ours.items())) | {errors.INTERRUPTED: "interrupted: finished runs are kept"}


def _source(*parts: str) -> str:
    return resources.files(CODE).joinpath(*parts).read_text()
