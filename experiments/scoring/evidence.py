"""What scorers have in common: reading what trained proxies leave, and saying which data a score is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ..contracts import Data, Evidence, Floats, Indices, Proxy, ProxyRun
from ..errors import ConfigError
from ..seeds import turns

Proxies = Annotated[int, Field(ge=1, le=100)]
Epoch = Annotated[int, Field(ge=0)] | None  # of a proxy's schedule; null: derived, and said
Measure = Literal["logits", "probabilities"]
EARLY = 0.1  # share of the schedule after which EL2N and GraNd look: epoch 20 of 200 (arXiv:2107.07075)


def runs(number: int, **asks: Any) -> list[ProxyRun]:
    """So many proxies that all ask for the same: `epoch` or `share` or `most_epochs` to stop, `observe`, `movement`."""
    return [ProxyRun({"number": one} | asks) for one in range(number)]


def duration(**given: float) -> dict[str, Any]:
    """The recipe's settings for a proxy that trains for so many `epochs` or `steps`, whatever the run's recipe says."""
    return {"epochs": None, "steps": None, "examples": None} | given


def seen(evidence: Evidence, name: str) -> Floats:
    """(proxies, N) one statistic of each proxy's outputs: one pass over the training split, eval mode.

    loss, correct, margin, margin_probability, error (EL2N), probability (of the label), entropy; see models/outputs.py.
    """
    from ..models.outputs import examine

    if not evidence.proxies:
        raise ConfigError("the scorer has no proxies to look at", "in its class: proxies: Proxies = 3")
    rows = [examine(evidence.task, proxy.model, "train") for proxy in evidence.proxies]
    if name not in rows[0]:
        raise ConfigError(f"a model's outputs have no {name}; there is: {', '.join(rows[0])}")
    return np.stack([row[name] for row in rows])


def recorded(evidence: Evidence, proxy: Proxy, name: str) -> Floats:
    """(epochs, N) of one value that was recorded while the proxy trained; NaN where an example was not presented.

    loss, correct, margin, margin_probability, error; movement where the scorer asked for it. Nothing without observe.
    """
    assert name in proxy.trajectory, f"the proxy's trajectory has no {name}, only {', '.join(proxy.trajectory)}"
    values = proxy.trajectory[name]
    assert values.ndim == 2, f"trajectory {name} has shape {values.shape}, not (epochs, N)"
    assert values.shape[0] > 0, f"trajectory {name} has no epoch"
    assert values.shape[1] == evidence.task.size("train"), f"trajectory {name} is of {values.shape[1]} examples"
    return values


def shuffled(evidence: Evidence, name: str) -> Indices:
    """(N,) the training examples in a random order of the score's seed, by their ids: who comes first among equals."""
    return np.argsort(turns(evidence.seed, name, evidence.task.examples("train").ids))


def of_text(name: str, run: Any) -> None:
    """Refuse data that are no text."""
    if run.task.reads != "text":
        raise ValueError(f"scorer={name} judges text; for task={run.task.name} use scorer=loss")


def of_classes(name: str, run: Any) -> None:
    """Refuse text, which has no classes."""
    if run.task.reads == "text":
        raise ValueError(f"scorer={name} needs classes, and text has none: use scorer=perplexity")


def of_single_examples(name: str, run: Any, why: str) -> None:
    """Refuse batch norm, which joins the examples of a batch."""
    if run.model.joins_examples:
        raise ValueError(
            f"scorer={name} {why.format(model=run.model.name)}: use model=mlp, linear or perceptron, or model=convnet "
            "model.norm=group"
        )


@dataclass
class Given:
    """Evidence at hand, for a score outside of the pipeline: `choices.get("scorer", "el2n")().score(Given(...))`."""

    task: Any
    proxies: Sequence[Proxy] = ()  # models that are trained to judge the examples
    folders: Sequence[Path] = ()
    columns: dict[str, Floats] = field(default_factory=dict)
    seed: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def data(self) -> Data:
        found: Data = self.task.data
        return found

    def decide(self, sentence: str) -> None:
        self.said.append(sentence)
