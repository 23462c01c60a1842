"""The phase simulate: one seed of a study. What is measured is the study's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contracts import StudyChoice
from .work import Work


def simulate(work: Work) -> dict[str, Any]:
    """Write every table that the study measured as NAME.parquet; its metrics, null where a number is not finite."""
    study = work.job.settings["study"]
    assert isinstance(study, StudyChoice)
    tables, metrics = study.measure(work)
    if not work.machine:
        work.on("cpu")
    for name, table in tables.items():
        table.to_parquet(work.folder / f"{name}.parquet", index=False)
    return {name: value if np.isfinite(value) else None for name, value in metrics.items()}
