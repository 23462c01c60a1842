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
    found = dict(recipe)
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            section = SECTIONS.get(name)
            found[name] = choices.with_defaults(section, value) if section else choices.completed(name, value)
    return found


def fact(kind: str, name: str | None, fact: str) -> Any:
    """What a choice says of itself; None where the registry has none, as of a plug-in that is not loaded."""
    return getattr(choices.get(kind, name), fact, None) if name in choices.names(kind) else None
