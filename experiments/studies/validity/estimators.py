"""What each estimator says that an example contributes to each target: how much higher its loss would be without it.

phi        derivative of the target's last loss by the example's weight through the whole run (arXiv:2504.16430)
ct         what its gradient steps lower the target's loss at each step, summed (arXiv:2406.11011, first order)
ct_update  the same in the optimiser's own update (as OPUS, arXiv:2602.05400): AdamW rescales each number
tracin     products of gradients at three checkpoints (arXiv:2002.08484)
dot        the product of gradients at the end
cosine     its cosine at the end
trak       projected gradients at the end, whitened by their Gram matrix (arXiv:2303.14186), of one model
el2n       the norm of the error after a tenth of the run (arXiv:2107.07075), the same for every target
random     drawn
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ...contracts import IGNORED, Batch, Floats, Proxy
from ...contribution.adjoint import sweep
from ...contribution.field import NetworkField, shaped
from ...contribution.norms import gradient_norms
from ...models.outputs import statistics
from ...seeds import torch_stream
from .runs import Run, means

LOOKS = (0.1, 0.5, 1.0)  # of the steps, after which TracIn looks, and after the first EL2N
DAMPING = 0.01  # of TRAK's Gram matrix, in units of its mean diagonal
CHUNK = 32  # directions at once


def contributions(run: Run, *, dimension: int, seed: int) -> dict[str, Floats]:
    """(K, N) by estimator, of K targets and N training examples."""
    end, looks = run.path.end, {max(1, round(share * run.steps)): share for share in LOOKS}
    found = {"phi": _long_horizon(run)} | _summed(run)
    states = {step + 1: after for step, _, after in run.path.backwards() if step + 1 in looks}
    whole = list(run.task.batches("train", size=len(run.batches[0].index)))
    train = NetworkField(run.losses, run.like, whole)
    found["dot"] = _rates(train, end, run)
    found["tracin"] = found["dot"] + sum(_rates(train, states[step], run) for step in sorted(looks)[:-1])
    slopes = _slopes(run, end)
    own = torch.from_numpy(gradient_norms(run.task, [Proxy(_model(run, end), {})])[0]).to(end)
    found["cosine"] = found["dot"] / (slopes.norm(dim=1, keepdim=True) * own).clamp(min=torch.finfo(end.dtype).tiny)
    found["trak"] = _trak(run, end, whole, dimension=dimension, seed=seed)
    error = torch.cat([_seen(run, states[min(looks)], batch)["error"] for batch in whole])
    found["el2n"] = error.expand(run.target.size, -1)
    found["random"] = torch.randn(found["dot"].shape, generator=torch_stream(seed, "random"))
    return {name: values.double().cpu().numpy() for name, values in found.items()}


def _long_horizon(run: Run) -> Tensor:
    """(K, N) minus the derivative of each target's last loss by each example's weight in the mean of its batches."""

    def target(theta: Tensor) -> tuple[Tensor, Tensor]:
        return run.target.losses(theta), _slopes(run, theta)

    rows, counts = [means(batch, run.start) for batch in run.batches], [0.0] * (run.steps - 1) + [1.0]
    found = run.start.new_zeros(run.target.size, run.size)
    for moment in sweep(run.path, run.fields, target, rows, run.update, counts):
        _add(found, run.batches[moment.step], moment.slopes)
    return found


def _summed(run: Run) -> dict[str, Tensor]:
    """(K, N) products of each target's gradient with each example's at each step; the same in the update.

    Of SGD the two are the same up to a factor.
    """
    plain, scaled = (run.start.new_zeros(run.target.size, run.size) for _ in range(2))
    for step, before, after in run.path.states():
        slopes, batch = _slopes(run, before[0]), run.batches[step]
        _add(plain, batch, _along(run.fields[step], before[0], -run.update.learning_rates[step] * slopes))
        if run.update.reads_moments:
            _add(scaled, batch, _along(run.fields[step], before[0], run.update.now(step, after, slopes)))
    return {"ct": plain, "ct_update": scaled if run.update.reads_moments else plain}


def _add(total: Tensor, batch: Batch, slopes: Tensor) -> None:
    """Count a step's (K, B) changes of the targets by each weight; without n the rest of its batch weighs more."""
    total.index_add_(1, batch.index, (slopes.mean(1, keepdim=True) - slopes) / len(batch.index))


def _slopes(run: Run, theta: Tensor) -> Tensor:
    """(K, P) the gradient of each target's loss."""
    return torch.stack([one.slope(theta, theta.new_ones(1))[0] for one in run.targets])


def _along(field: NetworkField, theta: Tensor, directions: Tensor) -> Tensor:
    """(K, N) products of directions (K, P) with the gradients of a field's examples."""
    found: Tensor = vmap(lambda along: field.rates(theta, along), chunk_size=CHUNK)(directions)
    return found


def _model(run: Run, theta: Tensor) -> nn.Module:
    """The run's model with these weights."""
    model, shapes = copy.deepcopy(run.model), {name: value.shape for name, value in run.like.items()}
    missing = model.load_state_dict(
        {name.removeprefix("model."): weight for name, weight in shaped(theta, shapes).items()}, strict=False
    )
    assert not missing.unexpected_keys
    return model.eval()


def _rates(train: NetworkField, theta: Tensor, run: Run) -> Tensor:
    return _along(train, theta, _slopes(run, theta))


def _trak(run: Run, theta: Tensor, whole: list[Batch], *, dimension: int, seed: int) -> Tensor:
    """(K, N) of one model; the model's output is the log-odds of the target, of text its mean over tokens."""
    draw = torch_stream(seed, "trak")
    directions = torch.randn(dimension, len(theta), generator=draw, dtype=theta.dtype).to(theta.device)

    def log_odds(weights: dict[str, Tensor], batch: Batch) -> Tensor:
        logits: Tensor = _outputs(run, weights, batch).log_softmax(-1)
        target = batch.targets.clamp(min=0).unsqueeze(-1)
        others = logits.scatter(-1, target, -torch.inf).logsumexp(-1)
        odds: Tensor = logits.gather(-1, target).squeeze(-1) - others
        if odds.ndim == 1:
            return odds
        counted = batch.targets != IGNORED
        mean: Tensor = (odds * counted).sum(1) / counted.sum(1).clamp(min=1)
        return mean

    train, target = (NetworkField(log_odds, run.like, batches) for batches in (whole, run.target.batches))
    features, aims = (_along(field, theta, directions).double() for field in (train, target))  # (D, N), (D, K)
    gram = features @ features.T
    gram += DAMPING * gram.diagonal().mean() * torch.eye(dimension, dtype=gram.dtype, device=gram.device)
    doubt = 1 - torch.cat([_seen(run, theta, batch)["probability"] for batch in whole]).double()
    found: Tensor = aims.T @ torch.linalg.solve(gram, features) * doubt
    return found


def _outputs(run: Run, weights: dict[str, Tensor], batch: Batch) -> Tensor:
    """The logits under weights by name."""
    bare = {name.removeprefix("model."): weight for name, weight in weights.items()}

    def forward(inputs: Tensor) -> Tensor:
        return cast(Tensor, functional_call(run.model, bare, (inputs,)))

    logits: Tensor = run.task.outputs(cast(nn.Module, forward), batch)
    return logits


def _seen(run: Run, theta: Tensor, batch: Batch) -> dict[str, Tensor]:
    with torch.no_grad():
        shapes = {name: value.shape for name, value in run.like.items()}
        return statistics(_outputs(run, shaped(theta, shapes), batch), batch.targets)
