"""Which folders a run needs: each job's recipe, inputs and key, worked out without running anything.

A recipe holds what the result depends on and nothing else: no path, device, launcher or output folder. A key hashes the
recipe without the settings that have their default: a setting that is added later leaves the keys of old results alone
(and a default that changes its meaning needs a new PHASE_VERSION; a test holds the defaults). Data are loaded where a
recipe leaves its duration to their size, and their size is not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from ..choices import completed
from ..contracts import Choice, Place, ProxyRun, ScorerChoice, Settings, TaskChoice
from ..data.load import pool_size, second_fingerprint
from ..data.sources import fingerprint_files, list_files
from ..data.texts import SecondText
from ..errors import ConfigError, DataUnavailable
from ..scoring.folds import asked as asked_of
from ..store.folders import Store, key_of
from ..training.recipes import FULL, UNTIMED, Recipe
from .settings import DEFAULT, Run

C = TypeVar("C", bound=Choice)
# raised by hand when a phase's meaning changes
PHASE_VERSION = {"score": 1, "prune": 2, "train": 2, "evaluate": 1, "simulate": 1, "search": 2}
# the bytes count, not where they are; unit and group are of the phases that read them
PLACES: Any = {"path": True, "unit": True, "group": True, "mixed": {"path": True}}
RELABELLED = "a file"  # what a record says of task.labels; its content is in the fingerprint
ASKED = {"number", "epoch", "share", "most_epochs", "observe", "movement", "fold", "folds"}  # of a proxy


@dataclass(frozen=True, slots=True)
class Job:
    """One phase of one run: `key` names its folder."""

    phase: str
    settings: Mapping[str, Any]  # sections of the run's settings, and plain values
    inputs: Mapping[str, Job]
    run: Run
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
            return f"{self.settings['study'].title()}, seed {run.seed}"
        classes, pool = getattr(run.task, "classes", None), run.task.examples
        mixed = getattr(run.task, "mixed", None)
        data = run.task.name + ("" if mixed is None else f" and {mixed.name}")
        words = [data + ("" if pool is None else f" {pool}") + _of(classes)]
        drawn = _seed_in_words(self.settings)
        if self.phase == "score":
            return f"{words[0]}, {run.scorer.called()}{drawn}"
        if proxy is not None and "models" in proxy:
            return f"{words[0]}, {proxy['models']} models of {run.scorer.name}{drawn}"
        if proxy is not None and "numbers" in proxy:
            return f"{words[0]}, {len(proxy['numbers'])} proxies of {run.scorer.name}{drawn}"
        if proxy is not None:
            return f"{words[0]}, {proxy.get('encoder', 'proxy')} {proxy['number']} of {run.scorer.name}{drawn}"
        if run.keep < 1:
            scorer = "" if not run.rule.scored else f" by {run.scorer.called()}"
            budget = "" if self.phase == "prune" else f", equal {run.budget}"
            whole = " documents" if by_document(run) else ""
            words.append(f"{run.keep:g} {run.rule.name}{whole}{scorer}{budget}")
        if run.policy.name != DEFAULT["policy"] and self.phase != "prune":
            words.append(run.policy.name)
        start = (self.inputs.get("train") or self).inputs.get("start")
        if start is not None:
            words.append(f"after {start.name.rpartition(', ')[0]}")
        return ", ".join(words if self.phase == "prune" else [*words, f"seed {run.seed}"])

    @property
    def choices(self) -> list[Choice]:
        """The choices that this phase runs."""
        own = {"prune": self.run.rule, "score": self.run.scorer}.get(self.phase)  # whose recipes may be plain data
        chosen = {id(one): one for one in (*self.settings.values(), own)}.values()
        return [one for one in chosen if isinstance(one, Choice)]

    @property
    def plugins(self) -> list[str]:
        """The plug-ins whose choices this phase runs."""
        return sorted({str(one.plugin_name) for one in self.choices if one.plugin is not None})

    @property
    def recipe(self) -> dict[str, Any]:
        """Every setting that the result depends on, as plain data."""
        return _dump(self.settings, exclude_defaults=False)


def job_of(phase: str, run: Run) -> Job:
    """The job that makes a phase's folder for a run."""
    makers = {"score": score_job, "prune": prune_job, "train": train_job, "evaluate": evaluate_job}
    return simulate_job(run) if phase == "simulate" else (makers | {"search": search_job})[phase](_decided(run))


