"""scorer=el2n: the norm of softmax minus one-hot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from ..errors import ConfigError
from .evidence import EARLY, Epoch, Proxies, recorded, runs, seen

CCS_EPOCHS = 10  # epochs that CCS sums over (arXiv:2210.15809)


@choice("scorer", "el2n", source="arXiv:2107.07075")
class El2n(ScorerChoice):
    """EL2N: norm of softmax minus one-hot, in four published conventions.

    data_diet: L2 norm at an early epoch, mean over proxies. squared: its square (the Brier form of arXiv:2303.14753).
    ccs: sum over the first ten epochs of the training-mode value (arXiv:2210.15809). single: data_diet with one proxy.
    """

    convention: Literal["data_diet", "squared", "ccs", "single"] = "data_diet"
    epoch: Epoch = None  # null: a tenth of the schedule, at least 1 (Data Diet: 20 of 200)
    proxies: Proxies = 3

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        if self.convention == "ccs":
            if self.epoch is not None:
                raise ConfigError("scorer.epoch has no meaning with scorer.convention=ccs", "leave scorer.epoch out")
            return runs(self.proxies, most_epochs=CCS_EPOCHS, observe=True)
        look = {"share": EARLY} if self.epoch is None else {"epoch": self.epoch}
        return runs(1 if self.convention == "single" else self.proxies, **look)

    def score(self, evidence: Evidence) -> Floats:
        if self.convention == "ccs":  # NaN where an example missed an epoch: its sum would not compare
            return np.stack([recorded(evidence, p, "error")[:CCS_EPOCHS].sum(0) for p in evidence.proxies])
        error = seen(evidence, "error")
        return error**2 if self.convention == "squared" else error
