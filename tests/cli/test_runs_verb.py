"""`prune-lab runs`: what differs, which runs are meant, what a removal takes along, and two stores made one."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pandas as pd
import pytest

from prune_lab.cli import show
from prune_lab.experiments.store import disk
from prune_lab.experiments.store.folders import Store

from ..command_line import call
from ..synthetic_store import MACHINE, build

PHASES = {"score": 1, "prune": 2, "train": 9, "evaluate": 9}
NAMES = ("task", "model", "scorer", "rule", "keep", "balance", "budget", "policy", "seed")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "flush", lambda path: None)
        build(root, pools=(2000,), keeps=(0.5,), rules=("random", "hard"), budgets=("epochs",))
    return root


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store"))


def phases(root: Path) -> dict[str, int]:
    return {phase: len(Store(root).folders(phase)) for phase in PHASES}


def test_a_list_shows_in_what_the_runs_differ(
    capsys: pytest.CaptureFixture[str], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    listed = call(capsys, "runs", "--phase", "evaluate", "--results", str(made))
    assert listed.out.startswith("9 evaluate results in")
    assert "all of them: task=cifar10 model=convnet balance=0 policy=uniform\n" in listed.err
    head = next(line for line in listed.out.splitlines() if "phase" in line).split()
    assert head == ["phase", "key", "scorer", "rule", "keep", "budget", "seed"]
    mixed = call(capsys, "runs", "--results", str(made)).out.splitlines()
    assert len(mixed) == sum(PHASES.values()) + 2
    (one,) = (line for line in mixed if line.startswith("score"))
    assert one.split()[2:] == ["el2n", "examples", "2,000"]  # a score has no rule, no keep, no budget and no seed


def test_a_row_is_one_line_on_a_narrow_terminal_and_off_any(
    capsys: pytest.CaptureFixture[str], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = ["runs", "--results", str(made)]
    monkeypatch.setenv("COLUMNS", "40")
    whole = call(capsys, *at).out.splitlines()
    assert len(whole) == sum(PHASES.values()) + 2
    assert max(map(len, whole[1:])) > 80
    monkeypatch.setattr(show.Show, "width", property(lambda _: 60))
    narrow = call(capsys, *at)
    lines = narrow.out.splitlines()
    assert len(lines) == len(whole)
    assert max(map(len, lines[1:])) <= 60
    keys = {folder.key[:8] for folder in Store(made).folders()}
    assert {line.split()[1] for line in lines[2:]} == keys
    assert "more, not shown here (" in narrow.err
    assert "prune-lab runs --csv" in narrow.err


def test_settings_say_which_runs(capsys: pytest.CaptureFixture[str], made: Path) -> None:
    at = ["--json", "--results", str(made)]
    found = call(capsys, "runs", "keep=0.5", "rule=hard,easy", "recipe.epochs=12", *at).objects
    assert [run["phase"] for run in found] == ["train"] * 3 + ["evaluate"] * 3
    assert {(run["task"], run["scorer"], run["rule"], run["keep"]) for run in found} == {
        ("cifar10", "el2n", "hard", 0.5)
    }
    assert {run["seed"] for run in found} == {0, 1, 2}
    assert {"key", "name", "metrics", *NAMES} <= {*found[0]}
    (score,) = call(capsys, "runs", "--phase=score", *at).objects
    assert (score["scorer"], score["rule"], score["keep"]) == ("el2n", None, None)
    unknown = call(capsys, "runs", "recipe.epoch=12", *at)
    assert (unknown.code, "recipe.epochs" in unknown.err) == (2, True)
    nothing = call(capsys, "runs", "keep=0.3", *at)
    assert (nothing.code, "with keep=0.3" in nothing.err) == (3, True)


def test_the_list_as_csv(capsys: pytest.CaptureFixture[str], made: Path) -> None:
    table = pd.read_csv(io.StringIO(call(capsys, "runs", "--csv", "--results", str(made)).out), keep_default_na=False)
    assert list(table.columns[:12]) == ["phase", "key", "name", *NAMES]
    assert len(table) == sum(PHASES.values())
    assert set(table[table["phase"] == "evaluate"]["seed"]) == {"0", "1", "2"}
    assert {"accuracy", "recipe.epochs", "task.examples"} <= {*table}
    assert call(capsys, "runs", "--csv", "--json", "--results", str(made)).code == 2


def test_a_removal_says_first_what_it_takes_along(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    at = ["--remove", "--results", str(store)]
    planned = call(capsys, "runs", "phase=prune", "rule=hard", "--dry-run", "--json", *at)
    assert "would remove 1 named and 6 made from it (3 evaluate, 3 train)" in planned.err
    assert [run["status"] for run in planned.objects] == ["would be removed"] * 7
    assert phases(store) == PHASES
    assert call(capsys, "runs", "phase=prune", "rule=hard", *at).code == 0
    assert phases(store) == {"score": 1, "prune": 1, "train": 6, "evaluate": 6}
    keys = [folder.key for folder in Store(store).folders("evaluate")][:2]
    assert call(capsys, "runs", *keys, *at).code == 0
    assert phases(store)["evaluate"] == 4
    assert call(capsys, "runs", *at).code == call(capsys, "runs", "--dry-run", f"results={store}").code == 2


def test_another_store_is_merged_and_nothing_overwritten(
    capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path
) -> None:
    ours = Store(tmp_path / "ours")
    file = "model.txt"
    for root, text in ((Store(store), "theirs"), (ours, "ours")):
        for key in ("a" * 16, "b" * 16) if root is not ours else ("a" * 16,):
            record = {
                "phase": "train",
                "key": key,
                "recipe": {},
                "inputs": {},
                "code": {},
                "metrics": {},
                "seconds": 1.0,
            }
            with root.draft("train", key, record | {"machine": MACHINE}) as folder:
                (folder / file).write_text(text)
    bad, good = store / "train" / ("a" * 16) / file, store / "train" / ("b" * 16)
    at = ["--merge", str(store), "--results", str(ours.root)]
    assert "22 would be copied, 1 already there" in call(capsys, "runs", "--dry-run", *at).err
    assert phases(ours.root)["train"] == 1
    merged = call(capsys, "runs", *at)
    assert (merged.code, "22 copied, 1 already there" in merged.err) == (0, True)
    assert phases(ours.root) == PHASES | {"train": 11}
    assert (ours.path("train", "a" * 16) / file).read_text() == "ours"
    assert (ours.path("train", good.name) / "record.json").read_bytes() == (good / "record.json").read_bytes()
    assert call(capsys, "runs", "--verify", f"results={ours.root}").code == 0
    ours.remove(ours.get("train", "b" * 16))
    bad.write_text("theirs!")
    (good / file).write_text("their!")  # of the same size
    damaged = call(capsys, "runs", *at)
    assert (damaged.code, "2 damaged" in damaged.err, ours.find("train", good.name)) == (1, True, None)
    assert call(capsys, "runs", "--merge", str(tmp_path / "none"), f"results={store}").code == 2
    two = call(capsys, "report", f"results={ours.root},{store}")
    assert (two.code, f"prune-lab runs --results {ours.root} --merge {store}" in two.err) == (2, True)