def _decided(run: Run) -> Run:
    """The run with its recipes as they run on the device that it asks for."""
    changes: dict[str, Any] = {"recipe": run.recipe.decided(run.device)}
    if (features := run.search.features) is not None:
        changes["search"] = run.search.model_copy(update={"features": features.decided(run.device)})
    if run.finetune is not None and run.finetune.recipe is not None:
        recipe = run.finetune.recipe.decided(run.device)
        changes["finetune"] = run.finetune.model_copy(update={"recipe": recipe})
    return run.model_copy(update=changes)


def timed(run: Run, folds: int | None = None) -> Run:
    """The run with a duration, derived from the size of its training pool where its recipe gives none.

    A proxy that leaves out one of so many folds trains on the rest of the pool.
    """
    recipe = run.recipe.timed(lambda: round(pool_size(run.task, fingerprint(run.task)) * (1 - 1 / (folds or math.inf))))
    return run if recipe is run.recipe else run.model_copy(update={"recipe": recipe})


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


def score_job(run: Run) -> Job:
    """Scores over the training pool. The runs that the scorer reads are train jobs of their own.

    Both belong to the run's seed, so that intervals over seeds hold the score's randomness; or to score_seed, which
    runs of all seeds share.
    """
    if run.scored == "everything" and run.task.examples is not None:
        whole = run.task.model_copy(update={"examples": None})
        run = run.model_copy(update={"task": whole})
    asked = asked_of(run.scorer, run)
    if any("number" not in one.asks for one in asked):  # it draws the proxy apart from the model that is judged
        raise ConfigError(f"scorer={run.scorer.name} asks for a proxy without a number", 'ProxyRun({"number": 0})')
    if any(one in asked[:place] for place, one in enumerate(asked)):
        raise ConfigError(f"scorer={run.scorer.name} asks for the same proxy twice", "another number for each")
    proxies = {f"train_{places[0]}": _proxy_job(run, [asked[one] for one in places]) for places in packs(run)}
    seed = _score_seed(run) if proxies or run.scorer.draws else {}
    return Job("score", _data(run) | {"scorer": scorer_recipe(run.scorer)} | seed, proxies, run)


def scorer_recipe(scorer: ScorerChoice) -> Any:
    """What a score is besides its proxies: the scorer, or what it says in its place, as of a file's content."""
    recipe = scorer.recipe()
    if recipe is scorer:
        return _located(scorer)
    return recipe if isinstance(recipe, Choice) else dict(recipe) | _made_by(scorer)


def _located(choice: C) -> C:
    """A plug-in's choice with the hash of what its files and folders hold in place of where they are."""
    if choice.plugin is None:  # those of the house say what identifies them
        return choice
    fields = type(choice).model_fields.items()
    names = [name for name, one in fields if "place" in one.metadata or Place in get_args(one.annotation)]
    places = {name: Path(path) for name in names if (path := getattr(choice, name)) is not None}
    for name, path in places.items():
        if not path.exists():
            what = f"{choice.kind}.{name}"
            raise DataUnavailable(f"{what}={path}: there is no such file or folder", f"{what}=FILE_OR_FOLDER")
    hashes = {name: fingerprint_files(list_files(path, [""]), path) for name, path in places.items()}
    return choice.model_copy(update=hashes)


def prune_job(run: Run) -> Job:
    """Which examples are kept: the seed draws among equal scores. A rule without scores needs none."""
    rule = _located(run.rule)
    recipe = _data(run) | {"keep": run.keep, "rule": rule.name, "balance": run.balance, "seed": run.seed}
    recipe |= rule.model_dump(mode="json", exclude={"name"})
    recipe |= {f"rule_{name}": value for name, value in _made_by(rule).items()}
    recipe |= {"unit": "document"} if by_document(run) else {}
    return Job("prune", recipe | _groups(run), {"score": score_job(run)} if rule.scored else {}, run)


def _groups(run: Run) -> dict[str, str]:
    group = getattr(run.task, "group", None)
    return {} if group is None else {"group": group}


def by_document(run: Run) -> bool:
    """Whether whole documents of text are kept or dropped, and not each window."""
    return bool(getattr(run.task, "unit", "") == "document")


