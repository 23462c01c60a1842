"""track=wandb: runs of Weights & Biases, offline unless asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..choices import choice
from ..contracts import Place, Sent, TrackChoice


@choice("track", "wandb", source="https://docs.wandb.ai")
class Wandb(TrackChoice):
    """A run of the project `project` for each run and page; a page is an artefact. Offline runs stay in the store."""

    extra = "wandb"
    project: Place = "prune-lab"
    mode: Literal["offline", "online"] = "offline"

    def send(self, sent: Sequence[Sent], group: str, results: Path) -> str:
        import wandb

        quiet = wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True)
        (results / "wandb").mkdir(parents=True, exist_ok=True)
        for one in sent:
            if one.page is None and any((results / "wandb").glob(f"*run-*-{one.key}")):
                continue  # a run's content never changes
            run = wandb.init(
                project=self.project, group=group, name=one.name, id=one.key, mode=self.mode, dir=str(results),
                config=dict(one.settings), settings=quiet, reinit="finish_previous",
            )  # fmt: skip
            rows: dict[int, dict[str, float]] = {}
            for name, (steps, values) in one.curves.items():
                for step, value in zip(steps, values, strict=True):
                    rows.setdefault(int(step), {})[name] = float(value)
            for step in sorted(rows):
                run.log(rows[step], step=step)
            run.summary.update(dict(one.metrics))
            if one.claims:
                run.summary["claims"] = [f"{claim['verdict']}: {claim['claim']}" for claim in one.claims]
            if one.page is not None:
                artifact = wandb.Artifact(f"page-{one.key}", type="page")
                artifact.add_dir(str(one.page))
                run.log_artifact(artifact)
            run.finish()
        return f"wandb sync {results / 'wandb'}/offline-run-*" if self.mode == "offline" else f"project {self.project}"
