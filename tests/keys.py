"""The keys of every job of every experiment, in all sizes, and of each verb's and each choice's defaults, as a table.

`python -m tests.keys` writes `keys.csv` again; `test_keys.py` holds it. Data sets are known by a made-up fingerprint,
so that the table needs none of them and is the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from prune_lab.cli import compose
from prune_lab.experiments.data import load
from prune_lab.experiments.phases import plan as jobs
from prune_lab.experiments.training import recipes

TABLE = Path(__file__).parent / "keys.csv"
FITTING = {  # what a choice needs beside its name to be a valid run
    "perplexity": "task=pydoc", "continuation": "task=pydoc", "ngram_importance": "task=pydoc", "gpt": "task=pydoc",
    "perceptron": "task=perceptron", "images": "task.path=x", "text": "task.path=x", "beta": "scorer=dual",
    "quota": "scorer=class_error", "infobatch": "budget=steps", "learning_law": "recipe=flow",
}  # fmt: skip
CHOSEN = {"rs2", "infobatch"}  # policies that choose by themselves: keep=1


def made_up(task: Any) -> str:
    """A fingerprint by name and by the name of what is mixed in."""
    mixed = getattr(task, "mixed", None)
    return f"{task.name}+{mixed.name}" if mixed else str(task.name)


@contextmanager
def known() -> Iterator[None]:
    """Fingerprints without data, and a machine that is not faster at bfloat16."""
    with (
        mock.patch.object(jobs, "fingerprint", made_up),
        mock.patch.object(jobs, "pool_size", lambda task, _: task.examples or 10**6),
        mock.patch.object(jobs, "second_fingerprint", lambda text: f"second {text.name}"),
        mock.patch.object(load, "target_fingerprint", str),
        mock.patch.object(recipes, "resolved", lambda name, _: "float32" if name == "auto" else name),
    ):
        yield


def of_experiment(name: str) -> Iterator[str]:
    """`experiment,size,phase,number of jobs,their keys in one hash` of each size."""
    for size in ("cpu", *compose.described([f"experiment={name}"]).sizes):
        experiment, runs = compose.experiment([f"experiment={name}", f"experiment.size={size}"])
        if experiment.phase == "simulate":
            continue  # its recipe names its study now
        keys: dict[str, set[str]] = {}
        with known():
            for job in jobs.closure(jobs.job_of(experiment.phase, run) for run in runs):
                keys.setdefault(job.phase, set()).add(job.key)
        for phase, found in sorted(keys.items()):
            whole = hashlib.sha256(" ".join(sorted(found)).encode()).hexdigest()[:16]
            yield f"{name},{size},{phase},{len(found)},{whole}"


def of_choices() -> Iterator[str]:
    """`words,phase,key` of single runs."""
    for phase, words in singles():
        (run,) = compose.runs(phase, words)
        with known():
            yield f"{' '.join(words)},{phase},{jobs.job_of(phase, run).key}"


def singles() -> Iterator[tuple[str, list[str]]]:
    """Each verb as it is, and each choice at its defaults."""
    for phase in ("score", "prune", "train", "evaluate"):
        yield phase, []
    yield "search", ["recipe=flow"]
    for group, phase, keep in (("task", "evaluate", "1"), ("model", "train", "1"), ("scorer", "prune", "0.5"),
                               ("rule", "prune", "0.5"), ("policy", "train", "0.5")):  # fmt: skip
        for name in compose.choices(group):
            if (group, name) == ("scorer", "file"):
                continue  # its key is of the file's bytes
            more = FITTING.get(name, "task=digits" if group != "task" else "")
            kept = "1" if name in CHOSEN else keep
            yield phase, [*filter(None, [more]), f"{group}={name}", f"keep={kept}"]


def main() -> None:
    of_all = [row for name in compose.choices("experiment") for row in of_experiment(name)]
    TABLE.write_text("\n".join([*of_all, *of_choices()]) + "\n")


if __name__ == "__main__":
    main()