def train_job(run: Run) -> Job:
    """A model trained on what is kept. With keep=1 nothing is pruned and both budgets are one.

    With a second set it is the model that went on with that one, and started from what the first left.
    """
    if run.finetune is not None:
        first, second = run.model_copy(update={"finetune": None}), timed(run.second)
        recipe = _data(second) | _training(second) | {"seed": run.seed}
        return Job("train", recipe, {"start": train_job(first)}, second)
    trained = timed(run)
    recipe = _data(run) | _training(trained) | {"seed": run.seed}
    if run.policy.name != DEFAULT["policy"]:
        recipe |= {"policy": _located(run.policy)}
    if run.policy.chooses:
        recipe |= {"budget": run.budget}
    inputs = {}
    if run.policy.searched:
        inputs["search"] = search_job(run.model_copy(update={"search": run.search.weights_alone}))
    if run.keep == 1:
        return Job("train", recipe, inputs, trained)
    return Job("train", recipe | {"budget": run.budget}, inputs | {"prune": prune_job(run)}, trained)


def evaluate_job(run: Run) -> Job:
    """The test split under a trained model, and a second text where one is given: the one phase that touches them."""
    judged = run if run.finetune is None else run.second
    if getattr(judged.task, "test", None) == 0:
        what = "task.test=0 leaves no test split, which evaluate measures (train measures dev)"
        raise ConfigError(what, f"task.test={type(judged.task).model_fields['test'].default}")
    recipe: dict[str, Any] = {"split": "test"}
    if run.shifted is not None:
        recipe |= {"shifted": run.shifted, "shifted_fingerprint": second_fingerprint(run.shifted)}
        if recipe["shifted_fingerprint"] == fingerprint(run.task):
            raise ConfigError("the second text is the task's own, which it is trained on", "another shifted.path")
    return Job("evaluate", recipe, {"train": train_job(run)}, judged)


def simulate_job(run: Run) -> Job:
    """One seed of a study; it needs no other phase."""
    if run.study is None:
        raise ConfigError("say which study", "prune-lab simulate study=perceptron")
    return Job("simulate", {"study": run.study.simplified(), "seed": run.seed}, {}, run)


def search_job(run: Run) -> Job:
    """The near-optimal policy over what is kept, and the law measured along the way; all in float32."""
    if run.recipe.batch_size < FULL or run.recipe.steps is None:
        raise ConfigError("a policy is searched over a number of steps, each on the whole set", "recipe=flow")
    if getattr(run.task, "dev", None) == 0:
        raise ConfigError("a search is judged on dev, which task.dev=0 trains on", "task.dev=0.2")
    full = run.recipe.model_copy(update={"precision": "float32", "batch_size": FULL})
    recipe = _data(run) | {"model": run.model, "recipe": full, "seed": run.seed, "search": run.search} | _groups(run)
    usual = run if run.search.features is None else run.model_copy(update={"recipe": run.search.features})
    inputs = {} if run.keep == 1 else {"prune": prune_job(usual)}
    if run.search.features is not None:
        whole = run.task.model_copy(update={"examples": None})
        inputs["features"] = train_job(usual.model_copy(update={"task": whole, "keep": 1.0}))
    return Job("search", recipe, inputs, run)


def packs(run: Run) -> list[list[int]]:
    """Which of the proxies that the scorer asks for, by their places, are trained in one job.

    Those that differ by their number alone, where the model trains packed: settings decide, never the machine.
    """
    found: dict[Any, list[int]] = {}
    for place, proxy in enumerate(asked_of(run.scorer, run)):
        asks = {name: value for name, value in proxy.asks.items() if name != "number"}
        optimizer = proxy.recipe.get("optimizer", run.recipe.optimizer)
        plain = not proxy.sections and "fold" not in asks and run.scorer.trainer(proxy.asks) is None
        alone = not (plain and run.model.packs and optimizer != "muon")
        found.setdefault(place if alone else str((sorted(asks.items()), sorted(proxy.recipe.items()))), []).append(
            place
        )
    return list(found.values())


def _proxy_job(run: Run, proxies: Sequence[ProxyRun]) -> Job:
    """A proxy, or several that are trained packed."""
    proxy, asks = proxies[0], dict(proxies[0].asks)
    if len(proxies) > 1:
        asks = {"numbers": [one.asks["number"] for one in proxies]} | asks
        del asks["number"]
    try:
        own = Recipe.model_validate(dict(run.recipe) | dict(proxy.recipe))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError(
            f"scorer={run.scorer.name} asks for a proxy of no recipe: {wrong}", "ProxyRun.recipe"
        ) from None
    run = timed(run.model_copy(update={"recipe": own.decided(run.device)}), asks.get("folds"))
    recipe = _data(run) | _training(run) | _score_seed(run) | {"proxy": asks}
    if run.scorer.trainer(proxy.asks) is None:
        if unknown := sorted(set(proxy.asks) - ASKED):
            there = ", ".join(sorted(ASKED))
            raise ConfigError(f"scorer={run.scorer.name} asks its proxies for {', '.join(unknown)}", f"one of {there}")
    elif run.scorer.plugin is not None:  # what trains them is the plug-in's, and so is the result
        recipe["trained_by"] = run.scorer
    return Job("train", recipe | dict(proxy.sections), {}, run)


