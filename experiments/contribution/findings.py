"""What a search found, as tables and numbers: contributions at looks, curves, the policy by difficulty and by group."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..contracts import Floats, Indices
from ..data.groups import between, means_of

if TYPE_CHECKING:
    from torch import Tensor

    from .adjoint import Moment
    from .adjoint import Path as Run
    from .law import Contributions
    from .search import Problem

LEVELS = (0.75, 0.5, 0.25)  # of the first target loss: subsets are compared at equal loss, not at equal t
POINTS = 200  # of a curve
BINS = 40  # of examples by difficulty, and of steps, in the picture of a policy
HARDEST = 0.25
HELD = ("ct_cv", "ct_kkt_gap", "phi_cv", "phi_kkt_gap")
LAST = 0.75  # share of the run after which little is left to gain, and ratios to it are noise
Curves = dict[str, dict[str, list[float]]]  # policy -> watched set -> its mean loss at t = 0..T


def look_steps(steps: int, looks: int) -> set[int]:
    """`looks` steps of a run, the first and the last among them."""
    return set(np.linspace(0, steps - 1, min(looks, steps)).round().astype(int).tolist())


def level_steps(problem: Problem, path: Run) -> set[int]:
    """The steps at which the target loss first is at or below each level."""
    from .search import mean_loss

    losses = [mean_loss(problem.target, theta) for _, theta, _ in path.backwards()][::-1]  # at t = 0..T-1
    return {first for level in LEVELS if (first := reached(losses, level)) is not None}


def measure(problem: Problem, policy: Tensor, path: Run, steps: Collection[int]) -> list[Contributions]:
    """Contributions at some steps of a policy's run, in order."""
    from .search import back

    moments = [moment for moment in back(problem, policy, path) if moment.step in steps]
    return at(problem, policy, moments[::-1])


def at(problem: Problem, policy: Tensor, moments: Sequence[Moment]) -> list[Contributions]:
    """Contributions at some moments of a policy's run."""
    from .law import contributions_at

    return [contributions_at(problem, moment, policy[moment.step]) for moment in moments]


def reached(losses: Sequence[float], level: float) -> int | None:
    return next((step for step, loss in enumerate(losses) if loss <= level * losses[0]), None)


def rows(
    found: Sequence[Contributions], end: float, held: Sequence[Contributions] = (), **known: Any
) -> list[dict[str, Any]]:
    """A row for each look; `level` where it is the first at or below that share of the first loss.

    `end` is the target loss at T; `held` the same looks towards the held-out part, its numbers' names start with held_.
    """
    from .law import read

    rows = [known | read(one, end) | {"level": math.nan} for one in found]
    for seen, one in zip(rows, held, strict=False):
        seen |= {f"held_{name}": value for name, value in read(one, math.nan).items() if name in HELD}
    for level in LEVELS:
        row = next((row for row in rows if row["loss"] <= level * rows[0]["loss"]), None)
        if row is not None:
            row["level"] = level
    return rows


def of_curves(curves: Curves, unit: float) -> dict[str, float]:
    """Areas on the held-out part (mean loss over t = 1..T, nats), and what they say; `unit`: nats of a blind guess."""
    from .search import acceleration

    found: dict[str, float] = {}
    base = curves["constant"]["held_out"]
    for name, sets in curves.items():
        short = name.replace(", ", "_").replace(" times the step", "x").replace(" ", "_")
        area = float(np.mean(sets["held_out"][1:]))
        found |= {f"area_{short}": area, f"end_{short}": sets["held_out"][-1]}
        found |= {f"compression_{short}": unit / area, f"acceleration_{short}": acceleration(base, sets["held_out"])}
    steps = [name for name in curves if name.endswith(" times the step")]
    if steps:  # the best step is chosen by the stopping set, as the best policy is
        best = min(["constant", *steps], key=lambda name: float(np.mean(curves[name]["stopping"][1:])))
        found["area_best_step"] = float(np.mean(curves[best]["held_out"][1:]))
        found["best_step"] = 1.0 if best == "constant" else float(best.split()[1])
    found["gain"] = 1 - found["area_found"] / found["area_constant"]
    target = {name: float(np.mean(curves[name]["target"][1:])) for name in ("constant", "found")}
    found["target_gain"] = 1 - target["found"] / target["constant"]
    return {name: value for name, value in found.items() if math.isfinite(value)}


