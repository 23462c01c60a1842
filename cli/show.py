"""Progress and sentences (stderr), what was asked for (stdout: a table, or JSON), and how a command ends."""

from __future__ import annotations

import json
import re
import time
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from prune_lab.experiments.errors import LabError
from prune_lab.experiments.phases.launch import Outcome
from prune_lab.experiments.phases.plan import Job

from .progress import Progress
from .stdout import stdout

QUIET_SECONDS = 60.0  # off a terminal, one line of progress in this time
WIDEST = 10_000  # letters of a line off a terminal
LONGEST_WORD = 500  # letters
HEADLINES = ("accuracy", "loss", "bits_per_byte", "gain", "kept", "examples")


class Show:
    """Progress and sentences on stderr; `--json` objects on stdout."""

    def __init__(self, *, as_json: bool, browse: bool = False) -> None:
        self.as_json, self.browse = as_json, browse  # browse: a page that was written is opened
        self.console = Console(stderr=True, highlight=False)
        self.notes: list[str] = []
        self._said: set[str] = set()
        self._alike: dict[str, int] = {}  # an error -> how many runs more than the first ended in it
        self._progress = Progress([])
        self._bars: tuple[Bars, TaskID, TaskID] | None = None
        self._last_line = time.monotonic()

    def say(self, sentence: str) -> None:
        """A sentence for people, once."""
        if sentence and sentence not in self._said:
            self._said.add(sentence)
            self.console.print(sentence, markup=False, soft_wrap=True)

    def note(self, sentence: str) -> None:
        """A sentence on what was asked for, in every JSON object as well."""
        self.notes += [sentence] if sentence else []
        self.say(sentence)

    def start(self, jobs: Sequence[Job]) -> None:
        """Begin progress over these jobs."""
        self._progress = Progress(jobs)
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            bars = Bars(*columns, console=self.console, transient=True)
            self._bars = bars, bars.add_task(str(self._progress), total=len(jobs)), bars.add_task("", total=1)
            bars.start()

    def watch(self, job: Job, sentence: str, share: float) -> None:
        """A running job's sentence, or the share of it that is done (0: not known)."""
        self._progress.began(job.key)
        self.say(sentence)
        if self._bars is not None:
            bars, whole, one = self._bars
            bars.update(whole, description=str(self._progress), completed=self._progress.done)
            if share or len(self._progress.running) == 1:
                bars.update(one, description=escape(f"{job.phase} {job.name}"), completed=share)
        elif time.monotonic() - self._last_line > QUIET_SECONDS:
            self._last_line = time.monotonic()
            at = f" at {share:.0%}" if share else ""
            self.console.print(f"{self._progress}; {job.phase} {job.name}{at}", markup=False, soft_wrap=True)

    def outcome(self, outcome: Outcome, *, asked_for: bool) -> None:
        """A finished job: a line for people; with `--json` an object where the command asked for this phase."""
        self._progress.ended(outcome.key, made=outcome.status == "done")
        if self._bars is not None:
            self._bars[0].update(self._bars[1], description=str(self._progress), completed=self._progress.done)
        if self.as_json and asked_for:
            self.data(outcome.as_json())
        if outcome.error is not None:
            said = readable(str(outcome.error))
            self._alike[said] = self._alike.get(said, -1) + 1
            if self._alike[said] == 0:  # of the data, say: the same for every run on them
                self.console.print(f"{outcome.phase} failed: {outcome.name}: {said}", markup=False, soft_wrap=True)
        elif asked_for or outcome.status == "done":
            word = {"cached": "already done", "planned": "to do"}.get(outcome.status, outcome.status)
            took = f" in {outcome.seconds:.1f} s" if outcome.status == "done" else ""
            line = f"{outcome.phase} {word}{took}: {outcome.name}: {headline(outcome.metrics)}  {outcome.path}"
            self.console.print(line, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """End progress, and say how many runs failed like one that was named."""
        if self._bars is not None:
            self._bars[0].stop()
        if number := sum(self._alike.values()):
            self.console.print(
                f"{number} more {'runs' if number > 1 else 'run'} failed for the same reason", markup=False
            )
        self._alike.clear()

    def data(self, content: Any) -> None:
        """A JSON object on stdout."""
        content = content | {"notes": self.notes} if self.notes else content
        print(json.dumps(content, default=str), flush=True, file=stdout())

    def page(self, path: Path) -> None:
        """Open a page that was written in a browser, where the user asked for it."""
        if self.browse and not webbrowser.open(path.resolve().as_uri()):
            self.say("there is no browser to show it in")

    @property
    def width(self) -> int | None:
        """Letters of a line on stdout; None where it is no terminal, and a line may have any number."""
        console = Console(file=stdout())
        return console.width if console.is_terminal else None

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, whole: bool = False) -> None:
        """A table for people, on stdout: it is what they asked for. `whole`: off a terminal each row is one line."""
        console = Console(highlight=False, file=stdout(), width=(self.width or WIDEST) if whole else None)
        if whole:  # a table's own title is broken at the table's width
            console.print(title, markup=False, soft_wrap=True)
        table = Table(title=None if whole else title, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        console.print(table)


def headline(metrics: dict[str, Any]) -> str:
    """The few numbers that fit on a line."""
    shown = [(name, metrics[name]) for name in HEADLINES if isinstance(metrics.get(name), int | float)]
    return " ".join(f"{name} {value:{',' if isinstance(value, int) else '.4g'}}" for name, value in shown[:3])


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0, or that of the first failure."""
    return next((outcome.error.exit_code for outcome in outcomes if outcome.error is not None), 0)


def readable(sentence: str) -> str:
    """A sentence in which a word of thousands of letters is its beginning, and nothing is invisible."""
    seen = "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in sentence)
    return re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][:100]}... ({len(word[0]):,} letters)", seen)


def fail(error: LabError, *, as_json: bool) -> int:
    """Say a user's error, with `--json` as an object too, and return its exit code."""
    said = readable(str(error))
    if as_json:
        content = {"status": "failed", "exit_code": error.exit_code, "error": said}
        with suppress(OSError):  # the output itself may be what is refused
            print(json.dumps(content), flush=True, file=stdout())
    Console(stderr=True, highlight=False).print(f"prune-lab: {said}", markup=False, soft_wrap=True)
    return error.exit_code
