"""The separator of largest margin, exactly."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from ...contracts import Floats


def max_margin(rows: Floats) -> Floats:
    """(N,) unit w with the largest min(rows @ w); rows (P, N) are inputs times labels.

    Least-distance programming (Lawson and Hanson 1974, §23.4): the shortest w with rows @ w >= 1 from one non-negative
    least-squares problem. ValueError where the rows cannot be separated.
    """
    num_rows, dimension = rows.shape
    system = np.vstack([rows.T, np.ones(num_rows)])
    target = np.zeros(dimension + 1)
    target[-1] = 1.0
    dual, _ = nnls(system, target, maxiter=30 * num_rows)
    residual = system @ dual - target
    if -residual[-1] < 1e-12:
        raise ValueError("these rows cannot be separated")
    student: Floats = residual[:dimension]
    return student / np.linalg.norm(student)
