"""track=tensorboard: event files that TensorBoard reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..choices import choice
from ..contracts import Place, Sent, TrackChoice


@choice("track", "tensorboard", source="https://www.tensorflow.org/tensorboard")
class TensorBoard(TrackChoice):
    """Event files in `path`: scalars and settings of each run, claims as text; a page is copied beside its events."""

    extra = "tensorboard"
    path: Place | None = None  # null: tensorboard/ in the store

    def send(self, sent: Sequence[Sent], group: str, results: Path) -> str:
        from torch.utils.tensorboard import SummaryWriter

        root = results / "tensorboard" if self.path is None else Path(self.path)
        for one in sent:
            folder = root / group / one.key
            if folder.exists() and one.page is None:
                continue  # a run's content never changes
            shutil.rmtree(folder, ignore_errors=True)
            with SummaryWriter(str(folder)) as writer:
                writer.add_text("name", one.name)
                writer.add_text("settings", f"```\n{json.dumps(dict(one.settings), indent=1, default=str)}\n```")
                for name, (steps, values) in one.curves.items():
                    for step, value in zip(steps, values, strict=True):
                        writer.add_scalar(name, float(value), int(step))
                for name, value in one.metrics.items():
                    writer.add_scalar(f"metrics/{name}", value, 0)
                for claim in one.claims:
                    writer.add_text("claims", f"{claim['verdict']}: {claim['claim']}: {claim['sentence']}")
            if one.page is not None:
                shutil.copytree(one.page, folder / "page")
        return f"tensorboard --logdir {root}"
