"""The store as one tidy table: a row for every evaluated run, and a row for every point of the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...errors import LabError, MissingInput
from ...laws.intervals import mean_interval
from ...store.folders import Folder, Store, key_of
from ..recorded import chooses, completed, differing
from ..table import dotted, name_of_task

POINT = (
    "task", "fingerprint", "model", "width", "setup", "policy", "label_noise", "pool", "rule", "scorer", "selection",
    "balance", "keep", "budget", "split",
)  # fmt: skip  # what a point is: runs that differ in nothing but the seed
PRUNED = ("task", "fingerprint", "keep", "rule", "balance", "seed", "drop_hardest")  # of a prune run's recipe
TRAINED = (
    "examples", "pool", "steps", "epochs", "examples_seen", "dev_accuracy_last", "dev_accuracy_best", "dev_loss_last",
)  # fmt: skip

METRICS = (
    "accuracy", "error", "loss", "bits_per_byte", "perplexity", "accuracy_best", "error_best", "loss_best",
    "bits_per_byte_best", "worst_class_accuracy", "worst_class_accuracy_best", "shifted_loss", "shifted_bits_per_byte",
    "shifted_loss_best", "shifted_bits_per_byte_best",
)  # fmt: skip  # what evaluate measures on the test split; the last epoch's model, or the best dev epoch's (_best)


def table(store: Store, evaluate_keys: Sequence[str] | None = None) -> pd.DataFrame:
    """One row for each evaluate folder (all of them where the keys are None), following its inputs to the score."""
    if evaluate_keys is None:
        families = [family for folder in store.folders("evaluate") if (family := _whole(store, folder)) is not None]
    else:
        families = [ancestors(store, store.get("evaluate", key)) for key in dict.fromkeys(evaluate_keys)]
    if not families:
        raise MissingInput(f"nothing was evaluated in {store.root}", "prune-lab reproduce experiment=demo")
    rows = pd.DataFrame([_row(family) for family in families])
    order = [*POINT, "seed", "evaluate"]
    return rows.sort_values(order, kind="stable", na_position="first", ignore_index=True)


def ancestors(store: Store, evaluate: Folder) -> dict[str, Folder]:
    """The folders that an evaluated run came from, by phase; prune and score where there are any.

    Where a model went on with a second set, `train` is of the first, which is the pruned one, and `finetune` of that.
    """
    found = {"evaluate": evaluate}
    for phase, needs in (("train", "evaluate"), ("prune", "train"), ("score", "prune")):
        inputs = found[needs].record["inputs"] if needs in found else {}
        if phase in inputs:
            found[phase] = store.get(phase, str(inputs[phase]))
        if phase == "train" and "start" in found["train"].record["inputs"]:
            found["finetune"] = found["train"]
            found["train"] = store.get("train", str(found["finetune"].record["inputs"]["start"]))
    return found


def _whole(store: Store, evaluate: Folder) -> dict[str, Folder] | None:
    """The ancestors, or None where one of them was removed or damaged."""
    try:
        return ancestors(store, evaluate)
    except LabError:
        return None


def newest(runs: pd.DataFrame) -> pd.DataFrame:
    """One run for each point and seed, the latest: a second one (of older code) is no second seed."""
    ordered = runs.sort_values("created", kind="stable")
    return ordered.drop_duplicates([*POINT, "seed"], keep="last").sort_index()


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with tasks as readers are shown them: a short fingerprint follows where data sets share a name."""
    sets = rows.groupby("task")["fingerprint"].transform("nunique")
    return rows.assign(task=rows["task"].where(sets <= 1, rows["task"] + " " + rows["fingerprint"].str[:6]))


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard error and 95 % t interval over seeds of every metric, for each point.

    Columns: those of POINT, `n` (distinct seeds), `few` (n < 3), `examples`, `steps`, and for every metric its mean,
    `<metric>_se`, `<metric>_low`, `<metric>_high` (empty where n is 1).
    """
    rows: list[dict[str, Any]] = []
    for key, group in newest(runs).groupby(list(POINT), dropna=False, sort=True):
        row: dict[str, Any] = dict(zip(POINT, key, strict=True))
        row |= {"n": len(group), "few": len(group) < 3}
        row |= {name: float(group[name].mean()) for name in ("examples", "steps", "epochs", "examples_seen")}
        for metric in metrics_of(runs):
            mean, error, low, high = mean_interval(group[metric].dropna().to_numpy(dtype=float))
            row |= {metric: mean, f"{metric}_se": error, f"{metric}_low": low, f"{metric}_high": high}
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
    evaluate = family["evaluate"]
    train, prune, score = family["train"].record, family.get("prune"), family.get("score")
    recipe = completed(train["recipe"])
    pruning = {} if prune is None else completed(prune.record["recipe"])
    scoring = {} if score is None else completed(score.record["recipe"])
    task, model = recipe["task"], recipe["model"]
    scorer = dict(scoring.get("scorer", {}))
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
        "scorer": scoring["scorer"]["name"] if scoring else "none",
        "keep": pruning.get("keep", 1.0),
        "balance": pruning.get("balance", 0.0),
        "budget": recipe.get("budget", "both"),  # unpruned, equal epochs and equal steps are one run
        "seed": recipe["seed"],
        "split": evaluate.record["recipe"].get("split", "test"),
    }
    policy = recipe.get("policy", {})
    weighs = bool(policy) and not chooses(policy)
    if weighs:
        row["policy"] = policy["name"]
    elif policy:  # the part of the pool that an epoch visits; nothing is pruned
        row["rule"], row["keep"] = policy["name"], policy.get("share", 1.0)
    row |= {name: train["metrics"].get(name, np.nan) for name in TRAINED}
    second: Mapping[str, Any] = {}
    if "finetune" in family:  # how much was seen is of the first set, how good it is of the second
        tuned = family["finetune"].record
        second = {name: completed(tuned["recipe"])[name] for name in ("task", "recipe", "fingerprint")}
        row |= {name: tuned["metrics"].get(name, np.nan) for name in TRAINED if name.startswith("dev_")}
        row["task"] += f", then {second['task']['name']}"
    measured = {name: value for name, value in evaluate.record["metrics"].items() if _number(value)}
    row |= {name: value for name, value in measured.items() if name not in row}
    timed = [family[phase].record.get("seconds") for phase in ("train", "finetune", "evaluate") if phase in family]
    row["seconds"] = sum(float(seconds or 0) for seconds in timed)
    row |= {phase: family[phase].key if phase in family else "" for phase in ("evaluate", "train", "prune", "score")}
    setup = {"task": _without(task, "examples", "label_noise"), "fingerprint": row["fingerprint"]}
    setup |= {"model": model, "recipe": recipe["recipe"]}
    if weighs:  # rules are compared under one way to weigh what they keep
        setup["policy"] = policy
    if second:
        setup["finetune"] = second
    selection: dict[str, Any] = {"scoring": _without(scoring, "task", "fingerprint") | {"scorer": scorer}}
    selection |= {"drop": pruning.get("drop_hardest") or 0.0}
    own = differing("rule", row["rule"], _without(pruning, *PRUNED)) if pruning else {}
    if policy and not weighs:
        own = differing("policy", policy["name"], _without(policy, "name", "share"))
    if own:  # a rule with another setting is another way to choose
        selection["own"] = own
    shifted = evaluate.record["recipe"].get("shifted", {})
    if shifted:  # another second text is another setup: its numbers are of other things
        setup["shifted"] = [shifted, evaluate.record["recipe"]["shifted_fingerprint"]]
    if scoring and scoring["task"].get("examples") != task.get("examples"):
        selection["scored"] = "everything"
    row |= {
        "setup": _short(setup),
        "selection": _short(selection) if scoring or own else "none",
        "created": str(evaluate.record.get("created", "")),
        "commit": str(evaluate.record.get("code", {}).get("commit", "")),
    }
    settings = {"task": task, "model": model, "recipe": recipe["recipe"], "scorer": scorer}
    settings |= {"policy": policy, "shifted": shifted, "finetune": second}
    settings["prune"] = _without(pruning, "task", "fingerprint") | {"scored": selection.get("scored")}
    return row | dict(dotted(settings))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _short(content: Mapping[str, Any]) -> str:
    return key_of(content)[:6]
