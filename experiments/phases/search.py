"""The phase search: a near-optimal policy over what is kept, and the Learning Law measured along the way.

The dev split is dealt out: half of it is the target, a quarter stops the search, a quarter is held out and judges. The
test split is evaluate's alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..contracts import Indices, Split
from ..contribution import findings
from ..data.groups import groups_of
from ..data.splits import deal, units_of
from ..errors import ConfigError, RunFailed
from ..seeds import torch_stream
from .work import Work, model_of, say_if_shared

if TYPE_CHECKING:
    from torch import Tensor

    from ..contribution.adjoint import Path as Run
    from ..contribution.field import Field
    from ..contribution.law import Contributions
    from ..contribution.search import Problem, Search
    from ..contribution.updates import Descent

CHECKPOINT_SECONDS = 30.0
LONG = 120.0  # seconds; a search that will take longer says so
FAR = 0.1  # from one
LEAST = 4  # examples of each part of the dev split


def search(work: Work) -> dict[str, Any]:
    from ..contribution import search as engine
    from ..contribution.settings import readable

    settings, task = work.run.search, work.task
    kept = work.kept()
    rows = np.arange(task.size("train")) if kept is None else kept
    problem = _problem(work, task, rows)
    watched = {"target": problem.target, "stopping": problem.stopping, "held_out": problem.held_out}
    policies = engine.baselines(problem, multiples=settings.multiples)
    curves = {name: engine.curve(problem, *policy, watched) for name, policy in policies.items()}
    _check(work, curves["constant"]["target"])
    smooth = {"constant": _smoothness(work, problem, "constant", problem.uniform)}

    checkpoint = work.resume / "checkpoint.pt"
    saved_at, (state, measured) = time.monotonic(), _load(checkpoint, problem, work)
    started, looks = time.monotonic(), findings.look_steps(problem.steps, settings.looks)
    searched = engine.search(problem, state, epochs=settings.epochs, rate=settings.rate, looks=looks)
    for epoch, path, moments in searched:
        ahead = (time.monotonic() - started) * settings.epochs if epoch == 0 else 0.0
        said = f"{settings.epochs} outer epochs take about {ahead / 60:.0f} minutes" if ahead > LONG else ""
        work.notify(said, (epoch + 1) / (settings.epochs + 2))
        asked = epoch and (epoch & (epoch - 1) == 0 or epoch == settings.epochs)  # 1, 2, 4, 8, ...
        if asked and not any(row["epoch"] == epoch for row in measured):  # a checkpoint's epoch comes again
            found = findings.at(problem, state.policy, moments)
            measured += findings.rows(
                found, _end(problem, path), policy="on the way", epoch=epoch, area=state.target[-1]
            )
        if time.monotonic() - saved_at > CHECKPOINT_SECONDS and epoch < settings.epochs:
            _save(checkpoint, state, measured)
            saved_at = time.monotonic()
    best = state.best
    unfinished = "; more search.epochs would improve it" if 0 < state.best_epoch == settings.epochs else ""
    work.decide(
        f"the policy of outer epoch {state.best_epoch} of {settings.epochs} is best by the stopping set{unfinished}"
    )

    smooth["found"] = _smoothness(work, problem, "found", best)
    looked: dict[str, list[Contributions]] = {}
    apart = replace(problem, target=problem.held_out, halves=None)
    for name, policy, epoch in (("constant", problem.uniform, 0), ("found", best, state.best_epoch)):
        path = engine.run(problem, policy)
        steps = looks | findings.level_steps(problem, path)
        looked[name] = findings.measure(problem, policy, path, steps)
        held, end = findings.measure(apart, policy, path, steps), _end(problem, path)
        measured += findings.rows(looked[name], end, held, policy=name, epoch=epoch, area=state.target[epoch])
    curves["found"] = engine.curve(problem, lambda step, _: best[step], problem.descent, watched)
    best = best.cpu()  # from here on it is read

    _check_adjoint(work, measured)
    _check_looks(work, measured)
    law, difficulty = pd.DataFrame(measured), np.mean([one.losses for one in looked["constant"]], axis=0)
    train = task.examples("train").take(rows)
    names, groups = groups_of(train, task.kind, task.classes)
    tables = {
        "law": law,
        "curves": findings.table_of(curves),
        "outer": pd.DataFrame({"target": state.target, "stopping": state.stopping}).rename_axis("epoch").reset_index(),
        "contributions": findings.contributions(looked, train.ids, difficulty),
        "picture": findings.picture(best, difficulty),
    }
    if groups is not None:
        tables["groups"] = findings.groups(looked, names, groups)
    for name, table in tables.items():
        table.to_parquet(work.folder / f"{name}.parquet", index=False)
    from safetensors.torch import save_file
    from torch import from_numpy

    save_file({"policy": best.contiguous(), "rows": from_numpy(rows.copy())}, str(work.folder / "policy.safetensors"))
    unit = math.log(len(task.classes) or getattr(work.run.task, "vocabulary", work.data.vocabulary))
    known: dict[str, Any] = {"examples": len(rows), "steps": problem.steps, "best_epoch": state.best_epoch}
    known |= {"late_mass_hardest": findings.late_mass(best, difficulty)}
    known |= {f"{name}_metasmoothness": value for name, value in smooth.items()}
    known |= {"phi_readable": float(readable(*smooth.values()))}
    known |= findings.of_curves(curves, unit) | findings.of_law(law)
    return known if groups is None else known | findings.of_groups(looked, best, names, groups)


# ---- the problem -----------------------------------------------------------------------------------------------------


def _problem(work: Work, task: Any, rows: Indices) -> Problem:
    """The run's model and recipe as full-batch descent on what is kept."""
    import torch

    from ..contribution.search import Problem
    from ..contribution.updates import Descent, update_of

    recipe = work.run.recipe
    if recipe.steps is None or recipe.optimizer != "sgd" or recipe.clip is not None or recipe.flip or recipe.shift:
        raise ConfigError(
            "a search differentiates through plain SGD over a number of steps, without augmentation", "recipe=flow"
        )
    descent = update_of(recipe, recipe.steps)
    assert isinstance(descent, Descent), "no moments of AdamW in the law"
    field_of, start = _fields(work, task)
    number, units = task.size("dev"), units_of(task.examples("dev"))
    dealt = deal(units, np.ones(number, np.int64), (0.5, 0.25, 0.25), stream="search")
    parts = [np.flatnonzero(dealt == part) for part in range(3)]  # target, stopping set, held-out set
    if min(map(len, parts)) < LEAST:
        documents = len(np.unique(units))
        few = f"{number} examples"
        mend = f"a task.dev that gives {4 * LEAST} or more"
        if documents < number:
            few = f"{number} examples of {documents} documents, which are dealt out whole"
            mend = "more task.documents, or a larger task.dev"
        raise ConfigError(f"the dev split has {few}: too few for three parts", mend)
    say_if_shared(work, task, rows)
    train = field_of("train", rows)
    target, stopping, held_out = (field_of("dev", part) for part in parts)
    noisy = task.examples("train").noisy
    clean = None if noisy is None else torch.from_numpy(~noisy[rows]).to(start)
    halves = torch.from_numpy(np.unique(units[parts[0]], return_inverse=True)[1] % 2).to(start.device)
    problem = Problem(train, target, stopping, held_out, start, descent, clean, halves)
    held = "all of it held"
    if problem.stride > 1:
        held = f"every {problem.stride}th state held and the others made again (memory)"
    work.decide(
        f"dev dealt out: {len(parts[0])} are the target, {len(parts[1])} stop the search, {len(parts[2])} held out; "
        f"{recipe.steps} steps on all {len(rows)} examples, a trajectory of {len(start):,} numbers a step, {held}"
    )
    if not _still(descent):
        work.decide(
            "phi is not compared with the loss still to go: its sum is that loss only under a constant learning rate, "
            "without momentum or weight decay"
        )
    return problem


