"""Call the command line inside this process: what it printed and how it ended."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from prune_lab.cli import main

TINY = ["task=digits", "task.examples=200", "model=linear", "recipe.epochs=3", "recipe.batch_size=50"]


def changed(*words: str) -> list[str]:
    """The words, a later one in place of an earlier one of the same key."""
    return list({word.partition("=")[0]: word for word in words}.values())


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def call(capsys: pytest.CaptureFixture[str], *words: str) -> Answer:
    """`prune-lab WORDS`."""
    capsys.readouterr()
    before, sys.argv = sys.argv, ["prune-lab", *words]
    try:
        with pytest.raises(SystemExit) as ended:
            main.run()
    finally:
        sys.argv = before
    code = ended.value.code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return Answer(code if isinstance(code, int) else 0, captured.out, captured.err)
