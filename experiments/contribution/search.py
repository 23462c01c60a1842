"""The search for a near-optimal policy: how much each example should weigh at each step (arXiv:2402.17759 §4).

A policy is a matrix gamma (T, N) whose rows lie on the simplex. Its cost is the area under the target loss, the mean of
L(theta_t) over t = 1..T of full-batch descent on sum_n gamma_tn l_n. The area is differentiated through the whole run
and each row moves down its own normalised gradient: a plain gradient is far larger at small t, so that late rows would
never move. The paper's plain projected gradient is that without the normalisation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..devices import free_memory
from ..errors import RunFailed
from .adjoint import Moment, Path, Target, Weigh, descend, end_of, initial, stride_for, sweep
from .field import Field
from .simplex import project
from .smoothness import metasmoothness
from .updates import Descent

ROUNDING = 1e-6  # relative, of a mean loss in float32
GRID = 50  # steps at which the stopping set is looked at
SHARE = 0.25  # of the memory that is free, which a trajectory may take, or on a GPU a pass


@dataclass(frozen=True, slots=True)
class Problem:
    """What is descended, from where, and what counts."""

    field: Field  # of the training examples
    target: Field
    stopping: Field  # a third set, which chooses the outer epoch
    held_out: Field  # a fourth, which nothing is chosen by
    start: Tensor  # (P,)
    descent: Descent
    clean: Tensor | None = None  # (N,) which labels are right; None: all, as far as is known
    halves: Tensor | None = None  # (K,) 0 or 1: the half of the target that an example is in, for reliability

    @property
    def steps(self) -> int:
        return len(self.descent.learning_rates)

    @property
    def stride(self) -> int:
        """Of the states that a run holds."""
        return stride_for(self.steps, self.start.numel(), SHARE * free_memory(self.start.device))

    @property
    def uniform(self) -> Tensor:
        """(T, N) rows of 1/N: the constant policy."""
        return self.start.new_full((1, self.field.size), 1 / self.field.size).expand(self.steps, -1)


@dataclass(slots=True)
class Search:
    """Where a search stands: the policy, the best one by the stopping set, and the areas of each outer epoch."""

    policy: Tensor  # (T, N)
    best: Tensor
    best_epoch: int = 0
    target: list[float] = field(default_factory=list)  # area under the target loss, an entry an outer epoch
    stopping: list[float] = field(default_factory=list)  # area under the stopping set's, on a grid of steps


def mean_loss(field: Field, theta: Tensor) -> float:
    return float(field.losses(theta).mean())


def target_of(field: Field) -> Target:
    """The mean loss over a field's examples, and its gradient."""

    def of(theta: Tensor) -> tuple[Tensor, Tensor]:
        slope, losses = field.slope(theta, theta.new_full((field.size,), 1 / field.size))
        return losses.mean(), slope

    return of


def room(field: Field, theta: Tensor) -> int:
    """How many times a field's examples could share a pass on a GPU, where the launches of a small one cost most."""
    if not theta.is_cuda:
        return 1
    torch.cuda.reset_peak_memory_stats(theta.device)
    held = torch.cuda.memory_allocated(theta.device)
    field.products(theta, theta.new_ones(field.size), theta)
    needed = torch.cuda.max_memory_allocated(theta.device) - held
    return max(1, int(SHARE * free_memory(theta.device) / needed))


def run(problem: Problem, policy: Tensor) -> Path:
    """The run under a policy (T, N); held whole where it fits into memory."""
    return Path([problem.field] * problem.steps, problem.start, list(policy), problem.descent, stride=problem.stride)


def smoothness(problem: Problem, policy: Tensor, *, seed: int) -> float:
    """Metasmoothness of the run under a policy (T, N): whether its phi can be read. `seed` draws the directions."""

    def train(factors: Tensor) -> Tensor:
        fields = [problem.field] * problem.steps
        return end_of(fields, lambda step, _: policy[step] * factors, problem.descent, problem.start)

    return metasmoothness(train, problem.uniform[0], seed=seed)


def back(problem: Problem, policy: Tensor, path: Path) -> Iterator[Moment]:
    """The sweep back through a run; its outer loss is the area, the mean of the target loss over t = 1..T."""
    measured = [1 / problem.steps] * problem.steps
    fields, target = [problem.field] * problem.steps, target_of(problem.target)
    return sweep(path, fields, target, list(policy), problem.descent, measured)


def long_horizon(problem: Problem, policy: Tensor) -> Tensor:
    """(T, N) long-horizon contributions phi of every example at every step of the run under a policy (T, N).

    phi = -T dJ/dgamma, J the area: what an example's weight at t still takes off sum_{s>t} L(theta_s), in the units of
    the target loss; in continuous time p(t) . grad l_n with p the costate (law.py). A run in minibatches is
    a policy whose rows are zero outside of them.
    """
    return swept(problem, policy)[0]