def _fields(work: Work, task: Any) -> tuple[Any, Tensor]:
    """What makes the field of some rows of a split, and where theta starts."""
    import torch

    from ..contribution.adjoint import functional_losses
    from ..contribution.field import LinearField, NetworkField, flat
    from ..contribution.search import room
    from ..models.features import head, penultimate
    from ..models.outputs import BATCH

    run, seed = work.run, work.seed
    model = task.model(torch_stream(seed, "init"))
    if not (not run.model.has_body or run.search.features):
        losses, weights = functional_losses(task, model.eval())
        start, size = flat(weights), BATCH[task.kind]
        first = next(iter(task.batches("train", size=size)))
        size *= room(NetworkField(losses, weights, [first]), start)

        def network(split: Split, rows: Indices) -> Field:
            return NetworkField(losses, weights, list(task.batches(split, size=size, index=rows)))

        return network, start
    last = head(model)
    start = last.weight.detach().T  # (D, C)
    if last.bias is not None:
        start = torch.cat([start, last.bias.detach()[None]])
    below = model_of(work.inputs["features"], task, "model") if run.search.features else model
    inputs = {split: penultimate(task, below, split) for split in ("train", "dev")}

    def linear(split: Split, rows: Indices) -> Field:
        found = torch.from_numpy(inputs[split][rows]).to(start)
        targets = torch.from_numpy(task.labels(split)[rows]).to(start.device)
        return LinearField(found, targets, columns=start.shape[1], bias=last.bias is not None)

    return linear, start.flatten()


