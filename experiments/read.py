"""What is in a folder of results, as pandas data frames; no torch is imported.

    from prune_lab.experiments import read

    runs = read.runs("results")                                    # a row for every evaluated run
    read.compare(runs, {"rule": "hard"}, {"rule": "random"})       # the page's paired differences, setting by setting
    read.scores("results", {"scorer": "el2n", "seed": 0})          # a row for every example

`results` is the folder that `results=` names. `where` gives settings by column: {"rule": "hard", "keep": [0.3, 0.5]}
selects the rows whose rule is hard and whose keep is one of the two. MissingInput where there are none, ConfigError
where there is no such column.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import ConfigError, MissingInput, RunFailed
from .laws.claims import rows_with
from .laws.compare import compare
from .laws.runs import newest, runs_of
from .report.pruning.runs import table
from .report.table import completed, dotted, name_of_task, without
from .store import files
from .store.folders import Folder, Store

__all__ = ["claims", "compare", "contributions", "folders", "kept", "published", "runs", "scores"]

Where = Mapping[str, Any]
SETTINGS = ("task", "model", "scorer", "rule", "keep", "balance", "budget", "policy", "seed")  # of every folder
OF_A_RULE = ("task", "fingerprint", "keep", "rule", "balance", "seed")  # of a prune's recipe, what is no rule's setting
CLAIMED = ("claim", "source", "verdict", "expected", "effect", "low", "high", "n", "wanted", "sentence", "differs")


def runs(results: Path | str = "results", where: Where | None = None) -> pd.DataFrame:
    """A row for every evaluated run, as in a page's table.csv; of two of one setting and seed, the newer one.

    `results` may also be the folder of a page, as `published() / "demo"`. Columns: `task model rule scorer keep balance
    budget policy label_noise pool seed` and other settings under their section (`recipe.epochs`, `prune.drop_hardest`);
    `examples steps epochs examples_seen seconds`; what `evaluate` measured on the test split (`accuracy error loss` or
    `bits_per_byte`, last epoch; `<metric>_best`: best dev epoch); `point` (one for all seeds of a setting), `setup`
    (one for equal data, model and recipe) and `selection` (one way to choose) as short hashes; `evaluate train prune
    score`: the keys of the folders; `created commit`.
    """
    page = Path(results) / "table.csv"
    found = runs_of(page) if page.is_file() else newest(table(Store(results)))
    return chosen(found, where, f"no evaluated run in {results}", "prune-lab reproduce experiment=demo")


def folders(results: Path | str = "results", where: Where | None = None, *, phase: str | None = None) -> pd.DataFrame:
    """A row for every folder of the store, or of one phase: score, prune, train, evaluate, search, simulate.

    Columns: `phase key name`, `task model scorer rule keep balance budget policy seed` (missing where a phase has none;
    of what is not pruned: rule none, keep 1), other settings under their section (`task.examples`, `rule.drop_hardest`,
    `proxy.number`), the numbers that the phase measured, `seconds created path`. Of a proxy `scorer` names the scorers
    that read it.
    """
    found = listed(Store(results).folders(), phase=phase)
    return found if where is None else chosen(found, where, f"no {phase or 'run'} in {results}", "prune-lab runs")


def listed(every: Iterable[Folder], *, phase: str | None = None) -> pd.DataFrame:
    """The rows of `folders`, of folders that were read already: all of a store, which refer to each other."""
    known = {folder.key: folder for folder in every}
    readers: dict[str, set[str]] = {}
    for folder in known.values():
        if folder.phase == "score":
            for key in folder.record["inputs"].values():
                readers.setdefault(str(key), set()).add(str(folder.record["recipe"]["scorer"]["name"]))
    rows = [_row(one, known, readers.get(one.key, ())) for one in known.values() if phase in (None, one.phase)]
    head = ["phase", "key", "name", *SETTINGS]
    tail = ["seconds", "created", "path"]
    found = pd.DataFrame(rows, columns=[*head, *tail] if not rows else None)
    sections = [name for name in found if "." in str(name)]
    rest = [name for name in found if name not in {*head, *sections, *tail}]
    return found[[*head, *sections, *rest, *tail]].astype({"seed": "Int64"})


def scores(results: Path | str = "results", where: Where | None = None) -> pd.DataFrame:
    """A row for every example of every score: `key task scorer seed`, `index id score`, `label` (of classes), `spread`.

    Higher is harder; `spread` is the standard deviation over proxies. `index` is the place in the training pool.
    """
    known = ("key", "task", "scorer", "seed")
    return pd.concat([_of(one, "scores.parquet", known) for one in _some(results, "score", where)], ignore_index=True)


def kept(results: Path | str = "results", where: Where | None = None) -> pd.DataFrame:
    """A row for every example that a prune kept: `key task scorer rule keep seed`, `index id`, and its `score`."""
    blocks = []
    for one in _some(results, "prune", where):
        rows = _of(one, "kept.parquet", ("key", "task", "scorer", "rule", "keep", "seed"))
        rows["score"] = float("nan")
        score = Store(results).get("prune", one["key"]).record["inputs"].get("score")
        if score is not None:
            scored = Store(results).get("score", score)
            scored.check("scores.parquet")
            of = files.rows(scored.path / "scores.parquet", rows["id"].to_numpy(str), ["score"])
            rows["score"] = of["score"].to_numpy()
        blocks.append(rows)
    return pd.concat(blocks, ignore_index=True)


def contributions(results: Path | str = "results", where: Where | None = None) -> pd.DataFrame:
    """A row for every example at the start and at each level of loss of every search.

    Columns: `key task model rule keep seed`, `policy` (constant: uniform weights; found: the searched one), `level` of
    loss as a share of the loss at the start, `step id weight ct phi difficulty`: what the example takes off the target
    loss at once (ct) and until the end of training (phi), and its mean loss under uniform weights.
    """
    known = ("key", "task", "model", "rule", "keep", "seed")
    return pd.concat(
        [_of(one, "contributions.parquet", known) for one in _some(results, "search", where)], ignore_index=True
    )


def claims(results: Path | str = "results") -> pd.DataFrame:
    """A row for every claim on the pages below `results`, as it was judged when the page was drawn.

    Columns: `page` (the name of its folder), `claim source verdict expected effect low high n wanted sentence differs`.
    Of the published pages: claims(published()).
    """
    rows = []
    for path in sorted({*Path(results).glob("report/*/claims.json"), *Path(results).glob("*/claims.json")}):
        try:
            said = json.loads(path.read_text())["expectations"]
            rows += [{"page": path.parent.name} | {name: one.get(name) for name in CLAIMED} for one in said]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunFailed(f"{path} is not as it was written ({error})", "the command on its page again") from None
    return pd.DataFrame(rows, columns=["page", *CLAIMED])


def published() -> Path:
    """The folder of the published pages and tables: of this checkout, or of the installed package."""
    home = Path(__file__).parents[1]
    return next(
        (one for one in (home / "results" / "reference", home / "reference") if one.is_dir()), home / "reference"
    )


def chosen(found: pd.DataFrame, where: Where | None, nothing: str, mend: str) -> pd.DataFrame:
    """The rows that match; ConfigError for a column that is not there, MissingInput where `nothing` is left."""
    for name, wanted in (where or {}).items():
        column = name if name in found else name.replace("rule.", "prune.", 1)
        if column not in found:
            near = difflib.get_close_matches(name, [str(one) for one in found.columns], 1)
            raise ConfigError(
                f"no run there has a setting {name}", near[0] if near else "prune-lab runs --csv: its head"
            )
        several = wanted if isinstance(wanted, list | tuple | set) else [wanted]
        masks = [rows_with(found, {column: value}) for value in several]
        found = found[pd.concat(masks, axis=1).any(axis=1)] if masks else found.iloc[:0]
    if found.empty:
        asked = ", ".join(f"{name}={value}" for name, value in (where or {}).items())
        raise MissingInput(f"{nothing}{' with ' if asked else ''}{asked}", mend)
    return found.reset_index(drop=True)


def _some(results: Path | str, phase: str, where: Where | None) -> Sequence[Mapping[str, Any]]:
    found = chosen(folders(results, phase=phase), where, f"no {phase} in {results}", f"prune-lab {phase}")
    return [{str(name): value for name, value in row.items()} for row in found.to_dict("records")]


def _of(row: Mapping[str, Any], file: str, known: Sequence[str]) -> pd.DataFrame:
    """A file of a folder, compared with its hash, behind some columns of the folder's row."""
    path = Path(row["path"])
    folder = Store(path.parents[1]).get(path.parent.name, path.name)
    rows = folder.table(file)
    own = {name: row[name] for name in known if name not in rows}
    return pd.DataFrame({name: [value] * len(rows) for name, value in own.items()} | dict(rows.items()))


