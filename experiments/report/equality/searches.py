"""Finished searches as one tidy table, and what the report of equality reads out of their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...contracts import Floats
from ...contribution.dispersion import ACTIVE
from ...contribution.findings import LAST
from ...figures.style import in_order, name_of
from ...laws.intervals import interval_of
from ...store.folders import Folder, Store, key_of
from ..table import completed, dotted, name_of_task, number, seedless, without

Settings = dict[tuple[str, str], list[Folder]]  # (setup, what is kept) -> a folder a seed
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SHARES = np.linspace(0, 1, 101)  # of the examples, where a Lorenz curve is read


@dataclass(frozen=True, slots=True)
class Found:
    """Searches: their table, and their folders by setting."""

    runs: pd.DataFrame
    settings: Settings

    @property
    def named(self) -> dict[str, list[Folder]]:
        """The settings by what a reader tells them apart by."""
        subsets_differ = len({kept for _, kept in self.settings}) > 1
        return {", ".join(key if subsets_differ else key[:1]): group for key, group in self.settings.items()}

    def first(self, number: int) -> dict[str, list[Folder]]:
        """Some of the settings, first those in which nothing is pruned."""
        ordered = sorted(self.named.items(), key=lambda item: "prune" in item[1][0].record["inputs"])
        return dict(ordered[:number])

    @property
    def pruned(self) -> list[tuple[str, pd.DataFrame]]:
        """The runs of each setup of which several subsets were searched on."""
        groups = self.runs.groupby("setup", sort=False)
        return [(str(setup), group) for setup, group in groups if group["kept"].nunique() > 1]


def table(store: Store, folders: Sequence[Folder]) -> pd.DataFrame:
    """A row for each search: its settings (dotted where nested) and all that it measured.

    `setup` says in words what differs between the runs apart from what is kept, `kept` what is kept; together and with
    `seed` they name a run.
    """
    redrawn = _redrawn(folders)
    runs = pd.DataFrame([_row(store, folder, redrawn) for folder in folders])
    runs.insert(0, "setup", _setups(runs, redrawn))
    runs.insert(1, "kept", _subsets(runs))
    order = runs["rule"].map(in_order(runs["rule"]).index)  # unpruned, random, ...
    runs = runs.assign(order=order).sort_values(["setup", "order", "keep", "kept", "seed"], kind="stable")
    return runs.drop(columns=["order", "setup_key", "kept_key"]).reset_index(drop=True)


def points(runs: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Mean and 95 % t interval over seeds: a row for each setting and metric that any of its runs has."""
    settings = ["setup", "kept", "task", "model", "label_noise", "rule", "scorer", "keep", "pool", "examples"]
    rows = []
    for _, group in runs.groupby(["setup", "kept"], sort=False):
        setting = {name: group[name].iloc[0] for name in settings}
        for metric in metrics:
            one = interval_of(group[metric], metric)
            if np.isfinite(one.value):
                measured = {"n": int(group[metric].notna().sum()), "mean": one.value, "se": one.error}
                rows.append(setting | {"metric": metric} | measured | {"low": one.low, "high": one.high})
    return pd.DataFrame(rows)


def on_the_way(folder: Folder) -> pd.DataFrame:
    """The law's numbers by policy and outer epoch: medians over the looks of the first three quarters of the run."""
    law, by = folder.table("law.parquet"), ["policy", "epoch"]
    early = law[law["step"] <= LAST * law.groupby(by)["step"].transform("max")]
    return early.groupby(by, as_index=False).median(numeric_only=True)


def curves(folder: Folder) -> pd.DataFrame:
    """(policy, step, target, held_out): mean losses in nats."""
    return folder.table("curves.parquet")


def bands(folder: Folder, contribution: str) -> pd.DataFrame:
    """Quantiles of the active examples' contribution over its weighted mean, by policy and level of loss."""
    rows = []
    for (policy, level), values, weights in _looks(folder, contribution):
        mean = float(weights @ values / weights.sum())
        spread = np.quantile(values / mean, QUANTILES) if mean > 0 else np.full(len(QUANTILES), np.nan)
        rows.append({"policy": policy, "level": level} | dict(zip(QUANTILES, spread, strict=True)))
    return pd.DataFrame(rows)


def lorenz(folder: Folder) -> dict[tuple[str, float], Floats]:
    """(policy, level) -> the part of all positive phi that the least `SHARES` of the active examples have."""
    return {key: lorenz_of(values) for key, values, _ in _looks(folder, "phi")}


def lorenz_of(values: Floats) -> Floats:
    """The Lorenz curve of the positive part, read at `SHARES`; the diagonal where all are equal."""
    heap = np.concatenate([[0.0], np.cumsum(np.sort(values.clip(min=0)))])
    whole = heap[-1] or np.nan
    return np.asarray(np.interp(SHARES, np.linspace(0, 1, len(heap)), heap / whole))


def gini_of(curve: Floats) -> float:
    """1 minus twice the area under a Lorenz curve."""
    return float(1 - 2 * np.trapezoid(curve, SHARES))


