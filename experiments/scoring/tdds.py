"""scorer=tdds: how unsteadily the whole prediction moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from ..errors import ConfigError
from .evidence import Proxies, of_classes, recorded, runs
from .windows import fitted, inside, sliding, whole

DECAY = 0.9  # weight of the last window; each earlier one weighs a tenth of the next


@choice("scorer", "tdds", source="arXiv:2311.13613")
class Tdds(ScorerChoice):
    """TDDS: how unsteadily the whole prediction moves between epochs, the last windows counting most.

    With d_j the movement sum_c |p_j (log p_j - log p_{j-1})| of epoch j, a window of J epochs has J - 1 of them and
    scores the norm of their deviations from their mean. T epochs have T - J + 1 windows, the k-th weighing
    0.9 * 0.1^(T - J - k). The movements are those of training mode, recorded while the proxies train.
    """

    epochs: Annotated[int, Field(ge=3)] = 90  # published for CIFAR-100: 90 and 10 to keep 0.7, 10 and 5 to keep 0.1
    window: Annotated[int, Field(ge=3)] = 10  # epochs of a window
    proxies: Proxies = 3  # models that are trained to judge the examples

    @model_validator(mode="after")
    def _window(self) -> Tdds:
        inside(self.window, self.epochs)
        return self

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        return runs(self.proxies, most_epochs=self.epochs, observe=True, movement=True)

    def score(self, evidence: Evidence) -> Floats:
        window = fitted(evidence, self.window, self.epochs)
        if window < 3:
            raise ConfigError(
                "scorer=tdds compares two movements between epochs: it needs three epochs", "recipe.epochs=3"
            )
        rows = []
        for proxy in evidence.proxies:
            moved = whole(recorded(evidence, proxy, "movement")[1:])  # (T - 1, N): the first epoch moves from nowhere
            score = np.zeros(moved.shape[1])
            for d in sliding(moved, window - 1):
                score = (1 - DECAY) * score + DECAY * np.linalg.norm(d - d.mean(0), axis=0)
            rows.append(score)
        return np.stack(rows)
