"""scorer=prototypes: how far an example is from what is typical."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from ..choices import choice
from ..contracts import Count, Evidence, Floats, ProxyRun, ScorerChoice, Work
from ..errors import ConfigError
from ..seeds import derive
from .clusters import class_distances, cluster_distances, unit
from .evidence import Epoch, Proxies, duration, runs
from .folds import Folds


@choice("scorer", "prototypes", source="arXiv:2206.14486 §6")
class Prototypes(ScorerChoice):
    """Cosine distance to the nearest k-means centre of features, or to the own class's mean.

    The features are a proxy's, or of an encoder that SimCLR trains without labels (arXiv:2002.05709); the paper's are
    SwAV's. They are scaled to unit length before their means are taken.
    """

    supervised: bool = False  # distance to the mean of the own class
    clusters: Count = 10  # of k-means; ignored by none: refused where supervised
    epoch: Epoch = None  # null: the end
    proxies: Proxies = 1  # models that are trained to judge the examples
    folds: Folds = None  # judge each example by proxies of the other folds; null: by proxies that saw it
    encoder: Literal["proxy", "simclr"] = "proxy"  # what gives the features
    epochs: Count = 100  # of simclr; the rest of its training is the recipe's
    temperature: Annotated[float, Field(gt=0)] = 0.5  # of simclr's loss

    @model_validator(mode="after")
    def _clusters(self) -> Prototypes:
        if self.supervised and "clusters" in self.model_fields_set and self.clusters != 10:
            raise ValueError("scorer.clusters has no meaning with scorer.supervised=true (one prototype a class)")
        return self

    @model_validator(mode="after")
    def _encoder(self) -> Prototypes:
        if self.encoder == "simclr" and self.epoch is not None:
            raise ValueError("scorer.epoch has no meaning with scorer.encoder=simclr: use scorer.epochs")
        if self.encoder == "proxy" and (self.epochs, self.temperature) != (100, 0.5):
            raise ValueError("scorer.epochs and scorer.temperature are of scorer.encoder=simclr")
        return self

    def fits(self, run: Any) -> None:
        if run.task.reads == "text" and self.supervised:
            raise ValueError("scorer.supervised=true needs classes, and text has none")
        if self.encoder != "simclr":
            return
        if run.task.reads != "images":
            raise ValueError(f"scorer.encoder=simclr needs views of images, and task={run.task.name} has none")
        if not run.model.has_body:
            raise ValueError(
                f"scorer.encoder=simclr trains the layers below the head, and model={run.model.name} has none"
            )

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        if self.encoder == "simclr":
            asks = [{"number": n, "encoder": "simclr", "temperature": self.temperature} for n in range(self.proxies)]
            return [ProxyRun(one, duration(epochs=float(self.epochs))) for one in asks]
        return runs(self.proxies, **({} if self.epoch is None else {"epoch": self.epoch}))

    def trainer(self, asks: Mapping[str, Any]) -> Callable[[Work], dict[str, Any]] | None:
        if "encoder" not in asks:
            return None
        from .encoder import train_encoder

        return train_encoder

    def score(self, evidence: Evidence) -> Floats:
        from ..models.features import penultimate

        labels = evidence.task.labels("train")
        if self.supervised and labels is None:
            raise ConfigError("scorer.supervised=true needs classes, and this data set has none")
        rows = []
        for number, proxy in enumerate(evidence.proxies):
            directions = unit(penultimate(evidence.task, proxy.model, "train"))
            if self.supervised and labels is not None:
                rows.append(class_distances(directions, labels))
            else:
                rows.append(
                    cluster_distances(directions, self.clusters, seed=derive(evidence.seed, "prototypes", number))
                )
        return np.stack(rows)
