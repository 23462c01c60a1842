"""The store as tidy tables, in files and on the page: a row for every evaluated run, and for every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from ...errors import LabError, MissingInput
from ...figures.style import UNPRUNED
from ...laws.intervals import interval_of, worded
from ...laws.runs import newest
from ...store.folders import Folder, Store, key_of
from ..parts import Section, cells, details
from ..table import cell, completed, differing, dotted, fact, name_of_task, seedless, without

POINT = (
    "task", "fingerprint", "model", "width", "setup", "policy", "label_noise", "pool", "rule", "scorer", "selection",
    "balance", "keep", "budget", "split",
)  # fmt: skip  # what a reader tells points apart by
PRUNED = ("task", "fingerprint", "keep", "rule", "balance", "seed", "drop_hardest")  # of a prune run's recipe
TRAINED = (
    "examples", "pool", "steps", "epochs", "examples_seen", "dev_accuracy_last", "dev_accuracy_best", "dev_loss_last",
    "parameters",
)  # fmt: skip

METRICS = (
    "accuracy", "error", "loss", "bits_per_byte", "perplexity", "accuracy_best", "error_best", "loss_best",
    "bits_per_byte_best", "worst_class_accuracy", "worst_class_accuracy_best", "shifted_loss", "shifted_bits_per_byte",
    "shifted_loss_best", "shifted_bits_per_byte_best",
)  # fmt: skip  # what evaluate measures on the test split; the last epoch's model, or the best dev epoch's (_best)


def table(store: Store, evaluate_keys: Sequence[str] | None = None) -> pd.DataFrame:
    """One row for each evaluate folder (all of them where the keys are None), following its inputs to the score.

    `point` is what a run is but for the seed: all recipes on the way, as one hash.
    """
    families = []
    for folder in store.folders("evaluate") if evaluate_keys is None else ():
        with suppress(LabError):  # without those of which an ancestor was removed or damaged
            families.append(ancestors(store, folder))
    families += [ancestors(store, store.get("evaluate", key)) for key in dict.fromkeys(evaluate_keys or ())]
    if not families:
        raise MissingInput(f"nothing was evaluated in {store.root}", "prune-lab reproduce experiment=demo")
    rows = pd.DataFrame([_row(family) for family in families])
    order = [*POINT, "seed", "evaluate"]
    return rows.sort_values(order, kind="stable", na_position="first", ignore_index=True)


def ancestors(store: Store, evaluate: Folder) -> dict[str, Folder]:
    """The folders that an evaluated run came from, by phase; prune, score and search where there are any.

    Where a model went on with a second set, `train` is of the first, which is the pruned one, and `finetune` of that.
    """
    found = {"evaluate": evaluate}
    for phase, needs in (("train", "evaluate"), ("search", "train"), ("prune", "train"), ("score", "prune")):
        inputs = found[needs].record["inputs"] if needs in found else {}
        if phase in inputs:
            found[phase] = store.get(phase, str(inputs[phase]))
        if phase == "train" and "start" in found["train"].record["inputs"]:
            found["finetune"] = found["train"]
            found["train"] = store.get("train", str(found["finetune"].record["inputs"]["start"]))
    return found


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with tasks as readers are shown them: a short fingerprint follows where data sets share a name."""
    sets = rows.groupby("task")["fingerprint"].transform("nunique")
    return rows.assign(task=rows["task"].where(sets <= 1, rows["task"] + " " + rows["fingerprint"].str[:6]))


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard error and 95 % t interval over seeds of every metric, for each point.

    Columns: `point`, those of POINT, `n` (distinct seeds), `few` (n < 3), `examples`, `steps`, and for every metric its
    mean, `<metric>_se`, `<metric>_low`, `<metric>_high` (empty where n is 1).
    """
    rows: list[dict[str, Any]] = []
    for point, group in newest(runs).groupby("point", sort=False):
        row: dict[str, Any] = {"point": point} | {name: group[name].iloc[0] for name in POINT}
        row |= {"n": len(group), "few": len(group) < 3}
        row |= {name: float(group[name].mean()) for name in ("examples", "steps", "epochs", "examples_seen")}
        for metric in metrics_of(runs):
            one = interval_of(group[metric], metric)
            row |= {metric: one.value, f"{metric}_se": one.error, f"{metric}_low": one.low, f"{metric}_high": one.high}
        rows.append(row)
    return pd.DataFrame(rows)


def metrics_of(runs: pd.DataFrame) -> list[str]:
    """The columns that evaluate measured."""
    return [name for name in METRICS if name in runs.columns]


def error_metric(runs: pd.DataFrame) -> str:
    """What the figures call error: bits per byte for text, the last epoch's test error otherwise."""
    text = "bits_per_byte" in runs.columns and bool(runs["bits_per_byte"].notna().any())
    return "bits_per_byte" if text else "error"


