"""The norm of each example's gradient and of each input, as a model gets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..contracts import Batch, Floats, Proxy, Task
from ..contribution.losses import Losses
from ..errors import ConfigError
from ..models.features import head
from ..models.outputs import BATCH, evaluating, place

MEMORY = {"cpu": 256 * 2**20, "cuda": 2**31}  # bytes for the gradients of a chunk
LARGEST_CHUNK = {"cpu": 64, "cuda": 512}  # on a CPU more is no faster


def gradient_norms(
    task: Task,
    proxies: Sequence[Proxy],
    *,
    gradients: Literal["all", "last_layer"] = "all",
    chunk: int | None = None,
) -> Floats:
    """(proxies, N) norm of the loss's gradient by all trainable parameters, or by the last layer's alone (DeepCore).

    `chunk` is how many examples' gradients exist at once; None: as many as fit in 256 MB (on a GPU 2 GB), for `all`.
    """
    if gradients == "last_layer" and task.kind == "text":
        raise ConfigError(
            "scorer.gradients=last_layer is for classifiers: a window has many predictions", "scorer.gradients=all"
        )
    norms = _all_norms if gradients == "all" else _last_layer_norms
    return np.stack([norms(task, proxy.model, chunk) for proxy in proxies])


def input_norms(task: Task) -> Floats:
    """(1, N) Euclidean norm of the input as a model gets it: what GraNd at initialisation tracks (arXiv:2303.14753)."""
    found: dict[str, Floats] = {}
    for batch in task.batches("train", size=BATCH[task.kind]):
        place(found, batch, {"norm": given_to_model(task, batch).float().flatten(1).norm(dim=1)}, task.size("train"))
    return found["norm"][None]


def chunk_size(model: nn.Module) -> int:
    """Examples whose float32 gradients, and as much again in intermediates, fit in the memory budget."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    num_parameters = sum(weight.numel() for weight in weights)
    kind = "cuda" if weights and weights[0].is_cuda else "cpu"
    return max(1, min(LARGEST_CHUNK[kind], MEMORY[kind] // (2 * 4 * max(1, num_parameters))))


def _all_norms(task: Task, model: nn.Module, chunk: int | None) -> Floats:
    """(N,) exact norms: reverse mode, vectorised over the examples of a chunk."""
    weights = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    assert weights, "the model has no trainable parameters"

    def loss(weights: dict[str, Tensor], given: Tensor, *row: Tensor) -> Tensor:
        outputs = functional_call(model, weights, (given.unsqueeze(0),)).float()
        return task.losses(model, Batch(*(part.unsqueeze(0) for part in row)), outputs).squeeze(0)

    def norm(weights: dict[str, Tensor], *row: Tensor) -> Tensor:
        return torch.stack([part.square().sum() for part in grad(loss)(weights, *row).values()]).sum().sqrt()

    found: dict[str, Floats] = {}
    norms = vmap(norm, in_dims=(None, 0, 0, 0, 0))
    with evaluating(model), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        for batch in task.batches("train", size=chunk or chunk_size(model)):
            values = norms(weights, given_to_model(task, batch), batch.index, batch.inputs, batch.targets)
            place(found, batch, {"norm": values}, task.size("train"))
    return found["norm"]


def given_to_model(task: Task, batch: Batch) -> Tensor:
    """The batch's inputs as the task prepares them: normalising in channels-last is not possible inside `vmap`."""
    caught: list[Tensor] = []
    stub = nn.Identity()
    stub.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    task.outputs(stub, batch)
    return caught[-1]


def _last_layer_norms(task: Task, model: nn.Module, chunk: int | None) -> Floats:
    """(N,) norms in closed form: the weight's gradient is an outer product, so ||dL/dz|| sqrt(||h||^2 + 1 if bias).

    h is the head's input and z its output; where z are the logits, dL/dz is softmax minus one-hot.
    """
    losses, last = Losses(task, model), head(model)
    weights = {name: weight.detach() for name, weight in losses.named_parameters()}  # no graph before the head
    caught: list[tuple[Tensor, Tensor]] = []

    def catch(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output.detach().requires_grad_()
        caught.append((inputs[0], output))
        return output

    found: dict[str, Floats] = {}
    hook = last.register_forward_hook(catch)
    try:
        with evaluating(model), torch.enable_grad():
            for batch in task.batches("train", size=chunk or BATCH[task.kind]):
                caught.clear()
                total = functional_call(losses, weights, (batch.index, batch.inputs, batch.targets)).sum()
                features, output = caught[-1]
                (slope,) = torch.autograd.grad(total, output)
                squares = features.float().square().sum(1) + (last.bias is not None)
                norms = slope.float().square().sum(1).sqrt() * squares.sqrt()
                place(found, batch, {"norm": norms}, task.size("train"))
    finally:
        hook.remove()
    return found["norm"]
