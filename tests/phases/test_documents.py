"""task.unit=document: windows' scores become a document's by its tokens, and whole documents are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prune_lab.experiments.data.texts import AnyText
from prune_lab.experiments.phases import export
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.pruning.units import documents_of, mean_over_tokens
from prune_lab.experiments.store.folders import Store

from ..command_line import call


def test_a_document_has_the_mean_over_its_tokens() -> None:
    windows = np.array(["b/1#0", "a#1", "b/1#10", "a#0", "b/1#2"])
    names, member = documents_of(windows)
    assert names.tolist() == ["a", "b/1"]
    means = mean_over_tokens(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), member, np.array([10, 30, 5, 10, 5]))
    np.testing.assert_allclose(means, [(2 * 30 + 4 * 10) / 40, (1 * 10 + 3 * 5 + 5 * 5) / 20])


def lines(file: Path, number: int = 40) -> list[str]:
    """Documents of one to five windows of 16 tokens (bytes), each with a column beside the text."""
    made = [json.dumps({"text": chr(97 + row % 26) * (16 * (1 + row % 5)), "row": row}) for row in range(number)]
    file.write_text("\n".join(made) + "\n")
    return made


def test_whole_documents_are_kept_and_leave_as_lines(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    made = lines(tmp_path / "own.jsonl")
    scores = pd.DataFrame({"id": [f"all/{row:05}" for row in range(40)], "score": range(40)})
    scores.to_csv(tmp_path / "mine.csv", index=False)  # of documents: each window gets its document's
    words = ["task=text", f"task.path={tmp_path / 'own.jsonl'}", "task.vocabulary=257", "task.context=16",
             "task.unit=document", "scorer=file", f"scorer.path={tmp_path / 'mine.csv'}", results]  # fmt: skip
    answer = call(capsys, "prune", *words, "rule=middle", "keep=0.5", f"export={tmp_path / 'kept.jsonl'}")
    assert answer.code == 0, answer.err
    assert "a document's score is that of all its windows" in answer.err
    store = Store(tmp_path / "results")
    (made_of,) = store.folders("prune")

    def written(phase: str, name: str) -> Path:
        (folder,) = store.folders(phase)
        task = {"name": "text", "path": str(tmp_path / "own.jsonl"), "vocabulary": 257, "context": 16}
        settings = {"task": {**task, "unit": "document"}, "model": "gpt", "recipe": {"epochs": 1}, "scorer": "random"}
        export.export(store, folder, Run.model_validate({**settings, "export": str(tmp_path / name)}))
        return tmp_path / name

    table = pd.read_parquet(made_of.path / "documents.parquet")
    assert (made_of.record["metrics"]["kept_documents"], len(table)) == (round(len(table) / 2 + 1e-9), len(table))
    rows = table["id"].str[-5:].astype(int)
    assert table["score"].tolist() == rows.tolist()
    assert table["windows"].tolist() == [1 + row % 5 for row in rows]
    assert table["tokens"].tolist() == [16 * (1 + row % 5) for row in rows]
    kept = rows[table["kept"]].tolist()
    middle = sorted(rows)[len(rows) // 4 :][: len(kept)]
    assert abs(len(set(kept) & set(middle)) - len(kept)) <= 1
    assert (tmp_path / "kept.jsonl").read_text().splitlines() == [made[row] for row in kept]
    assert np.load(written("prune", "kept.npy")).tolist() == kept
    whole = pd.read_csv(written("prune", "kept.csv"))
    assert list(whole) == ["id", "windows", "tokens", "score", "kept", "split", "reason"]
    assert len(whole) == 40
    assert set(whole.loc[whole["split"] != "train", "reason"]) == {"held out as dev", "held out as test"}
    assert pd.read_csv(written("score", "scores.csv"))["score"].tolist() == rows.tolist()
    windows = pd.read_parquet(made_of.path / "kept.parquet")["id"]  # what training reads
    assert sorted(set(windows.str.partition("#")[0])) == table["id"][table["kept"]].tolist()
    assert len(windows) == table["windows"][table["kept"]].sum()


def test_only_what_is_kept_depends_on_the_unit(tmp_path: Path) -> None:
    lines(tmp_path / "own.jsonl", 2)

    def jobs(**task: Any) -> dict[str, str]:
        settings = {"task": {"name": "text", "path": str(tmp_path / "own.jsonl"), **task}, "model": "gpt", "keep": 0.5}
        run = Run.model_validate({**settings, "recipe": {"epochs": 1}, "scorer": "perplexity"})
        return {phase: job_of(phase, run).key for phase in ("score", "prune")}

    windows, documents = jobs(), jobs(unit="document")
    assert windows["score"] == documents["score"]  # no proxy is trained again
    assert windows["prune"] != documents["prune"]
    with pytest.raises(ValueError, match=r"would cut documents: use task\.documents"):
        AnyText(name="text", path="x", unit="document", examples=100)
