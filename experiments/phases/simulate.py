"""The phase simulate: one seed of a study. What is measured is the study's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..contracts import StudyChoice
from ..errors import ConfigError
from .work import Work


def simulate(work: Work) -> dict[str, Any]:
    """Write every table that the study measured as NAME.parquet; its metrics, null where a number is not finite."""
    study = work.job.settings["study"]
    assert isinstance(study, StudyChoice)
    measured = study.measure(work)
    if not (isinstance(measured, tuple) and len(measured) == 2 and "runs" not in measured[0]):
        raise ConfigError(f"study={study.name}: measure must return tables, none of them called runs, and metrics")
    tables, metrics = measured
    if not work.machine:
        work.on("cpu")
    for name, table in tables.items():
        table.to_parquet(work.folder / f"{name}.parquet", index=False)
    return {name: value if np.isfinite(value) else None for name, value in metrics.items()}
