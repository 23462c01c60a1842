"""Data attribution: how much training on an example helps the predictions on dev. High is what `rule=hard` keeps.

TracIn is our own contribution, one forward-mode pass; TRAK is dattri's (an extra).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, TensorDataset

from ..contracts import Floats, Proxy, Split, Task
from ..contribution.meter import contributions
from ..errors import ConfigError, DataUnavailable
from .gradients import chunk_size, given_to_model

Rows = DataLoader[tuple[Tensor, ...]]


def tracin(task: Task, proxies: Sequence[Proxy]) -> Floats:
    """(proxies, N) gradient of the loss times gradient of dev's mean loss (TracInCP, arXiv:2002.08484, equation 1).

    A proxy is one checkpoint of a run; all count alike, where the paper weighs by the learning rate.
    """
    return np.stack([contributions(task, proxy.model) for proxy in proxies])


def trak(task: Task, proxies: Sequence[Proxy], *, dimension: int, damping: float) -> Floats:
    """(1, N) mean over dev of TRAK's attribution (arXiv:2303.14186), an ensemble of the proxies inside.

    The model output is the log-odds of the target; gradients are projected to `dimension`; `damping` is added to the
    diagonal of their Gram matrix. ConfigError for text; DataUnavailable without dattri.
    """
    if task.kind == "text":
        raise ConfigError("scorer=trak is for classes, and a window has many targets", "scorer=tracin")
    try:
        from dattri.algorithm import trak as dattri
        from dattri.task import AttributionTask
    except ImportError as error:
        raise DataUnavailable("scorer=trak needs dattri", "pip install 'prune-lab[attribution]'") from error
    dattri.tqdm = lambda rows, **_: rows  # its progress bars would break ours
    model = copy.deepcopy(proxies[0].model)

    def log_odds(weights: dict[str, Tensor], row: tuple[Tensor, Tensor]) -> Tensor:
        given, target = row
        scores = functional_call(model, weights, (given.unsqueeze(0),)).float().squeeze(0).log_softmax(-1)
        others = scores.masked_fill(torch.arange(len(scores), device=scores.device) == target, -torch.inf)
        odds: Tensor = scores.gather(0, target.unsqueeze(0)).squeeze(0) - others.logsumexp(0)
        return odds

    def probability(weights: dict[str, Tensor], row: tuple[Tensor, Tensor]) -> Tensor:
        return log_odds(weights, row).sigmoid()

    checkpoints = [proxy.model.state_dict() for proxy in proxies]
    attributor = dattri.TRAKAttributor(
        AttributionTask(loss_func=log_odds, model=model, checkpoints=checkpoints),
        probability,
        projector_kwargs={"proj_dim": dimension, "device": str(next(model.parameters()).device)},
        device=str(next(model.parameters()).device),
        regularization=damping,
    )
    size = chunk_size(model)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        attributor.cache(_rows(task, "train", size))
        attribution: Tensor = attributor.attribute(_rows(task, "dev", size))  # (N, dev)
    return attribution.mean(1).double().cpu().numpy()[None]


def _rows(task: Task, split: Split, size: int) -> Rows:
    """A split as dattri takes it, in its order: inputs as the model gets them (float32, all in memory), and targets."""
    batches = list(task.batches(split, size=512))
    given = torch.cat([given_to_model(task, batch) for batch in batches])
    return DataLoader(TensorDataset(given, torch.cat([batch.targets for batch in batches])), batch_size=size)
