"""Which folders a run needs: each job's recipe, inputs and key, worked out without running or loading anything.

A recipe holds what the result depends on and nothing else: no path, device, launcher or output folder. A key hashes the
recipe without the settings that have their default: a setting that is added later leaves the keys of old results alone
(and a default that changes its meaning needs a new PHASE_VERSION; a test holds the defaults).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..choices import Settings
from ..data.load import fingerprint, second_fingerprint, target_fingerprint
from ..errors import ConfigError
from ..scoring import settings as scorers
from ..store.folders import key_of
from . import settings as schema

PHASE_VERSION = {
    "score": 1,
    "prune": 1,
    "train": 1,
    "evaluate": 1,
    "simulate": 1,
    "search": 1,
}  # raised by hand when a phase's meaning changes
PLACES: Any = {"path": True, "mixed": {"path": True}}  # the bytes count, not where they lie
PROXY_SEED = 1_000_000  # proxies' seeds lie apart from every run's
CCS_EPOCHS = 10  # epochs that CCS sums EL2N over (arXiv:2210.15809)
CHECKPOINTS = (0.1, 0.5, 1.0)  # shares of the schedule after which TracIn looks
EARLY = 0.1  # share of the schedule after which EL2N and GraNd look: epoch 20 of 200 (arXiv:2107.07075)


@dataclass(frozen=True, slots=True)
class Job:
    """One phase of one run: `key` names its folder."""

    phase: str
    settings: Mapping[str, Any]  # sections of the run's settings, and plain values
    inputs: Mapping[str, Job]
    run: schema.Run
    key: str = field(init=False)

    def __post_init__(self) -> None:
        inputs = {name: job.key for name, job in self.inputs.items()}
        recipe = _dump(self.settings, exclude_defaults=True)
        content = {"phase": self.phase, "phase_version": PHASE_VERSION[self.phase], "recipe": recipe}
        object.__setattr__(self, "key", key_of({**content, "inputs": inputs}))

    @property
    def name(self) -> str:
        """What a person calls it, as in "digits, 0.5 hard by el2n, seed 0"."""
        run, proxy = self.run, self.settings.get("proxy")
        if self.phase == "simulate":
            return (
                f"perceptron, {self.recipe['keep']:g} {self.recipe['rule']}, {self.recipe['theory']['theta']:g} degrees"
            )
        classes, pool = getattr(run.task, "classes", None), run.task.examples
        mixed = getattr(run.task, "mixed", None)
        data = run.task.name + ("" if mixed is None else f" and {mixed.name}")
        words = [data + ("" if pool is None else f" {pool}") + _of(classes)]
        if self.phase == "score":
            return f"{words[0]}, {_called(run.scorer)}"
        if proxy is not None and "models" in proxy:
            return f"{words[0]}, {proxy['models']} models of {run.scorer.name}"
        if proxy is not None:
            return f"{words[0]}, {proxy.get('encoder', 'proxy')} {proxy['number']} of {run.scorer.name}"
        if run.keep < 1:
            scorer = "" if run.rule == "random" else f" by {_called(run.scorer)}"
            budget = "" if self.phase == "prune" else f", equal {run.budget}"
            words.append(f"{run.keep:g} {run.rule}{scorer}{budget}")
        if run.policy.name != "uniform" and self.phase != "prune":
            words.append(run.policy.name)
        start = (self.inputs.get("train") or self).inputs.get("start")
        if start is not None:
            words.append(f"after {start.name.rpartition(', ')[0]}")
        return ", ".join(words if self.phase == "prune" else [*words, f"seed {run.seed}"])

    @property
    def recipe(self) -> dict[str, Any]:
        """Every setting that the result depends on, as plain data."""
        return _dump(self.settings, exclude_defaults=False)


def job_of(phase: str, run: schema.Run) -> Job:
    """The job that makes a phase's folder for a run."""
    makers = {"score": score_job, "prune": prune_job, "train": train_job, "evaluate": evaluate_job}
    return (makers | {"simulate": simulate_job, "search": search_job})[phase](run)


def closure(jobs: Iterable[Job]) -> list[Job]:
    """The jobs and all that they need, each key once, inputs before what needs them."""
    found: dict[str, Job] = {}

    def visit(job: Job) -> None:
        for needed in job.inputs.values():
            visit(needed)
        found.setdefault(job.key, job)

    for job in jobs:
        visit(job)
    return list(found.values())


