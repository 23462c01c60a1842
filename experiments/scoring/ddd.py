"""scorer=ddd: the share of models that get an example wrong."""

from __future__ import annotations

from typing import Any

from ..choices import choice
from ..contracts import Evidence, Floats, ScorerChoice
from .evidence import Proxies, of_classes, seen


@choice("scorer", "ddd", source="after arXiv:2110.05922, read in its abstract alone")
class Ddd(ScorerChoice):
    """Share of models that get the example wrong, after dichotomous data difficulty.

    There: images that all models get right (0, trivial) or wrong (1, impossible). The share between the ends is our
    reading, and there the models judge images that they were not trained on.
    """

    proxies: Proxies = 10  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)

    def score(self, evidence: Evidence) -> Floats:
        return 1 - seen(evidence, "correct")
