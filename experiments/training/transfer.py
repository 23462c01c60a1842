"""Transfer: a model starts from the weights that another training run left, all but its head."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..errors import ConfigError
from ..models.features import head
from ..store.files import tensors


def start_from(model: nn.Module, path: Path, *, with_head: bool) -> str:
    """Fill the model in place from a file of weights; says which. Without its head, that stays as it was drawn."""
    own, weights = model.state_dict(keep_vars=True), tensors(path)
    drawn = set() if with_head else {id(weight) for weight in head(model).parameters()}
    weights = {name: weight for name, weight in weights.items() if id(own.get(name)) not in drawn}
    unfit = [
        f"{name} {tuple(weight.shape)} there, {tuple(own[name].shape) if name in own else 'nothing'} here"
        for name, weight in weights.items()
        if name not in own or own[name].shape != weight.shape
    ]
    if unfit:
        raise ConfigError(
            f"the model of the first set does not fit the second: {unfit[0]}",
            "two sets whose examples are of one shape, such as two parts of one set: finetune.task.classes=[...]",
        )
    missing = model.load_state_dict(weights, strict=False).missing_keys
    left = {id(own[name]) for name in missing} - {id(own[name]) for name in weights}  # tied weights have two names
    assert left <= drawn, f"weights that nothing filled: {missing}"
    number, rest = sum(weight.numel() for weight in weights.values()), "" if with_head else "; the head is drawn anew"
    return f"starts from {number:,} numbers of the first set's model{rest}"
