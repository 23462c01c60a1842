"""The verb `choices`: what there is to choose from, drawn from the registry."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_origin

from prune_lab.experiments import choices as registry
from prune_lab.experiments.contracts import Choice
from prune_lab.experiments.errors import ConfigError

from . import meant
from .show import Show
from .words import did_you_mean


def choices(kind: str | None, name: str | None, *, as_json: bool) -> int:
    """Every choice of a kind, or of all kinds; or one of them, with all that its docstring says."""
    if kind is not None and kind not in registry.KINDS and name is None:
        kind, name = None, kind  # prune-lab choices dual
    if kind is not None and kind not in registry.KINDS:
        raise ConfigError(f"there is no kind of choice {kind}", f"one of {', '.join(registry.KINDS)}")
    show, kinds = Show(as_json=as_json), (kind,) if kind else registry.KINDS
    found = {one: [c for c in registry.every(one) if name in (None, c.registered)] for one in kinds}
    if not any(found.values()):
        known = [known for one in kinds for known in registry.names(one)]
        near = meant.choice(str(name), known)
        what = did_you_mean(str(name), [near] if near else [], known)
        raise ConfigError(what, f"prune-lab choices {near}" if near else "prune-lab choices")
    for one, classes in found.items():
        rows = [described(choice) for choice in classes]
        if as_json:
            for row in rows:
                show.data(row)
        elif rows:
            cells = [(row["name"], _words(row, whole=name is not None)) for row in rows]
            show.table(one, ("name", "meaning, source, settings"), cells)
    return 0


def described(choice: type[Choice]) -> dict[str, Any]:
    """A choice as plain data."""
    fields = [(name, field) for name, field in choice.model_fields.items() if name != "name"]
    row: dict[str, Any] = {
        "kind": choice.kind,
        "name": choice.registered,
        "meaning": inspect.cleandoc(choice.__doc__ or ""),
        "source": choice.source,
        "version": choice.version,
        "plugin": choice.plugin_name,
        "sees_dev": choice.sees_dev,
        "settings": [
            {
                "name": name,
                "type": type_words(field.annotation),
                "default": None if field.is_required() else usual(field),
            }
            | ({"required": True} if field.is_required() else {})
            for name, field in fields
        ],
    }
    for fact in ("higher_means", "reads", "takes"):
        if hasattr(choice, fact):
            row[fact] = getattr(choice, fact)
    return row


def usual(field: Any) -> Any:
    """A setting's default, as plain data."""
    value = field.get_default(call_default_factory=True)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _words(row: dict[str, Any], *, whole: bool) -> str:
    """What a person reads of a choice."""
    lines = [str(row["meaning"]) if whole else str(row["meaning"]).partition("\n\n")[0].replace("\n", " ")]
    lines += [f"  source: {row['source']}"] if row["source"] else []
    lines += [f"  higher: {row['higher_means']}"] if row.get("higher_means", "harder") != "harder" else []
    where = f", where {row['kind']}.{row['sees_dev']} is null" if isinstance(row["sees_dev"], str) else ""
    lines += [f"  uses the labels of the dev split{where}"] if row["sees_dev"] else []
    lines += [f"  from {row['plugin']}"] if row["plugin"] else []
    lines += [
        f"  {row['kind']}.{one['name']}="
        + ("..." if one.get("required") else value_words(one["default"]))
        + _others(one)
        for one in row["settings"]
    ]
    return "\n".join(lines)


def _others(setting: dict[str, Any]) -> str:
    """The other words that a setting takes."""
    words = str(setting["type"]).split("|")
    others = [word for word in words if word not in (setting["default"], "null", "int", "float")]
    return f" ({' '.join(others)})" if setting["default"] in words and others else ""


def value_words(value: Any) -> str:
    """As the command line takes it."""
    if isinstance(value, tuple):
        return f"[{','.join(map(value_words, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def type_words(annotation: Any) -> str:
    """`a|b|c` for a choice of words, else the names of its types."""
    parts = get_args(annotation)
    if not parts:
        return getattr(annotation, "__name__", str(annotation))
    if all(isinstance(part, str | int) and not isinstance(part, type) for part in parts):
        return "|".join(map(str, parts))
    if get_origin(annotation) is tuple:
        return f"list of {type_words(parts[0])}"
    if hasattr(annotation, "__metadata__"):
        return type_words(parts[0])
    return "|".join("null" if part is type(None) else type_words(part) for part in parts)
