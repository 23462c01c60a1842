"""Trackers of experiments: each one's own reader finds the settings, curves, metrics, claims and page of a sweep."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from prune_lab.cli import track as tracking
from prune_lab.cli.show import Show
from prune_lab.experiments import choices
from prune_lab.experiments.contracts import Sent, TrackChoice
from prune_lab.experiments.store.folders import Store

from .command_line import TINY, call


@pytest.fixture
def sent(tmp_path: Path) -> list[Sent]:
    """A run and a page."""
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<h1>mine</h1>")
    curve = np.array([4, 8]), np.array([0.5, 0.25])
    run = Sent("3f2a", "digits, seed 0", {"model.width": 16, "keep": 0.5}, {"accuracy": 0.75}, {"dev_loss": curve})
    claim = {"claim": "it learns", "verdict": "holds", "sentence": "accuracy: 0.75"}
    return [run, Sent("mine", "Mine", {}, {"claims_holds": 1.0}, {}, [claim], page)]


def send(name: str, sent: Sequence[Sent], results: Path) -> None:
    """Twice: a run is shown once."""
    tracker = choices.get("track", name)()
    assert isinstance(tracker, TrackChoice)
    for _ in range(2):
        tracker.send(sent, "sweep", results)


def test_tensorboard(sent: list[Sent], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    send("tensorboard", sent, tmp_path)
    run, page = (EventAccumulator(str(tmp_path / "tensorboard" / "sweep" / key)).Reload() for key in ("3f2a", "mine"))
    assert [(one.step, one.value) for one in run.Scalars("dev_loss")] == [(4, 0.5), (8, 0.25)]
    assert run.Scalars("metrics/accuracy")[0].value == 0.75
    assert b'"model.width": 16' in run.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]
    assert b"holds: it learns" in page.Tensors("claims/text_summary")[0].tensor_proto.string_val[0]
    assert (tmp_path / "tensorboard" / "sweep" / "mine" / "page" / "index.html").is_file()


def test_mlflow(sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    send("mlflow", sent, tmp_path)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("prune-lab").experiment_id
    page, run = sorted(client.search_runs([experiment]), key=lambda one: one.info.run_name != "Mine")
    assert len(client.search_runs([experiment])) == 2
    assert run.data.params == {"model.width": "16", "keep": "0.5"}
    assert run.data.metrics["accuracy"] == 0.75
    history = client.get_metric_history(run.info.run_id, "dev_loss")
    assert [(one.step, one.value) for one in history] == [(4, 0.5), (8, 0.25)]
    assert page.data.tags["claim 1"] == "holds: it learns"
    assert [one.path for one in client.list_artifacts(page.info.run_id, "page")] == ["page/index.html"]


def test_wandb(sent: list[Sent], tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    send("wandb", sent, tmp_path)
    (run,) = (tmp_path / "wandb").glob("offline-run-*-3f2a/*.wandb")  # what `wandb sync` reads
    for said in (b"model.width", b"dev_loss", b"0.25", b"accuracy", b"0.75", b"digits, seed 0"):
        assert said in run.read_bytes()
    *_, page = sorted((tmp_path / "wandb").glob("offline-run-*-mine/*.wandb"))
    assert b"index.html" in page.read_bytes()


def test_trackio(sent: list[Sent], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trackio = pytest.importorskip("trackio")
    send("trackio", sent, tmp_path)
    from trackio.sqlite_storage import SQLiteStorage

    runs = {run.name: run for run in trackio.Api().runs("prune-lab")}
    run, page = runs["digits, seed 0 (3f2a)"], runs["Mine (mine)"]
    assert len(trackio.Api().runs("prune-lab")) == 2
    assert {"model.width": 16, "keep": 0.5}.items() <= run.config.items()
    assert page.config["claim 1"] == "holds: it learns"
    logs = SQLiteStorage.get_logs("prune-lab", run.name)
    assert [(one["step"], one["dev_loss"]) for one in logs if "dev_loss" in one] == [(4, 0.5), (8, 0.25)]
    assert [one["metrics/accuracy"] for one in logs if "metrics/accuracy" in one] == [0.75]


def test_a_sweep_and_its_page_are_sent_after_they_are_published(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sent] = []

    def sending(self: TrackChoice, sent: Sequence[Sent], group: str, results: Path) -> str:
        assert all(Store(str(results)).find("evaluate", one.key) for one in sent[:-1])
        assert (results / "report" / group / "index.html").is_file()
        seen.extend(sent)
        raise ConnectionError("no server")

    monkeypatch.setattr(choices.get("track", "tensorboard"), "send", sending)
    words = ["report", *TINY, "keep=0.5", "rule=random", "track=tensorboard", f"results={tmp_path}"]
    answer = call(capsys, *words)
    assert answer.code == 0  # what is published is not harmed
    assert "warning: track=tensorboard failed, and results are not harmed: ConnectionError: no server" in answer.err
    run, page = seen
    assert run.settings["train.recipe.epochs"] == 3
    assert run.settings["prune.keep"] == 0.5
    assert 0 <= run.metrics["accuracy"] <= 1
    steps, values = run.curves["dev_loss"]
    assert len(steps) == len(values) == 3
    assert page.page is not None
    assert "track" not in str(page.settings["command"])
    assert "track" not in (tmp_path / "evaluate" / run.key / "record.json").read_text()
    tracking.track(None, Store(str(tmp_path)), "evaluate", [run.key], Show(as_json=False))
    assert "track" not in capsys.readouterr().err


def test_no_tracker_is_imported_unless_asked_for() -> None:
    code = (
        "import sys; from prune_lab.experiments import choices; from prune_lab.cli import reports\n"
        "list(choices.every('track'))\n"
        "assert not {'tensorboard', 'mlflow', 'wandb', 'trackio'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
