"""A record's recipe as today's code would write it: settings that came later are there at their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import choices
from ..contribution.settings import Search
from ..training.recipes import Recipe

SECTIONS = {"recipe": Recipe, "search": Search}


def completed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with every setting that its choices and sections have today.

    Keys leave out defaults (phases/plan.py): the older run and a run of today are one.
    """
    return {name: _completed(name, value) if isinstance(value, Mapping) else value for name, value in recipe.items()}


def _completed(section: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    if section in SECTIONS:
        return choices.with_defaults(SECTIONS[section], recorded)
    return choices.completed(section, recorded)


def chooses(policy: Mapping[str, Any]) -> bool:
    """Whether a recorded policy picks by itself what an epoch visits, as a rule does."""
    return bool(fact("policy", policy.get("name"), "chooses"))


def reads_text(task: Mapping[str, Any]) -> bool:
    """Whether a recorded task is of text."""
    return bool(fact("task", task["name"], "reads") == "text")


def fact(kind: str, name: str | None, fact: str) -> Any:
    """What a choice says of itself; None where the registry has none, as of a plug-in that is not loaded."""
    return getattr(choices.get(kind, name), fact, None) if name in choices.names(kind) else None


def differing(kind: str, name: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a choice's recorded settings that are not at their defaults."""
    fields = choices.get(kind, name).model_fields if name in choices.names(kind) else {}
    return {one: value for one, value in recorded.items() if one not in fields or fields[one].default != value}
