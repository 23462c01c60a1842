"""What each format contributes to the pretraining: how much its examples take off the loss on held-out ones.

CT is what an example's weight takes off at once, phi what it takes off the rest of the loss curve: as in
contribution/search.py, but through AdamW and the minibatches of the run itself, under the weights that it had.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...contracts import Floats, Indices
from ...contribution.adjoint import Path, end_of, first_batches, functional_losses, stride_for, sweep
from ...contribution.field import NetworkField, flat
from ...contribution.search import SHARE, target_of
from ...contribution.smoothness import metasmoothness
from ...contribution.updates import update_of
from ...data.groups import between, means_of
from ...devices import free_memory
from ...seeds import torch_stream
from .pretraining import recipe_of
from .task import FORMATS

if TYPE_CHECKING:
    from ...data.task import DeviceTask
    from . import Formats

LOOKS = 25  # parts of the run; the outer loss is the mean of the held-out losses after them
MEASURED = 8  # batches at the end of a part whose examples' CT is measured


def contributions(
    study: Formats, task: DeviceTask, formats: Indices, kept: Indices | None, weights: list[Tensor], *, seed: int,
    notify: Callable[[float], None],
) -> pd.DataFrame:  # fmt: skip
    """A row for each format and part of the run: its share of the weight, its mean CT and phi.

    `formats` (N,) of the corpus; `weights` (T of (B,)) of each step's examples, which sum to one: the run is made again
    under them. between_*: the share of the variance that is between the formats.
    """
    steps, recipe = len(weights), recipe_of(study)
    losses, like = functional_losses(task, task.model(torch_stream(seed, "init")))
    start, update = flat(like), update_of(recipe, steps)
    batches = first_batches(task, recipe.batch_size, steps, seed, index=kept)
    fields = [NetworkField(losses, like, [batch]) for batch in batches]
    target = target_of(NetworkField(losses, like, list(task.batches("dev", size=task.size("dev")))))

    def train(factors: Tensor) -> Tensor:
        def weigh(step: int, _: Tensor) -> Tensor:
            row = weights[step] * factors[batches[step].index]
            return row / row.sum()

        return end_of(fields, weigh, update, start)

    smooth = metasmoothness(train, start.new_ones(task.size("train")), seed=seed)
    notify(0.6)
    parts = min(LOOKS, steps)
    ends = [steps * (part + 1) // parts for part in range(parts)]  # steps taken after each part
    measured = [float(step + 1 in ends) / len(ends) for step in range(steps)]
    stride = stride_for(steps, (1 + update.moments) * start.numel(), SHARE * free_memory(start.device))
    path = Path(fields, start, weights, update, stride=stride)
    phi, ct = list(weights), list(weights)
    for moment in sweep(path, fields, target, weights, update, measured):
        phi[moment.step] = -steps * moment.slopes
        if moment.step + 1 in ends:
            aim = target(moment.theta)[1]
            for step in range(max(0, moment.step + 1 - MEASURED), moment.step + 1):
                ct[step] = fields[step].rates(moment.theta, aim)
        notify(1 - 0.4 * moment.step / steps)
    rows: list[dict[str, Any]] = []
    of = [formats[batch.index.numpy()] for batch in batches]
    for first, last in pairwise([0, *ends]):
        whole, late = slice(first, last), slice(max(first, last - MEASURED), last)
        by_phi = _of_formats(phi[whole], weights[whole], of[whole])
        by_ct = _of_formats(ct[late], weights[late], of[late])
        for place, name in enumerate(FORMATS):
            rows.append({"step": last, "format": name, "weight": by_phi.weight[place], "phi": by_phi.mean[place],
                         "ct": by_ct.mean[place], "between_phi": by_phi.between, "between_ct": by_ct.between,
                         "metasmoothness": smooth})  # fmt: skip
    return pd.DataFrame(rows)


class _Part(NamedTuple):
    mean: Floats  # (F,)
    weight: Floats  # (F,) of each format, of one
    between: float


def _of_formats(values: list[Tensor], weights: list[Tensor], formats: list[Indices]) -> _Part:
    each, weight, groups = _joined(values), _joined(weights), np.concatenate(formats)
    mean, mass = means_of(each, weight, groups, len(FORMATS))
    return _Part(mean, mass / mass.sum(), between(each, weight, groups))


def _joined(rows: list[Tensor]) -> Floats:
    found: Floats = torch.cat(rows).double().numpy()
    return found
