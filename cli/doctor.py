"""What this machine can run, and the command that mends what it cannot."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from .show import Show

Finding = tuple[str, Literal["yes", "no", "warning"], str]


def doctor(*, as_json: bool) -> int:
    """Look at everything; exit 4 where a run cannot work at all."""
    show = Show(as_json=as_json)
    checks: list[Callable[[], Finding]] = [_torch, _torchvision, _device, _precision, _cores, _data, _disk, _cluster]
    findings = [check() for check in checks]
    if as_json:
        for name, state, sentence in findings:
            show.data({"check": name, "state": state, "sentence": sentence})
    else:
        show.table("what this machine can do", ("", "", ""), findings)
    return 4 if ("torch", "no") in {(name, state) for name, state, _ in findings} else 0


def _torch() -> Finding:
    try:
        import torch
    except (ImportError, OSError) as error:
        return "torch", "no", f"{error}: make install"
    return "torch", "yes", torch.__version__


def _torchvision() -> Finding:
    try:
        import torchvision
    except (ImportError, RuntimeError) as error:
        return "torchvision", "warning", f"does not fit this torch ({error}): no ResNet-18, no download of CIFAR-10"
    return "torchvision", "yes", torchvision.__version__


def _device() -> Finding:
    from prune_lab.experiments.devices import resolve_device

    return "device", "yes", resolve_device("auto")[1]


def _precision() -> Finding:
    from prune_lab.experiments.devices import resolve_device, resolve_precision

    return "precision", "yes", resolve_precision("auto", resolve_device("auto")[0])[1]


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
        return "data", "warning", "embedded only (digits, perceptron, pydoc): export PRUNE_LAB_DATA=FOLDER for the rest"
    if not Path(root).is_dir():
        return "data", "no", f"PRUNE_LAB_DATA={root} is not a folder"
    return "data", "yes", f"{root}: {', '.join(sorted(path.name for path in Path(root).iterdir() if path.is_dir()))}"


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 2**30
    return "disk", "yes" if free > 5 else "warning", f"{free:.0f} GiB free here"


def _cluster() -> Finding:
    if importlib.util.find_spec("submitit") is None:
        return "cluster", "no", "pip install 'prune-lab[cluster]' for --launcher submitit"
    return "cluster", "yes", "submitit" + ("" if shutil.which("sbatch") else "; no Slurm here: its jobs run locally")
