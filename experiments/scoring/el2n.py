"""scorer=el2n: the norm of softmax minus one-hot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from ..errors import ConfigError
from .evidence import EARLY, Epoch, Proxies, recorded, runs, seen
from .folds import Folds
from .windows import whole

CCS_EPOCHS = 10  # epochs that CCS sums over (arXiv:2210.15809)


@choice("scorer", "el2n", source="arXiv:2107.07075")
class El2n(ScorerChoice):
    """EL2N: norm of softmax minus one-hot, in four published conventions.

    data_diet: L2 norm at an early epoch, mean over proxies. squared: its square (the Brier form of arXiv:2303.14753).
    ccs: sum over the first ten epochs of the training-mode value (arXiv:2210.15809). single: data_diet with one proxy.
    """

    convention: Literal["data_diet", "squared", "ccs", "single"] = "data_diet"
    epoch: Epoch = None  # null: a tenth of the schedule, at least 1 (Data Diet: 20 of 200)
    proxies: Proxies = 3  # models that are trained to judge the examples
    folds: Folds = None  # judge each example by proxies of the other folds; null: by proxies that saw it

    def recipe(self) -> Any:
        return self.model_copy(update={"proxies": 1}) if self.convention == "single" else self

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        if self.convention == "ccs":
            if self.epoch is not None:
                raise ConfigError("scorer.epoch has no meaning with scorer.convention=ccs", "leave scorer.epoch out")
            return runs(self.proxies, most_epochs=CCS_EPOCHS, observe=True)
        look = {"share": EARLY} if self.epoch is None else {"epoch": self.epoch}
        return runs(1 if self.convention == "single" else self.proxies, **look)

    def score(self, evidence: Evidence) -> Floats:
        if self.convention == "ccs":
            errors = [whole(recorded(evidence, p, "error"))[:CCS_EPOCHS] for p in evidence.proxies]  # (epochs, N) each
            if not len(errors[0]):
                raise ConfigError("scorer.convention=ccs sums over whole epochs, and there is none", "recipe.epochs=1")
            evidence.decide(f"summed over {len(errors[0])} whole epochs; as published: {CCS_EPOCHS}")
            return np.stack([error.sum(0) for error in errors])
        error = seen(evidence, "error")
        return error**2 if self.convention == "squared" else error
