"""scorer=class_error: how hard the example's class is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, ScorerChoice
from .evidence import Proxies, of_classes


@choice("scorer", "class_error", source="arXiv:2404.05579")
class ClassError(ScorerChoice):
    """Error of the example's class on the dev split, for rule=quota; of all classes where dev has none of it."""

    sees_dev = True
    by_class = True

    proxies: Proxies = 3  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)

    def score(self, evidence: Evidence) -> Floats:
        from ..models.outputs import examine

        task = evidence.task
        labels, held_out = task.labels("train"), task.labels("dev")
        assert labels is not None, "class_error needs classes"
        assert held_out is not None, "class_error needs classes"
        members = np.bincount(held_out, minlength=len(task.classes))
        rows = []
        for proxy in evidence.proxies:
            wrong = 1 - examine(task, proxy.model, "dev")["correct"]
            errors = np.bincount(held_out, weights=wrong, minlength=len(members)) / np.maximum(1, members)
            rows.append(np.where(members, errors, wrong.mean())[labels])
        return np.stack(rows)
