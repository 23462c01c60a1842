"""track=trackio: runs of Trackio, which keeps them on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..choices import choice
from ..contracts import Place, Sent, TrackChoice


@choice("track", "trackio", source="https://github.com/gradio-app/trackio")
class Trackio(TrackChoice):
    """A run of the project `project` for each run and page, in $TRACKIO_DIR, else in trackio/ in the store."""

    extra = "trackio"
    project: Place = "prune-lab"

    def send(self, sent: Sequence[Sent], group: str, results: Path) -> str:
        os.environ.setdefault("TRACKIO_DIR", str((results / "trackio").resolve()))  # read at its import
        import trackio

        there = {}
        with suppress(ValueError):  # there is no such project yet
            there = {str(run.name): run for run in trackio.Api().runs(self.project)}
        for one in sent:
            name = f"{one.name} ({one.key})"
            if name in there and one.page is None:
                continue  # a run's content never changes
            if name in there:
                there[name].delete()
            claims = {f"claim {n}": f"{c['verdict']}: {c['claim']}" for n, c in enumerate(one.claims, 1)}
            run = trackio.init(
                project=self.project, name=name, group=group, config=dict(one.settings) | claims, embed=False,
                auto_log_cpu=False, auto_log_gpu=False,
            )  # fmt: skip
            for curve, (steps, values) in one.curves.items():
                for step, value in zip(steps, values, strict=True):
                    run.log({curve: float(value)}, step=int(step))
            if one.metrics:
                run.log({f"metrics/{metric}": value for metric, value in one.metrics.items()})
            if one.page is not None:
                trackio.log_artifact(one.page, name=f"page-{one.key}", type="page")
            trackio.finish()
        return f"TRACKIO_DIR={os.environ['TRACKIO_DIR']} trackio show --project {self.project}"
