"""The verb `choices`: what there is to choose from, drawn from the registry."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_origin

from prune_lab.experiments import choices as registry
from prune_lab.experiments.contracts import Choice
from prune_lab.experiments.errors import ConfigError

from .show import Show


def choices(kind: str | None, *, as_json: bool) -> int:
    """Every choice of a kind, or of all kinds: name, source, meaning, settings and their defaults."""
    if kind is not None and kind not in registry.KINDS:
        raise ConfigError(f"there is no kind of choice {kind}", f"one of {', '.join(registry.KINDS)}")
    show = Show(as_json=as_json)
    for one in (kind,) if kind else registry.KINDS:
        rows = [described(choice) for choice in registry.every(one)]
        if as_json:
            for row in rows:
                show.data(row)
        else:
            show.table(one, ("name", "meaning, source, settings"), [(row["name"], _words(row)) for row in rows])
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
            {"name": name, "type": _type(field.annotation), "default": None if field.is_required() else field.default}
            | ({"required": True} if field.is_required() else {})
            for name, field in fields
        ],
    }
    for fact in ("higher_means", "reads", "takes"):
        if hasattr(choice, fact):
            row[fact] = getattr(choice, fact)
    return row


def _words(row: dict[str, Any]) -> str:
    """What a person reads of a choice."""
    lines = [str(row["meaning"]).partition("\n\n")[0].replace("\n", " ")]
    lines += [f"  source: {row['source']}"] if row["source"] else []
    lines += [f"  higher: {row['higher_means']}"] if row.get("higher_means", "harder") != "harder" else []
    lines += ["  uses the labels of the dev split"] if row["sees_dev"] else []
    lines += [f"  from {row['plugin']}"] if row["plugin"] else []
    words = [
        f"{row['kind']}.{one['name']}=" + ("..." if one.get("required") else _plain(one["default"]))
        for one in row["settings"]
    ]
    return "\n".join([*lines, *([f"  {' '.join(words)}"] if words else [])])


def _plain(value: Any) -> str:
    """As the command line takes it."""
    if isinstance(value, tuple):
        return f"[{','.join(map(_plain, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _type(annotation: Any) -> str:
    """`a|b|c` for a choice of words, else the names of its types."""
    parts = get_args(annotation)
    if not parts:
        return getattr(annotation, "__name__", str(annotation))
    if all(isinstance(part, str | int) and not isinstance(part, type) for part in parts):
        return "|".join(map(str, parts))
    if get_origin(annotation) is tuple:
        return f"list of {_type(parts[0])}"
    if hasattr(annotation, "__metadata__"):
        return _type(parts[0])
    return "|".join("null" if part is type(None) else _type(part) for part in parts)
