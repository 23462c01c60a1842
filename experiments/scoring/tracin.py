"""scorer=tracin: how much training on an example helps the predictions on dev, at checkpoints of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from .evidence import Proxies
from .folds import Folds

CHECKPOINTS = (0.1, 0.5, 1.0)  # shares of the schedule after which it looks


@choice("scorer", "tracin", source="TracInCP, arXiv:2002.08484, equation 1")
class Tracin(ScorerChoice):
    """Gradient of the loss times gradient of dev's mean loss, at a tenth, at half and at the end of each schedule.

    All checkpoints count alike, where the paper weighs by the learning rate. One forward-mode pass a checkpoint.
    """

    sees_dev = True
    higher_means = "more helpful to dev"
    proxies: Proxies = 1  # models that are trained to judge the examples
    folds: Folds = None  # judge each example by proxies of the other folds; null: by proxies that saw it

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        looks = [{"share": share} if share < 1 else {} for share in CHECKPOINTS]
        return [ProxyRun({"number": number} | look) for number in range(self.proxies) for look in looks]

    def score(self, evidence: Evidence) -> Floats:
        from ..contribution.meter import contributions

        return np.stack([contributions(evidence.task, proxy.model) for proxy in evidence.proxies])