def score_job(run: schema.Run) -> Job:
    """Scores over the training pool. Where proxies judge, they are train jobs of their own."""
    if run.scored == "everything" and run.task.examples is not None:
        whole = run.task.model_copy(update={"examples": None})
        run = run.model_copy(update={"task": whole})
    scorer = run.scorer
    proxies = {f"train_{number}": _proxy_job(run, proxy) for number, proxy in enumerate(_proxies(run))}
    if isinstance(scorer, scorers.MaskScorer):
        proxies = {"train_0": _mask_job(run, scorer)}
    recipe = _data(run) | {"scorer": scorer}
    if isinstance(scorer, scorers.FileScorer):
        from ..data.sources import fingerprint_files

        recipe["scorer"] = {"name": "file", "fingerprint": fingerprint_files([_existing(scorer.path)])}
    if isinstance(scorer, scorers.NgramImportanceScorer) and scorer.target is not None:
        recipe["scorer"] = scorer.model_copy(update={"target": target_fingerprint(scorer.target)})
    return Job("score", recipe, proxies, run)


def prune_job(run: schema.Run) -> Job:
    """Which examples are kept. A random choice needs no scores, and depends on the seed."""
    recipe = _data(run) | {"keep": run.keep, "rule": run.rule, "balance": run.balance}
    if run.rule == "stratified":
        recipe["drop_hardest"] = run.drop_hardest
    if run.rule in ("random", "stratified", "beta", "quota"):
        recipe["seed"] = run.seed
    inputs = {} if run.rule == "random" else {"score": score_job(run)}
    return Job("prune", recipe, inputs, run)


def train_job(run: schema.Run) -> Job:
    """A model trained on what is kept. With keep=1 nothing is pruned and both budgets are one.

    With a second set it is the model that went on with that one, and started from what the first left.
    """
    if run.finetune is not None:
        first, second = run.model_copy(update={"finetune": None}), run.second
        recipe = _data(second) | _training(second) | {"seed": run.seed}
        return Job("train", recipe, {"start": train_job(first)}, second)
    recipe = _data(run) | _training(run) | {"seed": run.seed}
    if run.policy.name != "uniform":
        recipe |= {"policy": run.policy}
    if run.policy.name in schema.CHOOSING:
        recipe |= {"budget": run.budget}
    inputs = {"search": search_job(run)} if isinstance(run.policy, schema.LearningLawPolicy) else {}
    if run.keep == 1:
        return Job("train", recipe, inputs, run)
    return Job("train", recipe | {"budget": run.budget}, inputs | {"prune": prune_job(run)}, run)


def evaluate_job(run: schema.Run) -> Job:
    """The test split under a trained model, and a second text where one is given: the one phase that touches them."""
    recipe: dict[str, Any] = {"split": "test"}
    if run.shifted is not None:
        recipe |= {"shifted": run.shifted, "shifted_fingerprint": second_fingerprint(run.shifted)}
        if recipe["shifted_fingerprint"] == fingerprint(run.task):
            raise ConfigError("the second text is the task's own, which it is trained on", "another shifted.path")
    return Job("evaluate", recipe, {"train": train_job(run)}, run if run.finetune is None else run.second)


def simulate_job(run: schema.Run) -> Job:
    """The perceptron's theory and its simulation; it needs no data set. A random subset is like an unpruned set."""
    if run.rule not in ("hard", "easy", "random"):
        raise ConfigError(f"the theory knows no rule={run.rule}", "rule=hard, easy or random")
    theory, keep, rule = run.theory, run.keep, run.rule
    if rule == "random" or keep == 1:
        theory, keep, rule = theory.model_copy(update={"theta": 0.0, "margin": "abs"}), 1.0, "random"
    return Job("simulate", {"theory": theory, "keep": keep, "rule": rule, "seed": run.seed}, {}, run)


def search_job(run: schema.Run) -> Job:
    """The near-optimal policy over what is kept, and the law measured along the way."""
    recipe = _data(run) | _training(run) | {"seed": run.seed, "search": run.search}
    usual = run if run.search.features is None else run.model_copy(update={"recipe": run.search.features})
    inputs = {} if run.keep == 1 else {"prune": prune_job(usual)}
    if run.search.features is not None:
        whole = run.task.model_copy(update={"examples": None})
        inputs["features"] = train_job(usual.model_copy(update={"task": whole, "keep": 1.0}))
    return Job("search", recipe, inputs, run)


def _proxy_job(run: schema.Run, proxy: dict[str, Any]) -> Job:
    if "encoder" in proxy:
        assert isinstance(run.scorer, scorers.PrototypesScorer)
        duration = {"epochs": float(run.scorer.epochs), "steps": None, "examples": None}
        run = run.model_copy(update={"recipe": run.recipe.model_copy(update=duration)})
    recipe = _data(run) | _training(run) | {"seed": PROXY_SEED + proxy["number"], "proxy": proxy}
    return Job("train", recipe, {}, run)


