"""Errors for people: what happened, why, and the command that mends it. Each kind has its exit code."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

INTERRUPTED = 130  # the exit code after Ctrl-C
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


MENDS = {
    errno.ENAMETOOLONG: "a shorter path",
    errno.ELOOP: "a link that leads to a file",
    errno.ENOSPC: "prune-lab runs --clean",
    errno.EDQUOT: "prune-lab runs --clean",
}


def foreseen(error: BaseException) -> LabError | None:
    """What a person can mend of an error that no line of ours expected: the disk and the memory; None for a defect."""
    said = next(iter(str(error).splitlines()), "")
    memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # of numpy, of torch's GPUs
    if memory or "can't allocate memory" in said:  # of torch on a CPU
        what = f"this machine has too little memory: {said or 'nothing more could be allocated'}"
        return DataUnavailable(what, "a smaller model, recipe.batch_size or task.examples; or fewer launcher.workers")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
        return DataUnavailable("no space is left where the output is written to", "space there, or another place")
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        mend = MENDS.get(error.errno, f"look at {error.filename}: it must be there, and yours to read or to write")
        return DataUnavailable(f"{error.filename}: {os.strerror(error.errno)}", mend)
    return None


def unforeseen(what: str, error: BaseException, file: Path | None = None) -> RunFailed:
    """The last resort: a sentence on a defect, and the name of the file that has its traceback."""
    place = "the traceback could not be written"
    with suppress(OSError):
        if file is None:
            number, name = tempfile.mkstemp(prefix="prune-lab-", suffix=".txt")
            os.close(number)
            file = Path(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(traceback.format_exception(error)), errors="backslashreplace")
        place = f"the traceback is in {file}"
    said = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    return RunFailed(f"{what}: {said} (a defect; {place})", "report it with that file")


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
