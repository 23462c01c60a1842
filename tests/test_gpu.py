"""The same run on a GPU and on the CPU gives the same numbers, to rounding. Skipped where torch sees no GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from .command_line import TINY, call, changed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that this torch can use")

CONVNET = ["task=digits", "task.examples=200", "model=convnet", "model.width=0.125", "recipe=digits"]
TEXT = ["task=pydoc", "task.documents=20", "task.examples=40", "task.context=16", "task.vocabulary=300"]
SMALL = ["model.width=16", "model.depth=1", "model.heads=2"]
SEARCH = ["recipe=flow", "recipe.steps=5", "search.epochs=2", "search.looks=2"]
FLOAT32 = "recipe.precision=float32"


def metrics(capsys: pytest.CaptureFixture[str], results: Path, device: str, *words: str) -> dict[str, float]:
    """What the command's runs measured on a device, numbers only."""
    made = call(capsys, *words, FLOAT32, f"device={device}", f"results={results / device}", "--json")
    assert made.code == 0, made.err
    return {
        f"{run} {name}": value
        for run, found in enumerate(made.objects)
        for name, value in found["metrics"].items()
        if isinstance(value, float)
    }


@pytest.mark.parametrize(
    "words",
    [
        [
            "evaluate",
            *changed(*TINY, "recipe.epochs=6"),
            "budget=steps",
            "policy=uniform,infobatch,rs2,loss_proportional,equal_contribution",
        ],
        ["evaluate", *CONVNET, "recipe.epochs=1"],
        ["evaluate", *TEXT, *SMALL, "recipe.epochs=1"],
        ["search", "task=digits", "task.examples=60", *SEARCH],
        ["search", *changed(*CONVNET, "task.examples=60", *SEARCH), "model.norm=group"],
        ["search", *changed(*TEXT, "task.documents=100"), "task.dev=0.4", *SMALL, *SEARCH],
    ],
    ids=["policies", "convnet", "text", "search", "search a convnet", "search text"],
)
def test_a_run_measures_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]) -> None:
    there, here = (metrics(capsys, tmp_path, device, *words) for device in ("cuda", "cpu"))
    assert there.keys() ^ here.keys() == set()
    for name, value in here.items():
        assert there[name] == pytest.approx(value, rel=0.02, abs=0.011), name  # 0.01: one digit more or less is right


@pytest.mark.parametrize(
    "scorer",
    ["el2n", "grand", "forgetting", "memorization", "prototypes", "tdds", "mask", "tracin", "ddd", "input_norm"],
)
def test_a_score_ranks_the_same(capsys: pytest.CaptureFixture[str], tmp_path: Path, scorer: str) -> None:
    values = {}
    for device in ("cpu", "cuda"):
        results = tmp_path / device
        made = call(capsys, "score", *TINY, f"scorer={scorer}", FLOAT32, f"device={device}", f"results={results}")
        assert made.code == 0, made.err
        (path,) = results.glob("score/*/scores.parquet")
        values[device] = pd.read_parquet(path)["score"].to_numpy()
    assert np.corrcoef(values["cpu"], values["cuda"])[0, 1] > 0.999