def _mask_job(run: schema.Run, mask: scorers.MaskScorer) -> Job:
    """Learning a mask is a training run of its own: nothing trains inside a scorer."""
    recipe = _data(run) | _training(run) | {"seed": PROXY_SEED, "proxy": {"number": 0}, "mask": mask}
    return Job("train", recipe, {}, run)


def _proxies(run: schema.Run) -> list[dict[str, Any]]:
    """What each proxy is asked for: when to stop, whether to record the trajectory, which fold to leave out.

    One that is asked for models is an ensemble of them on random subsets.
    """
    scorer = run.scorer
    if isinstance(scorer, scorers.WITHOUT_PROXIES):
        return []
    if isinstance(scorer, scorers.MemorizationScorer):
        return [{"number": 0, "models": scorer.models, "subset": scorer.share}]  # an ensemble, under one key
    if isinstance(scorer, scorers.PerplexityScorer):
        numbers = range(scorer.proxies * scorer.folds)
        return [{"number": n, "fold": n % scorer.folds, "folds": scorer.folds} for n in numbers]
    if isinstance(scorer, scorers.TracinScorer):
        looks = [{"share": share} if share < 1 else {} for share in CHECKPOINTS]
        return [{"number": number} | look for number in range(scorer.proxies) for look in looks]
    proxy: dict[str, Any] = {}
    count = 1 if isinstance(scorer, scorers.D2Scorer | scorers.DuplicatesScorer) else scorer.proxies
    if isinstance(scorer, scorers.El2nScorer) and scorer.convention == "ccs":
        if scorer.epoch is not None:
            raise ConfigError("scorer.epoch has no meaning with scorer.convention=ccs", "leave scorer.epoch out")
        proxy = {"most_epochs": CCS_EPOCHS, "observe": True}
    elif isinstance(scorer, scorers.El2nScorer | scorers.GrandScorer):
        proxy = {"epoch": scorer.epoch} if scorer.epoch is not None else {"share": EARLY}
        if isinstance(scorer, scorers.El2nScorer) and scorer.convention == "single":
            count = 1
    elif isinstance(scorer, scorers.PrototypesScorer) and scorer.encoder == "simclr":
        proxy = {"encoder": "simclr", "temperature": scorer.temperature}
    elif isinstance(scorer, scorers.LossScorer | scorers.PrototypesScorer):
        proxy = {} if scorer.epoch is None else {"epoch": scorer.epoch}
    elif isinstance(scorer, scorers.DualScorer | scorers.TddsScorer):
        proxy = {"most_epochs": scorer.epochs, "observe": True}
        if isinstance(scorer, scorers.TddsScorer):
            proxy["movement"] = True
    elif (
        isinstance(scorer, scorers.ForgettingScorer | scorers.DynUncScorer)
        or scorer.name == "aum"
        or (isinstance(scorer, scorers.D2Scorer) and scorer.base == "forgetting")
    ):
        proxy = {"observe": True}
    return [{"number": number} | proxy for number in range(count)]


def _called(scorer: scorers.ScorerSettings) -> str:
    """The scorer's name, or its file's."""
    return os.path.basename(scorer.path) if isinstance(scorer, scorers.FileScorer) else scorer.name


def _of(classes: tuple[str, ...] | None) -> str:
    """Which classes, where not all: the first and how many more."""
    return "" if classes is None else f" ({classes[0]} and {len(classes) - 1} more)"


def _data(run: schema.Run) -> dict[str, Any]:
    """The task's settings, and the fingerprint of the bytes that its path led to instead of the path."""
    return {"task": run.task, "fingerprint": fingerprint(run.task)}


def _training(run: schema.Run) -> dict[str, Any]:
    return {"model": run.model, "recipe": run.recipe}


def _dump(settings: Mapping[str, Any], *, exclude_defaults: bool) -> dict[str, Any]:
    return {
        name: value.model_dump(mode="json", exclude=PLACES, exclude_defaults=exclude_defaults)
        if isinstance(value, Settings)
        else value
        for name, value in settings.items()
    }


def _existing(path: str) -> Any:
    from pathlib import Path

    from ..errors import DataUnavailable

    if not Path(path).is_file():
        what = "is a folder" if Path(path).is_dir() else "there is no such file"
        raise DataUnavailable(f"scorer.path={path}: {what}", "scorer.path=FILE (.npy, .csv, .parquet)")
    return Path(path)
