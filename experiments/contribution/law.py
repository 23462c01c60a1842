"""The Learning Law at one step of a run, as printed and in its exact form (arXiv:2402.17759 theorem 3.1).

For step t with weights gamma, gradients g_n and target loss L:
  CT_n = grad L . g_n        the printed contribution, the rate at which n's gradient step lowers L now
  phi_n = p . g_n            the long-horizon one, p the costate: what it takes off the area under L still to come
  B_n = p . (Hbar g_n - H_n gbar), bars weighted by gamma: d phi_n / dt = -CT_n + B_n
At an optimal policy phi is equal over the active examples, and equal to L(t) - L(T); the printed law, CT equal, is the
same only where B is equal as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..contracts import Floats
from .adjoint import Moment
from .dispersion import ACTIVE, dispersion, reliability
from .search import Problem, target_of

LEARNT = 1e-3  # nats of an example's own loss, below which it is learnt (the paper takes 1e-6)
LIGHT = 0.2  # of the row's largest weight


@dataclass(frozen=True, slots=True)
class Contributions:
    """(N,) each, at one step: the weights, both contributions, and the bracket term (None with momentum)."""

    step: int
    weights: Floats
    ct: Floats
    phi: Floats
    bracket: Floats | None
    losses: Floats
    loss: float  # the target's, before the step
    reliability: float  # of CT


def contributions_at(problem: Problem, moment: Moment, weights: Tensor) -> Contributions:
    """Everything that is told from one moment of a backward sweep whose outer loss is the mean over all steps."""
    field, theta, steps = problem.field, moment.theta, problem.steps
    value, slope = target_of(problem.target)(theta)
    ct = field.rates(theta, slope)
    bracket = None
    if not problem.descent.momentum and not problem.descent.weight_decay:
        costate = -steps * moment.direction
        mean_slope, _ = field.slope(theta, weights)
        by_curvature = field.rates(theta, -steps * moment.product)
        bracket = array(by_curvature - field.bends(theta, costate, mean_slope))
    halves = [array(field.rates(theta, part)) for part in _halves(problem, theta)]
    return Contributions(
        moment.step, array(weights), array(ct), array(-steps * moment.slopes), bracket, array(field.losses(theta)),
        float(value), reliability(*halves),
    )  # fmt: skip


def _halves(problem: Problem, theta: Tensor) -> list[Tensor]:
    """The target's gradient by its even and by its odd units; zero where there is one unit."""
    odd = torch.arange(problem.target.size, device=theta.device) % 2 if problem.halves is None else problem.halves
    parts = [odd == part for part in (0, 1)]
    return [problem.target.slope(theta, (part / part.sum().clamp(min=1)).to(theta.dtype))[0] for part in parts]


def read(found: Contributions, end: float) -> dict[str, float]:
    """A row of numbers about one step; `end` is the target loss at T. Names start with ct_ or phi_ as in `dispersion`.

    phi_ratio       sum gamma phi / (L(t) - L(T)): one, in continuous time, under any policy that does not move
    bracket_share   1 - Var(CT - B) / Var(CT) over the active: how much of CT's dispersion the bracket explains
    bracket_corr    their correlation
    inactive_phi    share of the inactive with phi below the active mean; inactive_ct likewise
    harmful_dropped share of the examples with CT <= 0 that weigh nothing (proposition 4.1)
    learnt_light    share of the learnt that weigh less than a fifth of the largest weight (proposition 4.2)
    """
    active = found.weights > ACTIVE * found.weights.max()
    weights = np.where(active, found.weights, 0.0)
    row = {"step": float(found.step), "loss": found.loss, "reliability": found.reliability}
    for name, values in (("ct", found.ct), ("phi", found.phi)):
        row |= {f"{name}_{key}": value for key, value in dispersion(values, weights).items()}
        idle = values[~active]
        row[f"inactive_{name}"] = float((idle <= row[f"{name}_mean"]).mean()) if len(idle) else math.nan
    row["phi_ratio"] = row["phi_mean"] / (found.loss - end) if found.loss != end else math.nan
    harmful, learnt = found.ct <= 0, found.losses < LEARNT
    row["harmful_dropped"] = float((~active)[harmful].mean()) if harmful.any() else math.nan
    light = found.weights < LIGHT * found.weights.max()
    row["learnt_light"] = float(light[learnt].mean()) if learnt.any() else math.nan
    row["bracket_share"] = row["bracket_corr"] = math.nan
    if found.bracket is not None and active.sum() > 1:
        ct, bracket = found.ct[active], found.bracket[active]
        row["bracket_share"] = 1 - float(np.var(ct - bracket) / np.var(ct)) if np.var(ct) > 0 else math.nan
        row["bracket_corr"] = reliability(ct, bracket)
    return row


def array(values: Tensor) -> Floats:
    found: Floats = values.detach().double().cpu().numpy()
    return found
