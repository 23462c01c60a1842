"""What this machine can run, and the command that mends what it cannot."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from typing import Literal

from prune_lab.experiments import choices, extras
from prune_lab.experiments.phases.settings import Launcher

from . import compose
from .show import Show

Finding = tuple[str, Literal["yes", "no", "warning"], str]


def doctor(*, as_json: bool) -> int:
    """Look at everything; exit 4 where a run cannot work at all."""
    show = Show(as_json=as_json)
    findings = [_library("torch", "make install")]
    if findings[0][1] == "yes":
        findings += [_library("torchvision", "no ResNet-18 and no download of CIFAR-10; make install"), _device()]
    findings += [_cores(), _data(), _disk(), *map(_extra, extras.extras())]
    if as_json:
        for name, state, sentence in findings:
            show.data({"check": name, "state": state, "sentence": sentence})
    else:
        show.table("what this machine can do", ("", "", ""), findings)
    return 0 if findings[0][1] == "yes" else 4


def _library(name: str, otherwise: str) -> Finding:
    """Whether a library imports: a CPU-only torch beside the stock torchvision, say, does not."""
    try:
        return name, "yes", str(importlib.import_module(name).__version__)
    except (ImportError, OSError, RuntimeError) as error:
        return name, "no", f"{error}: {otherwise}"


def _device() -> Finding:
    from prune_lab.experiments.devices import resolve_device, resolve_precision

    device, reason = resolve_device("auto")
    return "device", "yes", f"{reason}; {resolve_precision('auto', device)[1]}"


def _cores() -> Finding:
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    if load > 0.5 * cores:
        sentence = f"{load:.1f} of {cores} cores are busy: runs that share cores crawl; wait, or use --launcher local"
        return "cores", "warning", sentence
    threads = os.environ.get("OMP_NUM_THREADS")
    return "cores", "yes", f"{cores} cores, {load:.1f} busy" + (f", OMP_NUM_THREADS={threads}" if threads else "")


def _data() -> Finding:
    root = os.environ.get("PRUNE_LAB_DATA")
    if root is None:
        return (
            "data",
            "warning",
            "embedded only (digits, perceptron, pydoc, digits_as_text): export PRUNE_LAB_DATA=FOLDER for the rest",
        )
    if not Path(root).is_dir():
        return "data", "no", f"PRUNE_LAB_DATA={root} is not a folder"
    return "data", "yes", f"{root}: {', '.join(sorted(path.name for path in Path(root).iterdir() if path.is_dir()))}"


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 2**30
    return "disk", "yes" if free > 5 else "warning", f"{free:.0f} GiB free here"


def _extra(name: str) -> Finding:
    """Whether the packages of an extra are here, and which choices need them."""
    launchers = [f"launcher={one}" for one in compose.choices("launcher") if Launcher(name=one).extra == name]  # type: ignore[arg-type]
    every = (one for kind in choices.KINDS for one in choices.every(kind))
    users = [*launchers, *(f"{one.kind}={one.registered}" for one in every if one.extra == name)]
    use = f" for {', '.join(users)}" if users else ""
    if extras.lacking(name):
        return f"extra {name}", "no", extras.install(name) + use
    slurm = "; no Slurm here: its jobs run locally" if name == "cluster" and not shutil.which("sbatch") else ""
    return f"extra {name}", "yes", f"{', '.join(extras.extras()[name])}{use}{slurm}"