def _score_seed(run: Run) -> dict[str, Any]:
    return {"seed": run.seed} if run.score_seed is None else {"seed": run.score_seed, "shared": True}


def _seed_in_words(settings: Mapping[str, Any]) -> str:
    return f", {'shared ' if settings.get('shared') else ''}seed {settings['seed']}" if "seed" in settings else ""


def fingerprint(task: TaskChoice) -> str:
    """A hash of the bytes that the task's results depend on."""
    if _looked_at is None:
        return task.fingerprint()
    if task not in _looked_at:
        try:
            _looked_at[task] = task.fingerprint()
        except DataUnavailable as error:
            if len(known := _recorded(task)) != 1:
                raise
            _gone[task], _looked_at[task] = error, known.pop()
    return _looked_at[task]


_looked_at: dict[TaskChoice, str] | None = None
_gone: dict[TaskChoice, DataUnavailable] = {}
_store: Store | None = None


@contextmanager
def one_look(store: Store | None = None) -> Iterator[dict[TaskChoice, DataUnavailable]]:
    """While a command plans, it looks at the files of each task once, and not once a run.

    Of data that are not here the fingerprint is that of the runs in the store, where all runs of this task's settings
    have the same: what was made of them is found, and nothing more can be made. Yields those tasks, with the error.
    """
    global _looked_at, _store, _gone
    _looked_at, _store, _gone = {}, store, {}
    try:
        yield _gone
    finally:
        _looked_at = _store = None


def _recorded(task: TaskChoice) -> set[str]:
    """The fingerprints of the data that runs in the store with this task's settings were made of."""
    if getattr(task, "labels", None) is not None:  # whose content only the file has
        return set()
    recipes = [folder.record["recipe"] for folder in _store.folders()] if _store is not None else []
    wanted = _settings_of(_plain(task, exclude_defaults=False))
    same = [one for one in recipes if isinstance(one.get("task"), dict) and _settings_of(one["task"]) == wanted]
    return {str(one["fingerprint"]) for one in same if "fingerprint" in one}


def _settings_of(task: Mapping[str, Any]) -> Any:
    """A task's settings as JSON has them, with those that were added since."""
    return json.loads(json.dumps(completed("task", task), default=str))


def _of(classes: tuple[str, ...] | None) -> str:
    """Which classes, where not all: the first and how many more."""
    return "" if classes is None else f" ({classes[0]} and {len(classes) - 1} more)"


def _data(run: Run) -> dict[str, Any]:
    """The task's settings, and the fingerprint of the bytes that its path led to instead of the path."""
    return {"task": run.task, "fingerprint": fingerprint(run.task)}


def _training(run: Run) -> dict[str, Any]:
    return {"model": run.model, "recipe": run.recipe.model_copy(update=UNTIMED)}


def _dump(settings: Mapping[str, Any], *, exclude_defaults: bool) -> dict[str, Any]:
    return {
        name: _plain(value, exclude_defaults=exclude_defaults) if isinstance(value, Settings) else value
        for name, value in settings.items()
    }


def _plain(section: Settings, *, exclude_defaults: bool) -> dict[str, Any]:
    places = PLACES if isinstance(section, TaskChoice | SecondText) else None
    content = section.model_dump(mode="json", exclude=places, exclude_defaults=exclude_defaults)
    if isinstance(section, TaskChoice) and getattr(section, "labels", None) is not None:
        content["labels"] = RELABELLED
    return {"name": section.name} | content | _made_by(section) if isinstance(section, Choice) else content


def _made_by(choice: Choice) -> dict[str, Any]:
    """Which code a choice is: its version from 2 on, and the hash of a plug-in's source."""
    version = {} if choice.version == 1 else {"version": choice.version}
    return version | ({} if choice.plugin is None else {"plugin": choice.plugin})