def of_law(law: pd.DataFrame) -> dict[str, float]:
    """Medians over the looks of the first three quarters, and values at equal loss, of both policies."""
    found: dict[str, float] = {}
    for policy in ("constant", "found"):
        own = law[law["policy"] == policy]
        early = own[own["step"] <= LAST * own["step"].max()]
        for name in law.select_dtypes("number").columns.drop(["epoch", "area", "step", "loss", "level"]):
            found[f"{policy}_{name}"] = float(early[name].median())
            for level in LEVELS:
                at = own[own["level"] == level][name]
                found[f"{policy}_{name}@{level:g}"] = float(at.iloc[0]) if len(at) else math.nan
    return {name: value for name, value in found.items() if math.isfinite(value)}


def late_mass(policy: Tensor, difficulty: Floats) -> float:
    """Share of the weight of the run's second half that is on the hardest quarter of the examples."""
    hardest = np.argsort(-difficulty, kind="stable")[: max(1, round(HARDEST * len(difficulty)))]
    return float(policy[len(policy) // 2 :, hardest].sum(1).mean())


def table_of(curves: Curves) -> pd.DataFrame:
    """(policy, step, and the loss of each watched set), at most `POINTS` steps of each, denser where the loss falls."""
    blocks = []
    for name, sets in curves.items():
        last = len(sets["target"]) - 1
        steps = np.unique(np.append(0, np.geomspace(1, last, min(POINTS, last)).round().astype(int)))
        blocks.append(
            pd.DataFrame({"policy": name, "step": steps} | {key: np.array(x)[steps] for key, x in sets.items()})
        )
    return pd.concat(blocks, ignore_index=True)


def contributions(looked: Mapping[str, Sequence[Contributions]], ids: Any, difficulty: Floats) -> pd.DataFrame:
    """A row for every example, at the start and at each level of loss, under both policies."""
    blocks = []
    for policy, found in looked.items():
        losses = [one.loss for one in found]
        for level in (1.0, *LEVELS):
            place = reached(losses, level)
            if place is not None:
                one = found[place]
                columns = {"weight": one.weights, "ct": one.ct, "phi": one.phi, "difficulty": difficulty}
                known = {"policy": policy, "level": level, "step": one.step, "id": ids}
                blocks.append(pd.DataFrame(known | columns))
    return pd.concat(blocks, ignore_index=True)


def groups(looked: Mapping[str, Sequence[Contributions]], names: Sequence[str], groups: Indices) -> pd.DataFrame:
    """A row for every class or source at every look: its share of examples and of weight, its mean contributions."""
    examples, rows = np.bincount(groups, minlength=len(names)) / len(groups), []
    for policy, found in looked.items():
        for one in found:
            ct, weight = means_of(one.ct, one.weights, groups, len(names))
            phi, _ = means_of(one.phi, one.weights, groups, len(names))
            known = {"policy": policy, "step": one.step, "group": names, "examples": examples}
            rows.append(pd.DataFrame(known | {"weight": weight / weight.sum(), "ct": ct, "phi": phi}))
    return pd.concat(rows, ignore_index=True)


def of_groups(
    looked: Mapping[str, Sequence[Contributions]], policy: Tensor, names: Sequence[str], groups: Indices
) -> dict[str, float]:
    """How much of the contributions' variance is between groups, and each group's weight over its share of examples.

    lift_NAME     of all weight over all steps, in the found policy: 1 is mixing in proportion
    between_phi   medians over the looks of the first three quarters, with between_ct, of both policies
    """
    found: dict[str, float] = {}
    for name, looks in looked.items():
        early = [one for one in looks if one.step <= LAST * looks[-1].step]
        for key in ("phi", "ct"):
            shares = [between(getattr(one, key), one.weights, groups) for one in early]
            found[f"{name}_between_{key}"] = float(np.nanmedian(shares))
    lifts = means_of(policy.double().mean(0).numpy() * policy.shape[1], np.ones(len(groups)), groups, len(names))[0]
    found |= {f"lift_{name}": float(lift) for name, lift in zip(names, lifts, strict=True)}
    return {name: value for name, value in found.items() if math.isfinite(value)}  # a class may be pruned altogether


def picture(policy: Tensor, difficulty: Floats) -> pd.DataFrame:
    """Mean weight, in units of 1/N, by difficulty (0: the easiest) and time, both in equal parts of the whole."""
    ordered = policy.numpy()[:, np.argsort(difficulty, kind="stable")]
    rows = []
    for when, part in enumerate(np.array_split(ordered, min(BINS, len(ordered)))):
        for place, block in enumerate(np.array_split(part, min(BINS, part.shape[1]), axis=1)):
            rows.append({"time": when, "difficulty": place, "weight": float(block.mean()) * policy.shape[1]})
    return pd.DataFrame(rows)
