"""scorer=trak: how much training on an example helps the predictions on dev, by random projection."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import Count, Evidence, Floats, ScorerChoice, Split, Task
from ..errors import ConfigError, DataUnavailable
from ..extras import install
from .evidence import Proxies, of_classes

if TYPE_CHECKING:
    from torch import Tensor


@choice("scorer", "trak", source="arXiv:2303.14186, by the package dattri")
class Trak(ScorerChoice):
    """Mean over dev of TRAK's attribution, an ensemble of the proxies inside; needs the package dattri, an extra.

    The model output is the log-odds of the target; gradients are projected to `dimension`.
    """

    sees_dev = True
    extra = "attribution"
    higher_means = "more helpful to dev"
    dimension: Count = 512  # of the projected gradients
    damping: Annotated[float, Field(ge=0)] = 0.01  # added to their Gram matrix's diagonal; the paper's: 0
    proxies: Proxies = 3  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)

    def score(self, evidence: Evidence) -> Floats:
        """(1, N); DataUnavailable without dattri."""
        if evidence.task.kind == "text":
            raise ConfigError("scorer=trak is for classes, and a window has many targets", "scorer=tracin")
        import torch
        from torch.func import functional_call
        from torch.nn.attention import SDPBackend, sdpa_kernel

        from ..contribution.norms import chunk_size

        task, proxies = evidence.task, evidence.proxies
        try:
            from dattri.algorithm import trak as dattri
            from dattri.task import AttributionTask
        except ImportError as error:
            raise DataUnavailable("scorer=trak needs dattri", install("attribution")) from error
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
            projector_kwargs={"proj_dim": self.dimension, "device": str(next(model.parameters()).device)},
            device=str(next(model.parameters()).device),
            regularization=self.damping,
        )
        size = chunk_size(model)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            attributor.cache(_rows(task, "train", size))
            attribution: Tensor = attributor.attribute(_rows(task, "dev", size))  # (N, dev)
        return np.asarray(attribution.mean(1).double().cpu().numpy())[None]


def _rows(task: Task, split: Split, size: int) -> Any:
    """A split as dattri takes it, in its order: inputs as the model gets them (float32, all in memory), and targets."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from ..contribution.norms import given_to_model

    batches = list(task.batches(split, size=512))
    given = torch.cat([given_to_model(task, batch) for batch in batches])
    return DataLoader(TensorDataset(given, torch.cat([batch.targets for batch in batches])), batch_size=size)
