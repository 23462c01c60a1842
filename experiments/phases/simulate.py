"""The phase simulate: one seed of a study. What is measured is the study's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..contracts import StudyChoice
from ..errors import ConfigError
from .work import Work


def simulate(work: Work) -> dict[str, Any]:
    """Write every table that the study measured as NAME.parquet; its metrics, null where a number is not finite."""
    study = work.job.settings["study"]
    assert isinstance(study, StudyChoice)
    measured = study.measure(work)
    _check(study, measured)
    tables, metrics = measured
    if not work.machine:
        work.on("cpu")
    for name, table in tables.items():
        table.to_parquet(work.folder / f"{name}.parquet", index=False)
    return {name: value if np.isfinite(value) else None for name, value in metrics.items()}


def _check(study: StudyChoice, measured: Any) -> None:
    """Refuse what could not be written, or would hide a setting on the page."""
    if not (isinstance(measured, tuple) and len(measured) == 2 and all(isinstance(one, Mapping) for one in measured)):
        raise ConfigError(f"study={study.name}: measure must return two dicts, of tables and of metrics")
    tables, metrics = measured
    taken = ({*type(study).model_fields, "seed", "simulate"} & set(metrics)) | ({"runs"} & set(tables))
    if taken:
        raise ConfigError(f"study={study.name}: {', '.join(sorted(taken))} is a name that the page has already")
    wrong = [name for name, one in tables.items() if not isinstance(one, pd.DataFrame) or not name.isidentifier()]
    wrong += [name for name, one in metrics.items() if not isinstance(one, int | float | np.number)]
    if wrong:
        raise ConfigError(f"study={study.name}: tables are DataFrames and metrics numbers, not {', '.join(wrong)}")
