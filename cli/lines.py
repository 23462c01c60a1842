"""Where a setting is in the file of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml  # type: ignore[import-untyped]


def line_of(name: str, place: Sequence[str | int]) -> int | None:
    """The line of the file that holds the setting at this place, as in ("experiment", "expect", 0, "atleast")."""
    node, line = yaml.compose(Path(name).read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader), None
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part],) * 2
        else:
            found = None
        if found is None:
            return None
        line, node = found[0].start_mark.line + 1, found[1]
    return line
