"""The plan of the house: who may import whom, and that what is shipped is what is there."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (  # a room imports from the floors below it; on the ground there are files alone
    ("choices", "contracts", "devices", "errors", "extras", "precision", "sections", "seeds"),
    ("store", "laws", "figures", "models", "tracking"),
    ("data", "training"),
    ("contribution", "pruning"),
    ("scoring", "studies"),
    ("phases", "report"),
    ("read",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> set[str]:
    """Absolute dotted names of everything that a file imports, anywhere in it."""
    package = ["prune_lab", *path.relative_to(ROOT).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def files(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", files("cli") + files("experiments"), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    names = imports(path)
    tops = {name.partition(".")[0] for name in names}
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts != ("cli", "compose"):
        assert not tops & {"hydra", "omegaconf"}
    if parts[0] == "cli":
        assert not tops & {"torch", "pandas"}
        return
    assert not tops & {"typer", "rich"}
    assert not any(name.startswith("prune_lab.cli") for name in names)
    inside = {name.split(".")[2] for name in names if name.startswith("prune_lab.experiments.")}
    room = parts[1]
    assert all(other == room or FLOOR[other] < FLOOR[room] or FLOOR[room] == 0 == FLOOR[other] for other in inside)


def test_what_plans_judges_and_draws_runs_without_torch() -> None:
    """Every choice, the rooms of laws, figures and pages, the store, and the planner."""
    rooms = [path for room in ("laws", "figures", "report") for path in files(f"experiments/{room}")]
    modules = {".".join(path.relative_to(ROOT / "experiments").with_suffix("").parts) for path in rooms}
    modules |= {"store.folders", "phases.plan", "phases.launch", "read"}
    code = (
        "import sys, importlib; from prune_lab.experiments import choices\n"
        "for kind in choices.KINDS: list(choices.every(kind))\n"
        f"for name in {sorted(modules)}: importlib.import_module(f'prune_lab.experiments.{{name}}')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_packages_listed_are_the_folders_with_code() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {
        ".".join(["prune_lab", *path.relative_to(ROOT).parts])
        for folder in ("cli", "configs", "experiments")
        for path in [ROOT / folder, *(ROOT / folder).rglob("*")]
        if path.is_dir() and any(path.glob("*.py"))
    }
    assert set(listed) == there | {"prune_lab.reference"}  # the published tables alone: read.published() finds them


def test_the_typed_names_lead_to_the_folders() -> None:
    for name in ("cli", "configs", "experiments"):
        assert (ROOT / ".typing" / "prune_lab" / name).resolve() == ROOT / name


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from prune_lab.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pandas', 'numpy', 'pydantic', 'hydra', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)
