"""What proxies predict of each example, to record beside a score: by those alone that were not trained on it."""

from __future__ import annotations

import numpy as np

from ..contracts import Evidence

COLUMNS = ("predicted", "predicted_probability", "label_probability", "agreement")


def record(evidence: Evidence) -> None:
    """Fill in the columns for the examples that these proxies judge; with folds it is called once a fold.

    predicted              the class with the largest mean probability over the proxies
    predicted_probability  that mean
    label_probability      the mean probability of the given label
    agreement              the share of the proxies whose own prediction that class is
    """
    import torch

    from ..models.outputs import BATCH

    task, proxies = evidence.task, evidence.proxies
    held_out = proxies[0].held_out
    size = task.size("train")
    rows = np.arange(size) if held_out is None else np.flatnonzero(held_out)
    columns = [evidence.columns.setdefault(name, np.full(size, np.nan)) for name in COLUMNS]
    with torch.inference_mode():
        for batch in task.batches("train", size=BATCH[task.kind], index=rows):
            each = torch.stack([task.outputs(proxy.model, batch).double().softmax(-1) for proxy in proxies])
            largest, predicted = each.mean(0).max(-1)  # (B,) both
            label = each.mean(0).gather(-1, batch.targets.unsqueeze(-1)).squeeze(-1)
            agreement = (each.argmax(-1) == predicted).double().mean(0)
            place = batch.index.cpu().numpy()
            for column, values in zip(columns, (predicted, largest, label, agreement), strict=True):
                column[place] = values.cpu().numpy()
