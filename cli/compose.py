"""All of Hydra: overrides to a grid of validated runs. Choices come from yaml presets and from the registry."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from prune_lab.experiments import choices as registry
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.laws import expectations
from prune_lab.experiments.phases.settings import Run

from . import words as said

Checked = TypeVar("Checked", bound=BaseModel)
CONFIGS = "prune_lab.configs"
OWN = ".yaml"  # how the file of an experiment of one's own ends
OF_A_STUDY = ("study", "seed", "device", "results", "launcher", "experiment", "hydra")  # sections that a study reads
GROUPS = (*registry.KINDS, "recipe", "launcher", "experiment")


def runs(phase: str, overrides: Sequence[str]) -> list[Run]:
    """One validated run for each point of the grid that the overrides span (`seed=0,1,2 keep=0.5,1`)."""
    for word in overrides:
        if word.startswith("experiment="):
            raise ConfigError(f"{word} spans many runs, and {phase} is one phase", f"prune-lab reproduce {word}")
    _check_study(phase, overrides)
    return [_run(phase, point) for point in grid(overrides)]


def experiment(overrides: Sequence[str]) -> tuple[expectations.Experiment, list[Run]]:
    """The experiment that `experiment=NAME` names, and its runs; the other overrides apply to every one of them."""
    grid(overrides)  # a word that is no override is answered first
    chosen = [word.partition("=")[2] for word in overrides if word.startswith("experiment=")]
    if len(chosen) != 1 or "," in chosen[0]:
        raise ConfigError(
            f"say which experiment: one of {', '.join(choices('experiment'))}", "prune-lab reproduce experiment=demo"
        )
    found = described(overrides)
    size = found.chosen
    _check_study(found.phase, overrides)
    spanned = [point for words in size.grids for point in grid([*size.settings, *words, *overrides])]
    unique = {repr(run): run for point in spanned for run in [_run("evaluate", point)]}
    return found, list(unique.values())


def _check_study(phase: str, overrides: Sequence[str]) -> None:
    """Refuse settings that a study would ignore, and a study where none is run."""
    for word in overrides:
        section = word.partition("=")[0].split(".")[0]
        if phase != "simulate" and section == "study":
            raise ConfigError(f"{word}: {phase} runs no study, and would ignore it", f"prune-lab simulate {word}")
        if phase == "simulate" and section not in OF_A_STUDY:
            raise ConfigError(f"{word} is of the pipeline, and a study would ignore it", f"study.{word}")


def described(overrides: Sequence[str]) -> expectations.Experiment:
    """The experiment that the overrides name, without its runs."""
    point = grid(overrides)[0]
    ours = next((_ours(word)[1] for word in point if _is_ours(word, point)), None)
    return _validated(expectations.Experiment, _composed("evaluate", point, ours)["experiment"])


def grid(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """The points of a sweep in Hydra's grammar; a later value for a key replaces an earlier one.

    In a sweep over a section's choices a key goes to those that have it: `scorer=el2n,file scorer.path=mine.csv`.
    """
    from hydra.errors import HydraException

    axes: dict[str, list[str]] = {}
    for word in overrides:
        try:
            override = _parsed(word)
            key = override.get_key_element()
            if override.is_sweep_override():
                values = [str(value) for value in override.sweep_string_iterator()]
            else:
                values = [override.get_value_element_as_str()]
        except HydraException:
            mend = said.spelled(word, GROUPS, choices)
            raise ConfigError(f"{word!r} is no setting of the form key=value", mend) from None
        axes[key] = [word] if override.is_delete() else [f"{key}={value}" for value in values]
    swept = {group for group in registry.KINDS if len(axes.get(group, ())) > 1}
    points = [tuple(word for word in point if _applies(word, point, axes, swept)) for point in product(*axes.values())]
    return list(dict.fromkeys(points))


def _applies(word: str, point: tuple[str, ...], axes: Mapping[str, Sequence[str]], swept: Collection[str]) -> bool:
    """Whether a word is meant for a point: not where the key belongs to others of the choices that are swept over."""
    place = word.partition("=")[0].split(".")
    if place[0] not in swept or len(place) == 1:
        return True
    owners = {f"{place[0]}={owner}" for owner in said.owners(place)}
    return not owners.intersection(axes[place[0]]) or not owners.isdisjoint(point)


def choices(group: str) -> list[str]:
    """The names of a group's configs, and of the choices that need none."""
    folder = resources.files(CONFIGS).joinpath(group)
    entries = folder.iterdir() if folder.is_dir() else ()
    presets = {entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml")}
    return [*sorted(presets), *(name for name in registry.names(group) if name not in presets)]


def complete(incomplete: str) -> Iterator[str]:
    """Shell completion of an override: keys first, then a key's values."""
    key, equals, value = incomplete.partition("=")
    if not equals:
        begun = [f"{name}=" for name in said.every_key() if name.startswith(key)]
        yield from begun if len(begun) != 1 else list(complete(begun[0])) or begun
        return
    known = choices(key) if key in GROUPS else said.literals(key)
    yield from (f"{key}={name}" for name in known if name.startswith(value))


def _run(phase: str, point: tuple[str, ...]) -> Run:
    content = _composed(phase, point)
    content.pop("experiment", None)
    return _validated(Run, content)


def _composed(phase: str, point: tuple[str, ...], described: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Hydra composes the presets (slow, so once a combination); all other words are set on a copy of what it made.

    `described` is the section of an experiment of ours, which `_groups` leaves out.
    """
    structural = tuple(word for word in point if _is_structural(word))
    content = copy.deepcopy(_groups(phase, structural))
    if described is not None:
        content["experiment"] = copy.deepcopy(described)
    others = [word for word in point if word not in structural]
    for word in sorted(others, key=lambda word: not _is_choice(word)):  # choices first, then their settings
        override = _parsed(word)
        if _is_choice(word):
            content[override.key_or_group] = {"name": override.value()}
            continue
        *parents, leaf = override.key_or_group.split(".")
        place = content
        for parent in parents:
            if not isinstance(place.setdefault(parent, {}), dict):
                raise ConfigError(f"{override.key_or_group}: {parent} is a value, not a section")
            place = place[parent]
        place[leaf] = override.value()
    return content


@lru_cache(maxsize=4096)
def _parsed(word: str) -> Any:
    """A word in Hydra's grammar; slow to parse, and the same in many points of a grid."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(word)


def _is_choice(word: str) -> bool:
    """Whether a word names a choice of the registry that has no preset."""
    kind, _, name = word.partition("=")
    return name in registry.names(kind) and not _presets(kind, name)


@lru_cache(maxsize=256)
def _presets(kind: str, name: str) -> bool:
    return resources.files(CONFIGS).joinpath(kind, f"{name}.yaml").is_file()


def _is_structural(word: str) -> bool:
    """Whether an override is for Hydra: a preset, `+`, `~` or `hydra.`; not a plain value, nor a bare choice."""
    key = word.partition("=")[0]
    return (key in GROUPS and not _is_choice(word)) or key[:1] in "+~" or key.startswith("hydra.")


@lru_cache(maxsize=64)
def _groups(phase: str, words: tuple[str, ...]) -> dict[str, Any]:
    from hydra import compose, initialize_config_module
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError  # type: ignore[import-untyped]

    for kind in registry.KINDS:  # for the defaults lists of yaml files
        for name in registry.names(kind):
            if not _presets(kind, name):
                ConfigStore.instance().store(name, {"name": name}, group=kind)
    try:
        with initialize_config_module(CONFIGS, version_base="1.3"):
            composed = compose(phase, [_ours(word)[0] if _is_ours(word, words) else _own(word) for word in words])
        content: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
    except MarkedYAMLError as error:
        place = error.problem_mark
        where = f"{place.name}, line {place.line + 1}" if place else "a config"
        raise ConfigError(f"{where}: {error.problem}") from None
    except (HydraException, OmegaConfBaseException) as error:
        for word in words:
            group, _, name = word.partition("=")
            known = group not in GROUPS or name.endswith(OWN) or name in choices(group)
            if isinstance(error, MissingConfigException) and not known:
                near = said.nearest(name, choices(group))
                what = said.did_you_mean(f"{group}={name}", name, choices(group), f"{group}=")
                what += ". One of your own needs --plugin FILE.py" if group in registry.KINDS else ""
                raise ConfigError(what, _sized(word) or (near and f"{group}={near}")) from None
        raise ConfigError(str(error).splitlines()[0]) from None
    return content


def _is_ours(word: str, words: Sequence[str]) -> bool:
    """Whether a word names an experiment of this package, and no other folder could have one of that name."""
    group, _, name = word.partition("=")
    return group == "experiment" and name in choices(group) and not any(word.startswith("hydra.") for word in words)


@lru_cache(maxsize=64)
def _ours(word: str) -> tuple[str, dict[str, Any]]:
    """The settings of an experiment of ours as a choice of the group, and its section `experiment` apart.

    The section is long and the same in every combination of groups: Hydra would take longer for it than for the rest.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    group, _, name = word.partition("=")
    with resources.files(CONFIGS).joinpath(group, f"{name}{OWN}").open() as file:
        content: Any = OmegaConf.load(file)
    section: Any = OmegaConf.to_container(content.pop("experiment"), resolve=True)
    choice = f"settings_of_{name}"
    ConfigStore.instance().store(choice, content, group=group, package="_global_")
    return f"{group}={choice}", section


def _own(word: str) -> str:
    """An experiment's file of one's own (`experiment=mine.yaml`) as a choice of the group."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    group, _, name = word.partition("=")
    if group != "experiment" or not name.endswith(OWN):
        return word
    file = Path(name)
    if not file.is_file():
        raise ConfigError(f"there is no file {name}", f"experiment=NAME, one of {', '.join(choices('experiment'))}")
    content = OmegaConf.load(file)
    if "experiment" not in content:
        raise ConfigError(f"{name} has no section experiment, with name, title and grids: the README has an example")
    choice = f"own_{file.stem}"
    ConfigStore.instance().store(choice, content, group=group, package="_global_")
    return f"{group}={choice}"


def _sized(word: str) -> str | None:
    """`experiment=capacity experiment.size=digits` for experiment=capacity_digits, the name of its page's folder."""
    name = word.removeprefix("experiment=")
    for known in choices("experiment"):
        size = name.removeprefix(f"{known}_")
        if name != word and size != name and size in described([f"experiment={known}"]).sizes:
            return f"experiment={known} experiment.size={size}"
    return None


def _validated(model: type[Checked], content: Any) -> Checked:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        usual = _groups("prune", ())
        chosen = {str(kind): one.get("name") for kind, one in content.items() if isinstance(one, dict)}
        explained = [said.sentence(detail, chosen, usual, choices) for detail in error.errors()]
        sentences, mends = zip(*explained, strict=True)
        raise ConfigError("\n".join(sentences), next((mend for mend in mends if mend), None)) from None
