"""scorer=moderate: how far an example is from the middle of its class."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, ScorerChoice
from .evidence import Proxies, of_classes
from .folds import Folds


@choice("scorer", "moderate", source="Moderate coreset, ICLR 2023")
class Moderate(ScorerChoice):
    """Euclidean distance to the own class's median feature, published with the examples in the middle kept.

    All classes are in one ranking: rule=middle.
    """

    proxies: Proxies = 1  # models that are trained to judge the examples
    folds: Folds = None  # judge each example by proxies of the other folds; null: by proxies that saw it

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)

    def score(self, evidence: Evidence) -> Floats:
        from ..models.features import penultimate

        labels = evidence.task.labels("train")
        assert labels is not None, "moderate needs classes"
        rows = []
        for proxy in evidence.proxies:
            features = penultimate(evidence.task, proxy.model, "train")
            distance = np.empty(len(features))
            for label in np.unique(labels):
                own = labels == label
                distance[own] = np.linalg.norm(features[own] - np.median(features[own], axis=0), axis=1)
            rows.append(distance)
        return np.stack(rows)
