"""What papers claim, from the experiment files, judged on the runs in the tables of their last reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prune_lab.experiments.errors import ClaimFailed, MissingInput

from . import compose
from .show import Show

if TYPE_CHECKING:
    from prune_lab.experiments.laws.claims import Outcome

REPORTS = ("report", "reference")  # where a page of an experiment may lie below `results`, the user's own first
NOTHING: dict[str, Any] = {"verdict": "no runs", "effect": None, "low": None, "high": None, "n": 0, "sentence": ""}


def claims(experiment: str | None, results: str, *, as_json: bool, check: bool) -> int:
    """Each claim of each size of an experiment, or of every one (None).

    `as_json`: one object each, `check`: ClaimFailed on surprises, MissingInput where nothing of the named is measured.
    """
    experiment = None if experiment is None else experiment.removeprefix("experiment=")
    names = compose.choices("experiment") if experiment is None else [experiment]
    show, found = Show(as_json=as_json), [one for name in names for one in _claims(name, Path(results))]
    rows, measured = [row for row, _ in found], [outcome for _, outcome in found if outcome is not None]
    if as_json:
        for row in rows:
            show.data(row)
    else:
        head = f"{len(rows)} claims" if rows else f"{experiment} makes no claims"
        show.table(head, ("verdict", "claim, source, what was measured"), list(map(_cells, rows)))
        if missing := next((_words(row) for row, outcome in found if outcome is None), None):
            show.say(f"some are not measured here yet; to measure: prune-lab reproduce {missing}")
    if check and experiment is not None and not measured:
        raise MissingInput(f"no claim of {experiment} is measured here", f"prune-lab reproduce experiment={experiment}")
    surprises = [outcome.said for outcome in measured if outcome.surprising]
    if check and surprises:
        raise ClaimFailed("not the expected verdict:\n  " + "\n  ".join(surprises))
    return 0


def _claims(name: str, results: Path) -> Iterator[tuple[dict[str, Any], Outcome | None]]:
    """A row for each claim, and its outcome where it is measured; the user's own page goes before the reference."""
    from prune_lab.experiments.laws.claims import check
    from prune_lab.experiments.laws.runs import runs_of

    experiment = compose.described([f"experiment={name}"])
    for size in ("cpu", *experiment.sizes):
        sized = experiment.model_copy(update={"size": size})
        pages = (results / place / sized.folder / "index.html" for place in REPORTS)
        page = next((page for page in pages if page.with_name("table.csv").is_file()), None)
        claimed = sized.chosen.expect
        runs = runs_of(page.with_name("table.csv")) if page is not None and claimed else None
        for claim in claimed:
            outcome = None if runs is None else check(claim, runs)
            told = {key: getattr(outcome, key) for key in NOTHING} if outcome else NOTHING
            said = claim.model_dump(include={"claim", "source", "differs", "expected"})
            there = str(page) if page is not None and page.is_file() else None  # some committed ones are left out
            yield {"experiment": name, "size": size} | said | told | {"page": there}, outcome


def _cells(row: dict[str, Any]) -> tuple[str, str]:
    here = f"; here: {row['differs']}" if row["differs"] else ""
    measured = f"{_words(row)}: {row['sentence'] or 'no runs'}"
    return row["verdict"], f"{row['claim']}\n  {row['source']}{here}\n  {measured}"


def _words(row: dict[str, Any]) -> str:
    """The experiment and its size as the command line takes them."""
    return f"experiment={row['experiment']}" + ("" if row["size"] == "cpu" else f" experiment.size={row['size']}")
