"""Groups of examples in the phase prune: their shares are said, balance holds them, and no other phase's key moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.store.folders import Store

from ..command_line import Answer, call

FORMATS = ("prog", "words", "expr")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """150 documents of one window each, of three formats in equal shares; the scores rank prog first, words last."""
    rows = [{"text": chr(97 + row % 26) * 12 + f"{row:04}", "format": FORMATS[row % 3]} for row in range(150)]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    height = {"prog": 1000, "words": 0, "expr": 500}
    scores = [{"id": f"all/{row:05}", "score": height[FORMATS[row % 3]] + row} for row in range(150)]
    pd.DataFrame(scores).to_csv(tmp_path / "mine.csv", index=False)
    return tmp_path


def pruned(capsys: pytest.CaptureFixture[str], own: Path, *words: str) -> tuple[Answer, pd.DataFrame]:
    """What is said, and how many of each group are kept."""
    answer = call(capsys, "prune", "task=text", f"task.path={own / 'own.jsonl'}", "task.vocabulary=257",
                  "task.context=32", "task.group=format", "scorer=file", f"scorer.path={own / 'mine.csv'}", "--json",
                  f"results={own / 'results'}", *words)  # fmt: skip
    assert answer.code == 0, answer.err
    (made,) = answer.objects
    folder = Store(own / "results").get("prune", made["key"])
    groups = pd.read_parquet(folder.path / "groups.parquet").set_index("name")
    kept, share = groups["kept"] / groups["pool"], folder.record["metrics"]
    assert share["smallest_group_kept"] == pytest.approx(kept.min())
    assert share["largest_group_kept"] == pytest.approx(kept.max())
    return answer, groups


def test_a_format_that_pruning_drops_is_said_by_name(capsys: pytest.CaptureFixture[str], own: Path) -> None:
    answer, groups = pruned(capsys, own, "keep=0.6")
    assert groups["kept"]["format=words"] == 0
    assert "every example of format=words was dropped" in answer.err
    assert groups["kept"].sum() == round(0.6 * groups["pool"].sum() + 1e-9)


def test_shares_that_are_halved_are_said(capsys: pytest.CaptureFixture[str], own: Path) -> None:
    answer, groups = pruned(capsys, own, "keep=0.8")
    words = groups["kept"]["format=words"] / groups["kept"].sum()
    pool = groups["pool"]["format=words"] / groups["pool"].sum()
    assert words < pool / 2
    said = (
        f"shares halved or doubled: format=words is {words:.1%} of what is kept and {pool:.1%} of the pool; balance=1"
    )
    assert said in answer.err
    assert "format=prog is" not in answer.err  # a quarter more
    assert f"share of the pool -> of what is kept: format=words {pool:.1%} -> {words:.1%}, format=" in answer.err


@pytest.mark.parametrize("unit", ["window", "document"])
def test_balance_holds_the_shares_of_groups(capsys: pytest.CaptureFixture[str], own: Path, unit: str) -> None:
    answer, groups = pruned(capsys, own, "keep=0.5", "balance=1", f"task.unit={unit}")
    assert (groups["kept"] - groups["pool"] / 2).abs().max() <= 1
    assert "dropped" not in answer.err
    assert "shares halved" not in answer.err
    (folder,) = Store(own / "results").folders("prune")
    kept = pd.read_parquet(folder.path / "kept.parquet")["id"].str.slice(4, 9).astype(int)
    pool = pd.read_parquet(Store(own / "results").folders("score")[0].path / "scores.parquet")
    numbers = pool["id"].str.slice(4, 9).astype(int)
    for place in range(3):  # within each format the highest scores, which are the last rows
        member = np.sort(numbers[numbers % 3 == place])
        own_kept = np.sort(kept[kept % 3 == place])
        assert own_kept.tolist() == member[-len(own_kept) :].tolist()


def settings(own: Path, **task: Any) -> Run:
    text = {"name": "text", "path": str(own / "own.jsonl"), "vocabulary": 257, "context": 32} | task
    score = {"name": "file", "path": str(own / "mine.csv")}
    return Run.model_validate(
        {"task": text, "model": "gpt", "recipe": {"epochs": 1}, "scorer": score, "keep": 0.5, "balance": 0}
    )


def test_the_group_is_part_of_what_is_kept_and_of_no_other_key(own: Path) -> None:
    plain, grouped = settings(own), settings(own, group="format")
    assert job_of("score", plain).key == job_of("score", grouped).key
    assert job_of("prune", plain).key != job_of("prune", grouped).key
    everything = [one.model_copy(update={"keep": 1.0}) for one in (plain, grouped)]
    assert len({job_of("train", one).key for one in everything}) == 1


def test_balance_of_text_needs_a_group(capsys: pytest.CaptureFixture[str], own: Path) -> None:
    answer = call(capsys, "prune", "task=text", f"task.path={own / 'own.jsonl'}", "balance=0.5", "keep=0.5")
    assert answer.code == 2
    assert "task.group=COLUMN" in answer.err


def test_a_wrong_column_stops_before_anything_is_trained(capsys: pytest.CaptureFixture[str], own: Path) -> None:
    answer = call(capsys, "prune", "task=text", f"task.path={own / 'own.jsonl'}", "task.group=formt", "keep=0.5",
                  "scorer=loss", "task.vocabulary=257", f"results={own / 'results'}")  # fmt: skip
    assert answer.code == 2, answer.err
    assert "did you mean format?" in answer.err
    assert not Store(own / "results").folders("train")
