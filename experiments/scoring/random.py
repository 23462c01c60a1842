"""scorer=random: the control."""

from __future__ import annotations

from ..choices import choice
from ..contracts import Evidence, Floats, ScorerChoice
from ..seeds import numpy_stream


@choice("scorer", "random", version=2)
class Random(ScorerChoice):
    """A uniform random number: the control."""

    higher_means = "nothing"
    draws = True

    def score(self, evidence: Evidence) -> Floats:
        return numpy_stream(evidence.seed, "score").random((1, len(evidence.data.splits["train"].ids)))