def _row(folder: Folder, known: Mapping[str, Folder], readers: Sequence[str] | set[str]) -> dict[str, Any]:
    family = _family(folder, known)
    recipes = {phase: completed(one.record["recipe"]) for phase, one in family.items()}
    own, pruning, scoring = (recipes.get(phase, {}) for phase in (folder.phase, "prune", "score"))
    base = own if "task" in own or "study" in own else recipes.get("train", {})
    proxy, scorer, policy = base.get("proxy", {}), dict(scoring.get("scorer", {})), base.get("policy", {})
    trains = folder.phase in ("train", "evaluate", "search") and not proxy
    row: dict[str, Any] = {"phase": folder.phase, "key": folder.key, "name": folder.record.get("name", "")}
    row |= {
        "task": name_of_task(base["task"]) if "task" in base else None,
        "model": base.get("model", {}).get("name"),
        "scorer": scorer.get("name", ",".join(sorted(readers)) or ("none" if trains or pruning else None)),
        "rule": pruning.get("rule", "none" if trains else None),
        "keep": pruning.get("keep", 1.0 if trains else None),
        "balance": pruning.get("balance", 0.0 if trains else None),
        "budget": base.get("budget", "both" if trains else None),
        "policy": policy.get("name", "uniform" if trains else None),
        "seed": own.get("seed", base.get("seed")),
    }
    sections = {name: base.get(name) or {} for name in ("task", "model", "recipe", "search", "study", "finetune")}
    sections |= {"scorer": scorer, "policy": policy, "proxy": proxy, "shifted": own.get("shifted") or {}}
    sections["rule"] = without(pruning, *OF_A_RULE)
    row |= {name: value for name, value in dotted(sections) if name.partition(".")[2] != "name"}
    measured = folder.record["metrics"].items()
    row |= {name: value for name, value in measured if name not in row and isinstance(value, str | int | float)}
    return row | {name: folder.record.get(name) for name in ("seconds", "created")} | {"path": str(folder.path)}


def _family(folder: Folder, known: Mapping[str, Folder]) -> dict[str, Folder]:
    """The folder and those that it was made from, the nearest of each phase; without those that are gone."""
    found, queue = {folder.phase: folder}, [folder]
    for one in queue:
        if one.phase != "score":  # whose inputs are proxies
            made_from = [known[str(key)] for key in one.record["inputs"].values() if str(key) in known]
            queue += made_from
            for other in made_from:
                found.setdefault(other.phase, other)
    return found
