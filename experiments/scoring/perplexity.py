"""scorer=perplexity: the loss of text under models that never saw it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ..choices import choice
from ..contracts import Evidence, Floats, ScorerChoice
from .evidence import Proxies, of_text, seen


@choice("scorer", "perplexity", source="arXiv:2309.04564, 2405.20541", version=2)
class Perplexity(ScorerChoice):
    """Mean loss a token of a window, in nats, under proxies that never saw its document (cross-fitted).

    The tokenizer is the task's: it was trained on the training documents of every fold.
    """

    folds: Annotated[int, Field(ge=2, le=20)] = 2  # no proxy judges its own
    proxies: Proxies = 1  # per fold

    def fits(self, run: Any) -> None:
        of_text(self.name, run)

    def score(self, evidence: Evidence) -> Floats:
        return seen(evidence, "loss")
