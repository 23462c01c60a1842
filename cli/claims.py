"""What papers claim, from the experiment files, judged on the runs in the tables of their last reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prune_lab.experiments.errors import ClaimFailed, MissingInput
from prune_lab.experiments.laws.expectations import Expectation

from . import compose
from .show import Show

REPORTS = ("report", "reference")  # where a page of an experiment may lie below `results`, the user's own first
NOTHING: dict[str, Any] = {"verdict": "no runs", "effect": None, "low": None, "high": None, "n": 0, "sentence": ""}


def claims(experiment: str | None, results: str, *, as_json: bool, check: bool) -> int:
    """Each claim of each size of an experiment, or of every one (None).

    `as_json`: one object each, `check`: ClaimFailed on surprises, MissingInput where nothing of the named is measured.
    """
    experiment = None if experiment is None else experiment.removeprefix("experiment=")
    names = compose.choices("experiment") if experiment is None else [experiment]
    show, rows = Show(as_json=as_json), [row for name in names for row in _claims(name, Path(results))]
    if as_json:
        for row in rows:
            show.data(row)
    else:
        show.table(
            f"{len(rows)} claims" if rows else f"{experiment} makes no claims",
            ("verdict", "claim, source, what was measured"),
            list(map(_cells, rows)),
        )
        if missing := next((_words(row) for row in rows if not row["sentence"]), None):
            show.say(f"some are not measured here yet; to measure: prune-lab reproduce {missing}")
    measured = [row for row in rows if row["sentence"]]
    if check and experiment is not None and not measured:
        raise MissingInput(f"no claim of {experiment} is measured here", f"prune-lab reproduce experiment={experiment}")
    surprises = [
        f"{row['verdict']}: {row['claim']}: {row['sentence']}" for row in measured if row["verdict"] != row["expected"]
    ]
    if check and surprises:
        raise ClaimFailed("not the expected verdict:\n  " + "\n  ".join(surprises))
    return 0


def _claims(name: str, results: Path) -> Iterator[dict[str, Any]]:
    experiment = compose.described([f"experiment={name}"])
    for size in ("cpu", *experiment.sizes):
        sized = experiment.model_copy(update={"size": size})
        for claim in sized.chosen.expect:
            said = claim.model_dump(include={"claim", "source", "differs", "expected"})
            yield {"experiment": name, "size": size} | said | _measured(results, sized.folder, claim)


def _measured(results: Path, name: str, claim: Expectation) -> dict[str, Any]:
    """What the runs of the experiment's page say of a claim; the user's own page goes before the reference."""
    from prune_lab.experiments.laws.claims import check, runs_of

    for place in REPORTS:
        path = results / place / name
        if (path / "table.csv").is_file():
            found = asdict(check(claim, runs_of(path / "table.csv")))
            page = path / "index.html"  # some of the committed ones are left out for their size
            return {key: found[key] for key in NOTHING} | {"page": str(page) if page.is_file() else None}
    return NOTHING | {"page": None}


def _cells(row: dict[str, Any]) -> tuple[str, str]:
    here = f"; here: {row['differs']}" if row["differs"] else ""
    lines = [
        row["claim"],
        f"  {row['source']}{here}",
        f"  {_words(row)}: {row['sentence'] or 'no runs'}",
    ]
    return row["verdict"], "\n".join(lines)


def _words(row: dict[str, Any]) -> str:
    """The experiment and its size as the command line takes them."""
    return f"experiment={row['experiment']}" + ("" if row["size"] == "cpu" else f" experiment.size={row['size']}")