def _looks(folder: Folder, contribution: str) -> Iterator[tuple[tuple[str, float], Floats, Floats]]:
    """(policy, level), contributions and weights of the active examples, at the start and at each level reached."""
    names = ["policy", "level", "weight", contribution]
    looks = folder.table("contributions.parquet", names)
    for (policy, level), look in looks.groupby(["policy", "level"], sort=False):
        active = look[look["weight"] > ACTIVE * look["weight"].max()]
        yield (str(policy), float(str(level))), active[contribution].to_numpy(), active["weight"].to_numpy()


# ---- settings --------------------------------------------------------------------------------------------------------


def _redrawn(folders: Sequence[Folder]) -> bool:
    """Whether every seed has data of its own: task.data_seed is then no setting, but part of the seed."""
    recipes = [one.record["recipe"] for one in folders if "data_seed" in one.record["recipe"]["task"]]
    seeds = {(recipe["seed"], recipe["task"]["data_seed"]) for recipe in recipes}
    return len({data for _, data in seeds}) == len({seed for seed, _ in seeds}) == len(seeds)


def _row(store: Store, folder: Folder, redrawn: bool) -> dict[str, Any]:
    record, recipe = folder.record, completed(folder.record["recipe"])
    prune = store.get("prune", record["inputs"]["prune"]).record if "prune" in record["inputs"] else None
    pruning = {} if prune is None else completed(prune["recipe"])
    scored = {} if prune is None else prune["inputs"]
    scoring = seedless(store.get("score", scored["score"]).record["recipe"]) if "score" in scored else {}
    scorer = scoring.get("scorer", {})
    task, metrics = recipe["task"], record["metrics"]
    same = without(task, "data_seed") if redrawn else task
    kept = [without(one, "task", "fingerprint") for one in (seedless(pruning), scoring)]
    keys = {"kept_key": key_of({"kept": kept, "scored": scoring.get("task", {}).get("examples")})[:6]}
    keys |= {"setup_key": key_of(without(recipe, "seed") | {"task": same})[:6]}
    row: dict[str, Any] = {
        **keys,
        "point": key_of(keys)[:12],
        "task": name_of_task(task),
        "fingerprint": str(recipe.get("fingerprint") or ""),
        "model": recipe["model"]["name"],
        "width": recipe["model"].get("width", np.nan),
        "label_noise": task.get("label_noise", 0.0),
        "rule": pruning.get("rule", "none"),
        "scorer": scorer.get("name", "none"),
        "keep": pruning.get("keep", 1.0),
        "seed": recipe["seed"],
        "pool": metrics["examples"] if prune is None else prune["metrics"]["pool"],
    }
    nested = {name: recipe[name] for name in ("task", "model", "recipe", "search")} | {"scorer": scorer}
    nested["prune"] = without(pruning, "task", "fingerprint")
    made = {"search": folder.key, "created": str(record.get("created", "")), "seconds": record.get("seconds")}
    made["commit"] = str(record.get("code", {}).get("commit", ""))
    return {**row, **metrics, **made, **dict(dotted(nested, number))}


def _setups(runs: pd.DataFrame, redrawn: bool) -> pd.Series[Any]:
    """The task, and what is enough to tell a setup from the others of its task, in words."""
    setups = runs.drop_duplicates("setup_key").set_index("setup_key")
    nested = [name for name in runs.columns if str(name).startswith(("task.", "model.", "recipe.", "search."))]
    nested = [name for name in nested if not (redrawn and name == "task.data_seed")]
    nested = sorted(nested, key=lambda name: name != "model.name")  # the model goes first where others tell as much
    words = {}
    for key, row in setups.iterrows():
        like = setups[setups["task"] == row["task"]]
        words[key] = ", ".join([row["task"], *(_setting(name, row[name]) for name in _telling(like[nested]))])
    said = list(words.values())
    unique = {key: f"{one} ({key})" if said.count(one) > 1 else one for key, one in words.items()}
    return runs["setup_key"].map(unique)


def _telling(setups: pd.DataFrame) -> list[str]:
    """Few of the columns in which the rows differ, and enough of them: each next one tells the most apart."""
    found: list[str] = []
    groups = pd.Series("", index=setups.index)
    while groups.nunique() < len(setups):
        finer = {str(name): groups + "|" + setups[name].astype(str) for name in setups}
        best = max(finer, key=lambda name: finer[name].nunique())
        if finer[best].nunique() == groups.nunique():
            break
        groups = finer[best]
        found.append(best)
    return sorted(found, key=list(setups).index)


def _setting(name: str, value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return f"{'' if value else 'not '}{name.rpartition('.')[2]}"
    last = name.rpartition(".")[2].replace("_", " ")
    return number(value) if last == "name" else f"{last} {number(value)}"


def _subsets(runs: pd.DataFrame) -> pd.Series[Any]:
    several = runs.loc[runs["scorer"] != "none", "scorer"].nunique() > 1

    def words(row: pd.Series[Any]) -> str:
        by = f" by {row['scorer']}" if several and row["scorer"] != "none" else ""
        return name_of(row["rule"]) + ("" if row["rule"] == "none" else f" {row['keep']:g}{by}")

    said = runs.apply(words, axis=1)
    ways = runs.groupby(["setup", said])["kept_key"].transform("nunique")  # one name, two scorers' settings
    return said.where(ways == 1, said + " (" + runs["kept_key"] + ")")