def _row(family: Mapping[str, Folder]) -> dict[str, Any]:
    evaluate, train = family["evaluate"], family["train"].record
    recipe = completed(train["recipe"])
    pruning, scoring = (
        completed(family[phase].record["recipe"]) if phase in family else {} for phase in ("prune", "score")
    )
    if scoring and "seed" not in scoring and family["score"].record["inputs"]:
        scoring["shared"] = True  # of an older version, whose proxies were the same for all seeds
    task, model, policy = recipe["task"], recipe["model"], recipe.get("policy", {})
    scorer = dict(scoring.get("scorer", {}))
    called = family["score"].record["metrics"].get("called") if "score" in family else None
    if "keep" in scorer and scorer["keep"] == pruning.get("keep"):
        del scorer["keep"]  # a mask learned for what is kept is one method at every fraction
    row: dict[str, Any] = {
        "task": name_of_task(task),
        "fingerprint": str(recipe.get("fingerprint") or ""),  # of the data: two folders are two data sets
        "model": model["name"],
        "width": model.get("width", np.nan),
        "policy": "uniform",
        "label_noise": task.get("label_noise", 0.0),
        "rule": pruning.get("rule", "none"),
        "scorer": scorer.get("name", "none"),
        "keep": pruning.get("keep", 1.0),
        "balance": pruning.get("balance", 0.0),
        "budget": recipe.get("budget", "both"),  # unpruned, equal epochs and equal steps are one run
        "seed": recipe["seed"],
        "split": evaluate.record["recipe"].get("split", "test"),
    }
    chooses = bool(fact("policy", policy.get("name"), "chooses"))
    if chooses:  # the part of the pool that an epoch visits; nothing is pruned
        row |= {"rule": policy["name"], "keep": policy.get("share", 1.0)}
    elif policy:
        row["policy"] = policy["name"]
    row |= {name: train["metrics"].get(name, np.nan) for name in TRAINED}
    second: Mapping[str, Any] = {}
    if "finetune" in family:  # how much was seen is of the first set, how good it is of the second
        tuned = family["finetune"].record
        second = {name: completed(tuned["recipe"])[name] for name in ("task", "recipe", "fingerprint")}
        row |= {name: tuned["metrics"].get(name, np.nan) for name in TRAINED if name.startswith("dev_")}
        row["task"] += f", then {second['task']['name']}"
    measured = evaluate.record["metrics"].items()
    row |= {name: value for name, value in measured if name not in row and type(value) in (int, float)}
    if by_class := evaluate.record["metrics"].get("per_class"):  # older runs do not say it: as of classes of equal size
        row.setdefault("chance", 1 / len(by_class))
    timed = [family[phase].record.get("seconds") for phase in ("train", "finetune", "evaluate") if phase in family]
    row["seconds"] = sum(float(seconds or 0) for seconds in timed)
    row |= {phase: family[phase].key if phase in family else "" for phase in ("evaluate", "train", "prune", "score")}
    setup = {"task": without(task, "examples", "label_noise"), "fingerprint": row["fingerprint"]}
    setup |= {"model": model, "recipe": recipe["recipe"]}
    if policy and not chooses:  # rules are compared under one way to weigh what they keep
        setup["policy"] = policy
    search = completed(family["search"].record["recipe"])["search"] if "search" in family else {}
    if search:
        setup["search"] = search
    if second:
        setup["finetune"] = second
    shifted = evaluate.record["recipe"].get("shifted", {})
    if shifted:  # another second text is another setup: its numbers are of other things
        setup["shifted"] = [shifted, evaluate.record["recipe"]["shifted_fingerprint"]]
    shared = bool(scoring.get("shared"))  # a score that all seeds share is another way to choose than one for each seed
    selection: dict[str, Any] = {"scoring": without(seedless(scoring), "task", "fingerprint") | {"scorer": scorer}}
    selection |= {"drop": pruning.get("drop_hardest") or 0.0}
    own = differing("rule", row["rule"], without(pruning, *PRUNED)) if pruning else {}
    if chooses:
        own = differing("policy", policy["name"], without(policy, "name", "share"))
    if own:  # a rule with another setting is another way to choose
        selection["own"] = own
    if scoring and scoring["task"].get("examples") != task.get("examples"):
        selection["scored"] = "everything"
    recipes = {phase: seedless(folder.record["recipe"]) for phase, folder in family.items()}
    recipes |= {"score": seedless(scoring)} if scoring else {}
    row |= {
        "point": key_of(recipes)[:12],
        "score_seed": scoring.get("seed", np.nan),
        "score_shared": shared,
        "score_proxies": len(family["score"].record["inputs"]) if "score" in family else 0,
        "setup": key_of(setup)[:6],
        "selection": key_of(selection)[:6] if scoring or own else "none",
        "created": str(evaluate.record.get("created", "")),
        "commit": str(evaluate.record.get("code", {}).get("commit", "")),
    }
    settings = {"task": task, "model": model, "recipe": recipe["recipe"]}
    settings["scorer"] = scorer | ({"shared_seed": scoring.get("seed", "none")} if shared else {})
    settings["scorer"] |= {"file": called} if called and called != scorer.get("name") else {}
    settings |= {"policy": policy, "search": search, "shifted": shifted, "finetune": second}
    settings["prune"] = without(pruning, "task", "fingerprint") | {
        "scored": selection.get("scored", "pool" if scoring else None)
    }
    return row | dict(dotted(settings))


