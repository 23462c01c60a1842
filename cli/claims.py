"""What papers claim, and what experiments of one's own do, judged on the runs in the tables of their last reports."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from prune_lab.experiments.errors import ClaimFailed, ConfigError, MissingInput

from . import compose
from .show import Show

REPORTS = ("report", "reference")  # where a page of an experiment may be below `results`, the user's own first
NOTHING: dict[str, Any] = {"verdict": "no runs", "effect": None, "low": None, "high": None, "n": 0, "sentence": ""}
TOLD = ("claim", "source", "differs", "expected", *NOTHING)


def claims(experiment: str | None, results: str, *, as_json: bool, check: bool) -> int:
    """Each claim of each size of an experiment, or of every one (None), those of one's own among them.

    Judged on the pages below `results`, and where there is none on those that are published with prune-lab. `as_json`:
    one object each. `check`: ClaimFailed where what is below `results` has not the expected verdict, MissingInput where
    there is nothing of it.
    """
    experiment = None if experiment is None else experiment.removeprefix("experiment=")
    names = compose.choices("experiment") if experiment is None else [experiment]
    show, root = Show(as_json=as_json), Path(results)
    rows: list[dict[str, Any]] = []
    pages: set[str] = set()
    for name in names:
        for size in _sizes(name):
            pages.add(size.folder)
            rows += _judged(name, size, root)
    rows += _others(root, pages, None if experiment is None else {f"{page}_" for page in pages})
    here = [row for row in rows if row["measured"] == "here"]
    if as_json:
        for row in rows:
            show.data(row)
    else:
        head = f"{len(rows)} claim{'' if len(rows) == 1 else 's'}" if rows else f"{experiment} makes no claims"
        show.table(head, ("verdict", "claim, source, what was measured"), list(map(_cells, rows)))
        if missing := next((row for row in rows if row["measured"] != "here" and row["size"]), None):
            counts = Counter(row["measured"] or "not measured yet" for row in rows)
            told = ", ".join(f"{number} {where}" for where, number in counts.items())
            show.say(f"{told}; to measure here: prune-lab reproduce {_words(missing)}")
    if check and not rows:
        raise ConfigError(f"{experiment} makes no claims: a check of it would always pass", "leave --check out")
    if check and not here:
        what, named = ("no claim", "smoke") if experiment is None else (f"no claim of {experiment}", experiment)
        raise MissingInput(f"{what} is measured in {results}", f"prune-lab reproduce experiment={named}")
    other = [row for row in here if row["verdict"] != row["expected"]]
    surprises = [f"{row['verdict']}: {row['claim']}: {row['sentence']}" for row in other]
    if check and surprises:
        raise ClaimFailed("not the expected verdict:\n  " + "\n  ".join(surprises))
    return 0


def _sizes(name: str) -> Iterator[Any]:
    experiment = compose.described([f"experiment={name}"])
    for size in ("cpu", *experiment.sizes):
        yield experiment.model_copy(update={"size": size})


def _judged(name: str, sized: Any, results: Path) -> Iterator[dict[str, Any]]:
    """A row for each claim of a size; the user's own page comes before the published ones."""
    from prune_lab.experiments import read
    from prune_lab.experiments.laws.claims import check
    from prune_lab.experiments.laws.runs import runs_of

    folders = {results / place / sized.folder: "here" for place in REPORTS}
    folders[read.published() / sized.folder] = "published"
    folder = next((one for one in folders if (one / "table.csv").is_file()), None)
    claimed = sized.chosen.expect
    runs = runs_of(folder / "table.csv") if folder is not None and claimed else None
    page = None if folder is None or not (folder / "index.html").is_file() else str(folder / "index.html")
    for claim in claimed:
        outcome = None if runs is None else check(claim, runs)
        told = {key: getattr(outcome, key) for key in NOTHING} if outcome else NOTHING
        said = claim.model_dump(include={"claim", "source", "differs", "expected"})
        measured = {"measured": folders[folder] if folder is not None else None, "page": page}
        yield {"experiment": name, "size": sized.size} | said | told | measured


def _others(results: Path, known: Collection[str], begun: Collection[str] | None) -> Iterator[dict[str, Any]]:
    """Claims on pages of other experiments, as they were judged there: of one's own, and of those with other words.

    `begun`: only of pages whose name so begins, and is then a hash of the words.
    """
    from prune_lab.experiments import read

    for said in read.claims(results / "report").to_dict("records"):
        page = str(said["page"])
        if page in known or not (begun is None or any(re.fullmatch(rf"{one}[0-9a-f]{{6}}", page) for one in begun)):
            continue
        told = {name: None if said[name] != said[name] else said[name] for name in TOLD}  # NaN: none
        index = str(results / "report" / page / "index.html")
        yield {"experiment": page, "size": None} | told | {"measured": "here", "page": index}


def _cells(row: dict[str, Any]) -> tuple[str, str]:
    differs = f"; here: {row['differs']}" if row["differs"] else ""
    published = " (published)" if row["measured"] == "published" else ""
    measured = f"{_words(row)}{published}: {row['sentence'] or 'no runs'}"
    return row["verdict"], f"{row['claim']}\n  {row['source']}{differs}\n  {measured}"


def _words(row: dict[str, Any]) -> str:
    """The experiment and its size as the command line takes them; of another page its name."""
    if row["size"] is None:
        return f"page {row['experiment']}"
    return f"experiment={row['experiment']}" + ("" if row["size"] == "cpu" else f" experiment.size={row['size']}")
