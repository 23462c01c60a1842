"""The words that a page on evaluated runs uses before it explains anything: keep, budgets, scorers, rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from ... import choices
from ...figures.style import UNPRUNED, in_order, name_of
from ..parts import Section, definitions
from ..provenance import BUDGET
from ..table import number
from .layout import BUDGETS

KEEP = "The fraction of the training pool that stays after pruning, never the fraction that is dropped."
RANDOM = "As many examples of the same pool, drawn without a score: what every rule is compared with."


def section(runs: pd.DataFrame) -> Section:
    return Section("The words used here", [definitions(words(runs))])


def words(runs: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Each word that these runs need, with what its own file says of it."""
    if (runs["keep"] < 1).any():
        yield "keep", KEEP
    for budget, said in BUDGET.items():
        if budget in BUDGETS and budget != "both" and (runs["budget"] == budget).any():
            yield BUDGETS[budget], said.partition(": ")[2].capitalize()
    for scorer in sorted(set(runs["scorer"]) - {"none"}):
        if scorer in choices.names("scorer") and scorer != "random":  # the rule random says it
            one = choices.get("scorer", scorer)
            source = f" ({one.source})" if one.source not in ("", "us") else ""
            own = runs[runs["scorer"] == scorer]
            yield str(scorer), f"A score of difficulty{source}. {_first(one)} {_here(own, one.model_fields)}".strip()
    for rule in in_order(set(runs["rule"]) - {UNPRUNED}):
        if rule in choices.names("rule"):
            yield name_of(rule), RANDOM if rule == "random" else _first(choices.get("rule", rule))


def _here(runs: pd.DataFrame, settings: Iterable[str]) -> str:
    """With which settings the score was made: "Here: proxies=3 convention=data_diet."."""
    values = {name: runs[f"scorer.{name}"].dropna().unique() for name in settings if f"scorer.{name}" in runs}
    said = [f"{name}={','.join(map(number, found))}" for name, found in values.items() if len(found) and name != "name"]
    return f"Here: {' '.join(said)}." if said else ""


def _first(choice: type) -> str:
    """The first paragraph of what its file says."""
    return " ".join((choice.__doc__ or "").split("\n\n")[0].split())