# ---- as tables to sort -----------------------------------------------------------------------------------------------

SHOWN = (
    "task", "model", "width", "policy", "rule", "scorer", "keep", "balance", "label_noise", "pool", "examples",
    "budget",
)  # fmt: skip  # of a point and of a run
MEASURED = {
    "accuracy": "accuracy, last epoch",
    "accuracy_best": "accuracy, best dev epoch",
    "bits_per_byte": "bits per byte, last epoch",
    "shifted_bits_per_byte": "bits per byte of the second text, last epoch",
}


def listing(points: pd.DataFrame, runs: pd.DataFrame) -> Section:
    means = cells([_point(row) for _, row in named(points).iterrows()])
    each = cells([_run(row) for _, row in named(runs).iterrows()])
    summary = f"{len(points)} points: means and 95 % t intervals over seeds"
    return Section("Points and runs", [details(summary, means), details(f"{len(runs)} runs", each)])


def setting(row: pd.Series[Any], columns: Sequence[str]) -> dict[str, str]:
    """Some settings of a row as words."""
    shown = {name.replace("_", " "): cell(row[name]) for name in columns}
    return shown | {"rule": "unpruned" if row["rule"] == UNPRUNED else row["rule"]}


def _run(row: pd.Series[Any]) -> dict[str, str]:
    shown = setting(row, (*SHOWN, "seed", "steps", "epochs", "examples_seen"))
    shown |= {words: cell(row[name], "{:.4f}") for name, words in MEASURED.items() if name in row}
    return shown | {"seconds": cell(round(row["seconds"], 1)), "evaluate": str(row["evaluate"])}


def _point(row: pd.Series[Any]) -> dict[str, str]:
    shown = setting(row, (*SHOWN, "steps", "examples_seen")) | {"n": f"{row['n']}{' (few)' if row['few'] else ''}"}
    for name, words in MEASURED.items():
        if name in row:
            mean, low, high = (row[one] for one in (name, f"{name}_low", f"{name}_high"))
            shown[words] = "" if pd.isna(mean) else worded(mean, low, high, ".4f")
    return shown