def _check(work: Work, losses: Sequence[float]) -> None:
    smaller = f"recipe.learning_rate={work.run.recipe.learning_rate / 10:g}"
    if not np.isfinite(losses).all():
        raise RunFailed("training under uniform weights diverged", smaller)
    if losses[-1] >= losses[0]:
        raise RunFailed(
            f"training under uniform weights takes the target loss from {losses[0]:.3g} to {losses[-1]:.3g}: there is "
            "nothing to search",
            smaller if min(losses) == losses[0] else f"recipe.steps={int(np.argmin(losses))}, where it is least",
        )
    if losses[-1] > 1.001 * min(losses):
        least = int(np.argmin(losses))
        work.decide(
            f"warning: under uniform weights the target loss is least at step {least} of {len(losses) - 1} and rises "
            f"then: contributions change sign there, and ratios to their mean are wild; recipe.steps={least} avoids it"
        )


def _smoothness(work: Work, problem: Problem, name: str, policy: Tensor) -> float:
    """Metasmoothness under a policy, before its phi is read; says where it must not be."""
    from ..contribution.search import smoothness
    from ..contribution.settings import READABLE, readable

    found = smoothness(problem, policy, seed=work.seed)
    work.decide(f"metasmoothness {found:.2f} under the {name} policy (phi is read from {READABLE:g} up)")
    if not readable(found):
        work.decide(
            f"warning: phi under the {name} policy must not be read: metasmoothness is too low, so that a derivative "
            "does not tell what a change of the weights does (a smaller recipe.learning_rate)"
        )
    return found


def _end(problem: Problem, path: Run) -> float:
    """The target loss at T; NaN where the sum of phi is not the loss still to go."""
    from ..contribution.search import mean_loss

    return mean_loss(problem.target, path.end) if _still(problem.descent) else math.nan


def _still(descent: Descent) -> bool:
    """Whether the loss falls by one law at every step, with no state but theta: sum gamma phi is then L(t) - L(T)."""
    return len(set(descent.learning_rates)) == 1 and not descent.momentum and not descent.weight_decay


def _check_looks(work: Work, measured: Sequence[Mapping[str, Any]]) -> None:
    """Say how many looks have no cv: it is a ratio to the mean, and of one example it is nothing."""
    for policy in ("constant", "found"):
        own = [row for row in measured if row["policy"] == policy]
        own = [row for row in own if row["step"] <= findings.LAST * own[-1]["step"]]
        for name in ("ct", "phi"):
            if lost := sum(math.isnan(row[f"{name}_cv"]) for row in own):
                work.decide(
                    f"warning: at {lost} of {len(own)} looks {name} has no cv under the {policy} policy (its mean is "
                    "near zero or below, or one example has all the weight), and they are left out of its median"
                )


def _check_adjoint(work: Work, measured: Sequence[Mapping[str, Any]]) -> None:
    """Under a policy that does not move, sum gamma phi is the loss still to go, where steps are small enough."""
    ratios = [row["phi_ratio"] for row in measured if row["policy"] == "constant"]
    middle = float(pd.Series(ratios[: max(1, round(findings.LAST * len(ratios)))]).median())
    if middle < 1 - FAR or middle > 1 + FAR:
        work.decide(
            f"warning: long-horizon contributions sum to {middle:.3g} times the loss that is still to go, and not it: "
            "the steps are too large for them to be read so (a smaller recipe.learning_rate)"
        )


# ---- going on after an interruption ----------------------------------------------------------------------------------


def _save(checkpoint: Path, state: Search, measured: list[dict[str, Any]]) -> None:
    from ..store import checkpoints

    names = ("policy", "best", "best_epoch", "target", "stopping")
    checkpoints.write(checkpoint, {name: getattr(state, name) for name in names} | {"measured": measured})


def _load(checkpoint: Path, problem: Problem, work: Work) -> tuple[Search, list[dict[str, Any]]]:
    from ..contribution.search import Search
    from ..store import checkpoints

    saved = checkpoints.read(checkpoint, work.notify)
    if saved is None:
        return Search(problem.uniform.clone(), problem.uniform), []
    with checkpoints.taken(checkpoint):
        measured: list[dict[str, Any]] = saved.pop("measured")
        return Search(**saved), measured
