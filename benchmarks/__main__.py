"""`python -m benchmarks [NAME...]`: a table on stderr; with --json one object a measurement on stdout."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import torch
import typer

from prune_lab.experiments import devices
from prune_lab.experiments.errors import LabError

from . import accuracy, memory, model
from .contest import DEVICE, Comparison
from .race import race
from .side import RACES

NAMES = (*RACES, "accuracy", "memory", "model")

app = typer.Typer(add_completion=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="none: all of them")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a measurement on stdout")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="tiny sizes: that it works, not how fast")] = False,
    threads: Annotated[int, typer.Option(min=1, help="threads of torch")] = 1,
    record: Annotated[Path | None, typer.Option(help="also keep results, command and date in this file")] = None,
) -> None:
    """Ours and a plain baseline measured in turn: training, scoring, packing, text, equalising, contribution,
    sweep, design, accuracy, memory; on a GPU also model.

    The ratio is how many times better ours is. A slow machine fails nothing. BENCHMARK_DEVICE=cuda: on a GPU.
    """
    for name in names or ():
        if name not in NAMES:
            raise typer.BadParameter(f"there is no benchmark {name}; there is: {', '.join(NAMES)}")
    os.environ["OMP_NUM_THREADS"] = str(threads)  # of the children
    torch.set_num_threads(threads)
    results = []
    default = [name for name in NAMES if name != "model" or DEVICE.type == "cuda"]
    print(f"{'':<24}{'ours':>12}{'baseline':>12} {'unit':<20}{'ratio':>7}  target", file=sys.stderr)
    try:
        devices.resolve_device(str(DEVICE))
        for name in names or default:
            for result in measured(name, quick):
                results.append(result)
                show(result)
                if as_json:
                    print(json.dumps(asdict(result)), flush=True)
    except LabError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(4) from None
    finally:
        if record is not None and results:
            write(record, results)


def measured(name: str, quick: bool) -> Iterator[Comparison]:
    """A benchmark's measurements, each as soon as it is there."""
    match name:
        case "accuracy":
            yield accuracy.comparison(quick)
        case "memory":
            yield from memory.comparisons(quick)
        case "model":
            yield model.comparison(quick)
        case _:
            yield from (race(contest, quick) for contest in RACES[name].contests(quick))


def show(result: Comparison) -> None:
    """A line of the table, and under it what was measured."""
    verdict = "none" if result.target is None else f"{result.target:.3g}, {'met' if result.met else 'not met'}"
    figures = f"{result.ours:>12,.4g}{result.baseline:>12,.4g} {result.unit:<20}{result.ratio:>6.2f}x"
    print(f"{result.benchmark:<24}{figures}  {verdict}\n    {result.note}", file=sys.stderr, flush=True)


def write(path: Path, results: Sequence[Comparison]) -> None:
    """Add the results, each with its command and day, to those that the file has; the same benchmark is replaced."""
    on = [f"BENCHMARK_DEVICE={DEVICE}"] if DEVICE.type != "cpu" else []
    command = shlex.join([*on, "python", "-m", "benchmarks", *sys.argv[1:]])
    said = {"command": command, "date": datetime.now(UTC).date()}
    kept = {one["benchmark"]: one for one in json.loads(path.read_text())} if path.exists() else {}
    kept |= {result.benchmark: asdict(result) | said for result in results}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(kept.values()), indent=1, default=str) + "\n")


if __name__ == "__main__":
    app()
