"""The argument types that verbs share."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def _complete(incomplete: str) -> list[str]:
    from .compose import complete

    before = os.environ.get("COMP_WORDS", "").split()[: int(os.environ.get("COMP_CWORD") or 0)]
    if incomplete == "=":
        before, incomplete = [*before, "="], ""
    if len(before) > 1 and before[-1] == "=":  # bash breaks words at "=": the word to complete is the value alone
        return [word.partition("=")[2] for word in complete(f"{before[-2]}={incomplete}")]
    return list(complete(incomplete))


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Settings, such as task=cifar10 rule=random scorer=el2n. Several values make a sweep: seed=0,1,2.",
        autocompletion=_complete,
        show_default=False,
    ),
]
Keep = Annotated[float | None, typer.Option("--keep", help="Fraction kept, 0 to 1 (short for keep=).")]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="Seed; give it several times for a sweep.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run, and run nothing.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a run on stdout.")]
Launcher = Annotated[
    str | None,
    typer.Option("--launcher", help="Where runs happen: local, processes or submitit (short for launcher=)."),
]


def overrides(words: list[str] | None, keep: float | None, seeds: list[int] | None, launcher: str | None) -> list[str]:
    """Flags are sugar for overrides."""
    flags = [] if keep is None else [f"keep={keep}"]
    flags += [f"seed={','.join(map(str, seeds))}"] if seeds else []
    flags += [f"launcher={launcher}"] if launcher else []
    return [*(words or []), *flags]
