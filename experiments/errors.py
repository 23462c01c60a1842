"""Errors for people: what happened, why, and the command that mends it. Each kind has its exit code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

Names = Mapping[str, str]  # what a setting is called where it comes from: {"task.path": "shifted.path"}


class LabError(Exception):
    """Something a user can mend. `mend` is a command or an action, said after the reason."""

    exit_code = 1

    def __init__(self, what: str, mend: str | None = None) -> None:
        super().__init__(what if mend is None else f"{what}\n  to mend it: {mend}")
        self.what = what
        self.mend = mend

    def __reduce__(self) -> tuple[type[LabError], tuple[str, str | None]]:
        return type(self), (self.what, self.mend)  # both parts survive the way back from a worker process


class RunFailed(LabError):
    """A run started and could not finish."""


class ConfigError(LabError):
    """A wrong key, value or combination of settings."""

    exit_code = 2


class MissingInput(LabError):
    """An earlier phase has not run and cannot be derived here."""

    exit_code = 3


class DataUnavailable(LabError):
    """Data, disk or machine cannot do what was asked."""

    exit_code = 4


class ClaimFailed(LabError):
    """What an experiment expects did not come out (`reproduce --check`)."""

    exit_code = 5


@contextmanager
def calling(names: Names) -> Iterator[None]:
    """Errors from within name the settings as they are called here."""
    try:
        yield
    except LabError as error:
        mend = None if error.mend is None else renamed(error.mend, names)
        raise type(error)(renamed(error.what, names), mend) from error


def renamed(sentence: str, names: Names) -> str:
    """The sentence with settings called by their names here."""
    for ours, theirs in names.items():
        sentence = re.sub(rf"(?<![\w./]){re.escape(ours)}\b", theirs, sentence)
    return sentence
