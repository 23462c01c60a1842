"""The file of an experiment of one's own: plain YAML, read within bounds, and refused with a line and a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from prune_lab.experiments.errors import ConfigError

from .words import OWN, short

MOST_BYTES = 200_000  # some seconds of reading; the largest of ours has 36,000
DEEPEST = 20  # lists and sections within each other
SHAPE = "a section `experiment` with name, title and grids: docs/howto/experiments_in_ci.md has an example"


def experiment_file(name: str, read: Callable[[str], Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings in a file, and its section `experiment`. `read` makes plain values of its text."""
    path = Path(name)
    try:
        if not path.is_file():
            raise ConfigError(f"there is no file {name}", f"experiment=FILE{OWN}; prune-lab claims lists those of ours")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ConfigError(f"{name} has {size:,} bytes, and at most {MOST_BYTES:,} are read", SHAPE)
        text = path.read_bytes().decode("utf-8-sig")
        _check_plain(name, text)
        content = read(text)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is no UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{name}{where}: {error.problem}", SHAPE) from None
    except (yaml.YAMLError, ValueError, OSError, AssertionError) as error:  # a control character, a set, the disk
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), "no plain YAML")
        raise ConfigError(f"{short(name)}: {reason}", SHAPE) from None
    section = content.pop("experiment", None) if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise ConfigError(f"{name} has no section experiment, with name, title and grids", SHAPE)
    return content, section


def _check_plain(name: str, text: str) -> None:
    """Refuse what grows when it is read: aliases, which can double at every line or hold themselves, and nesting."""
    depth, first = 0, True
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = f"{name}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{where}: aliases are not read", f"write out what *{event.anchor} stands for")
        if first and isinstance(event, yaml.NodeEvent):
            first = False
            if not isinstance(event, yaml.MappingStartEvent):
                raise ConfigError(f"{where}: a file of an experiment is a mapping of names to values", SHAPE)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ConfigError(f"{where}: more than {DEEPEST} lists or sections within each other", SHAPE)