def swept(problem: Problem, policy: Tensor, looks: Collection[int] = ()) -> tuple[Tensor, float, Path, list[Moment]]:
    """Phi, the area, the run, and the moments at the steps `looks`, all from one sweep."""
    path, area, phi, seen = run(problem, policy), 0.0, torch.empty_like(policy), []
    for moment in back(problem, policy, path):
        phi[moment.step] = -problem.steps * moment.slopes
        area += float(moment.outer)
        if moment.step in looks:
            seen.append(moment)
    return phi, area, path, seen[::-1]


def search(
    problem: Problem, state: Search, *, epochs: int, rate: float, looks: Collection[int] = ()
) -> Iterator[tuple[int, Path, list[Moment]]]:
    """`epochs` outer epochs of normalised projected gradient from where `state` stands; `rate` decays to zero.

    Fills the state and yields (epoch, the policy's run, its moments at the steps `looks`) before every move, epoch 0
    first, and after the last. Raises RunFailed where a run diverges.
    """
    for epoch in range(max(0, len(state.target) - 1), epochs + 1):
        phi, area, path, seen = swept(problem, state.policy, looks)
        stopping = _area_on_grid(problem, path)
        if not torch.isfinite(phi).all():
            raise RunFailed(f"the run diverged at outer epoch {epoch}", "a smaller recipe.learning_rate")
        if epoch == 0 or stopping < min(state.stopping[:epoch]):
            state.best, state.best_epoch = state.policy.clone(), epoch
        state.target[epoch:], state.stopping[epoch:] = [area], [stopping]
        yield epoch, path, seen
        if epoch < epochs:
            centred = phi - phi.mean(1, keepdim=True)
            scale = centred.square().mean(1, keepdim=True).sqrt().clamp(min=torch.finfo(phi.dtype).tiny)
            reach = rate * (1 - epoch / epochs) / problem.field.size
            state.policy = project(state.policy + reach * centred / scale)


def _area_on_grid(problem: Problem, path: Path) -> float:
    every = max(1, problem.steps // GRID)
    seen = [mean_loss(problem.stopping, after) for step, _, after in path.backwards() if (step + 1) % every == 0]
    return sum(seen) / len(seen)


# ---- what a policy is compared with ----------------------------------------------------------------------------------


def baselines(problem: Problem, *, multiples: Sequence[float] = (2, 5, 10, 20)) -> Mapping[str, tuple[Weigh, Descent]]:
    """Policies that need no search: the constant one at larger steps, weights by loss or norm of the gradient, greedy.

    Greedy puts all weight on the tenth of the examples whose contribution CT is largest at that step. Where labels were
    made wrong, an oracle leaves those examples out.
    """
    target, uniform = target_of(problem.target), problem.uniform[0]

    def by_loss(step: int, theta: Tensor) -> Tensor:
        losses = problem.field.losses(theta)
        return losses / losses.sum()

    def by_norm(step: int, theta: Tensor) -> Tensor:
        norms = problem.field.norms(theta)
        return norms / norms.sum()

    def greedy(step: int, theta: Tensor) -> Tensor:
        chosen = problem.field.rates(theta, target(theta)[1]).topk(max(1, problem.field.size // 10)).indices
        return torch.zeros_like(uniform).index_fill(0, chosen, 1 / len(chosen))

    def constant(step: int, theta: Tensor) -> Tensor:
        return uniform

    found: dict[str, tuple[Weigh, Descent]] = {"constant": (constant, problem.descent)}
    for multiple in multiples:
        found[f"constant, {multiple:g} times the step"] = (constant, problem.descent.times(multiple))
    rules: dict[str, Weigh] = {"by loss": by_loss, "by gradient norm": by_norm, "greedy by contribution": greedy}
    if (clean := problem.clean) is not None:
        rules["without the wrong labels"] = lambda step, theta: clean / clean.sum()
    return found | {name: (weigh, problem.descent) for name, weigh in rules.items()}


def curve(problem: Problem, weigh: Weigh, descent: Descent, watched: Mapping[str, Field]) -> dict[str, list[float]]:
    """The mean losses of the watched sets at t = 0..T of a run."""
    fields = [problem.field] * problem.steps
    seen: dict[str, list[float]] = {name: [] for name in watched}
    for theta, *_ in descend(fields, weigh, descent, 0, initial(descent, problem.start), problem.steps):
        for name, watch in watched.items():
            seen[name].append(mean_loss(watch, theta))
    return seen


def acceleration(base: Sequence[float], ours: Sequence[float]) -> float:
    """T / min{t : ours_t <= base_T} (arXiv:2402.17759 §4): how much earlier the base's end is reached; NaN: never.

    To rounding: two runs of one policy differ by that on a GPU.
    """
    reached = [step for step, loss in enumerate(ours) if loss <= base[-1] * (1 + ROUNDING)]
    return (len(base) - 1) / max(1, reached[0]) if reached else float("nan")
