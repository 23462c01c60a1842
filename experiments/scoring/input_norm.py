"""scorer=input_norm: the norm of the input."""

from __future__ import annotations

from typing import Any

from ..choices import choice
from ..contracts import Evidence, Floats, ScorerChoice
from .evidence import of_classes


@choice("scorer", "input_norm", source="arXiv:2303.14753")
class InputNorm(ScorerChoice):
    """Norm of the input as a model gets it: what GraNd at initialisation tracks. No proxies."""

    higher_means = "a larger input"

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)

    def score(self, evidence: Evidence) -> Floats:
        from ..contribution.norms import input_norms

        return input_norms(evidence.task)
