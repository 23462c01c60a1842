"""scorer=craig: examples in the order in which their gradients stand for those of all."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, Indices, Proxy, ScorerChoice
from .evidence import Proxies, of_classes
from .greedy import Within, coverage, scores_by_order, similarities


@choice("scorer", "craig", source="arXiv:1906.01827")
class Craig(ScorerChoice):
    """The turn in which CRAIG chooses an example: facility location on distances between gradients at the logits.

    A gradient is softmax minus one-hot at the end of a proxy's training (the paper's bound for deep networks), and
    similarity the largest distance less the distance. The paper also weighs each chosen example by how many it stands
    for, and chooses anew every few epochs; here all weigh alike and the choice is made once. rule=hard keeps the first.
    """

    higher_means = "chosen earlier"
    within: Within = "class"  # an order of each class, or one of everything
    proxies: Proxies = 1  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)

    def score(self, evidence: Evidence) -> Floats:
        from ..models.gradients import at_logits

        def gradients(proxy: Proxy) -> Floats:
            return at_logits(evidence.task, proxy.model, "train")

        return scores_by_order(evidence, gradients, covering, self.within, self.name)


def covering(gradients: Floats) -> Indices:
    """(n,) places by facility location of gradients (n, C), similar where they are near."""
    similarities(len(gradients))
    vectors = (gradients - gradients.mean(0)).astype(np.float32)
    squares = np.square(vectors).sum(1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares - 2 * vectors @ vectors.T, 0))
    return coverage(distance.max() - distance)
