"""scorer=ensemble_disagreement: in how far the members of an ensemble predict different things."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from ..choices import choice
from ..contracts import IGNORED, Evidence, Floats, ScorerChoice
from .folds import Folds


@choice("scorer", "ensemble_disagreement", source="BALD, arXiv:1112.5745, after arXiv:1905.12737")
class Disagreement(ScorerChoice):
    """Divergence KL(p_m || mean p) of each member's prediction from the ensemble's mean, in nats; text: token mean.

    The mean over members is the mutual information of prediction and member, the standard score of ensemble active
    learning (which of the scores of arXiv:1905.12737 it is, is unverified).
    """

    proxies: Annotated[int, Field(ge=2, le=100)] = 3  # models that are trained to judge the examples
    folds: Folds = None  # judge each example by proxies of the other folds; null: by proxies that saw it

    def score(self, evidence: Evidence) -> Floats:
        import torch

        from ..models.outputs import BATCH, place

        task, proxies = evidence.task, evidence.proxies
        found: dict[str, Floats] = {}
        with torch.inference_mode():
            for batch in task.batches("train", size=BATCH[task.kind]):
                members = torch.stack([task.outputs(proxy.model, batch).float().log_softmax(-1) for proxy in proxies])
                mean = members.logsumexp(0) - math.log(len(proxies))  # (B, C), or (B, T, V)
                apart = (members.exp() * (members - mean)).sum(-1)  # (proxies, B), or (proxies, B, T)
                if apart.ndim == 3:
                    counted = batch.targets != IGNORED
                    apart = (apart * counted).sum(-1) / counted.sum(-1)
                place(found, batch, {"apart": apart.T}, task.size("train"))
        return found["apart"].T
