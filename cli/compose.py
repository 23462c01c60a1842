"""All of Hydra: overrides to a grid of validated runs. Choices come from yaml presets and from the registry."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from itertools import product
from math import isfinite, prod
from shlex import quote
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from prune_lab.experiments import choices as registry
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.laws import expectations
from prune_lab.experiments.phases.settings import Run

from . import meant
from . import words as said
from .experiment_file import experiment_file
from .lines import line_of
from .words import OWN

Checked = TypeVar("Checked", bound=BaseModel)
CONFIGS = "prune_lab.configs"
OF_A_STUDY = ("study", "seed", "device", "results", "launcher", "title", "track", "experiment", "hydra")
GROUPS = (*registry.KINDS, "recipe", "launcher", "experiment")
PLACES = ("results", "launcher", "device", "export", "links", "title", "track")  # one of each serves a whole command
MOST_LETTERS = 20_000  # of a word: Hydra's parser reads some 50,000 a second
MOST_RUNS = 20_000  # of a command: planned in some 15 seconds


def runs(phase: str, overrides: Sequence[str]) -> list[Run]:
    """One validated run for each point of the grid that the overrides span (`seed=0,1,2 keep=0.5,1`)."""
    for word in overrides:
        if word.startswith("experiment="):
            raise ConfigError(f"{word} spans many runs, and {phase} is one phase", f"prune-lab reproduce {word}")
    _check_study(phase, overrides)
    check_once(overrides)
    return [run_of(phase, point) for point in grid(overrides)]


def experiment(overrides: Sequence[str]) -> tuple[expectations.Experiment, list[Run]]:
    """The experiment that `experiment=NAME` names, and its runs; the other overrides apply to every one of them."""
    chosen = {word for point in grid(overrides) for word in point if word.startswith("experiment=")}
    if len(chosen) != 1:
        raise ConfigError(
            f"say which experiment: one of {', '.join(choices('experiment'))}", "prune-lab reproduce experiment=demo"
        )
    found = described(overrides)
    size = found.chosen
    _check_name(chosen.pop().partition("=")[2], found)
    _check_study(found.phase, overrides)
    for word in (word for words in (size.settings, *size.grids) for word in words):
        if word.partition("=")[0].split(".")[0] == "experiment":
            raise ConfigError(f"experiment.grids: {word} names an experiment inside an experiment", "leave it out")
    for line in (overrides, size.settings, *size.grids):
        check_once(line)
    if not size.grids:
        raise ConfigError("experiment.grids has no line, and nothing would run", 'grids: [["keep=0.5", "seed=0,1,2"]]')
    unique = {repr(run): run for point in points(size, overrides) for run in [run_of("evaluate", point)]}
    return found, list(unique.values())


def _check_name(word: str, found: expectations.Experiment) -> None:
    """Refuse a file whose page would take the place of one of ours: a page is named by the experiment and its size."""
    pages = {found.name, *(f"{found.name}_{size}" for size in found.sizes)}
    for known in choices("experiment") if word != found.name else ():
        ours = described([f"experiment={known}"]).sizes if any(page.startswith(known) for page in pages) else ()
        if taken := sorted(pages & {known, *(f"{known}_{size}" for size in ours)}):
            where = place([f"experiment={word}"], ("experiment", "name"))
            what = f"{where}name: {found.name} would write its page over {taken[0]}, which is prune-lab's own"
            raise ConfigError(what, f"name: my_{found.name}")


def place(words: Sequence[str], setting: Sequence[str | int]) -> str:
    """Where a setting is in the own file of an experiment, to stand before a sentence; empty where it is not there."""
    file = next((word[11:].strip("'\"") for word in words if word.startswith("experiment=")), "")
    line = line_of(file, setting) if file.endswith(OWN) else None
    return "" if line is None else f"{file}, line {line}: "


def points(size: expectations.Size, overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """The points of all grids of a size of an experiment, with the overrides in every one of them."""
    return [point for words in size.grids for point in grid([*size.settings, *words, *overrides])]


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
    section = next((_section(word)[1] for word in point if _has_section(word, point)), None)
    own = any(word.startswith("experiment=") and word.endswith(OWN) for word in point)
    content = _composed("evaluate", point) if section is None or own else {}  # ours compose: a test composes them
    if section is not None:
        sizes = [word for word in point if word.startswith("experiment.")]
        content = _with(content | {"experiment": copy.deepcopy(section)}, sizes)
    return _validated(expectations.Experiment, content["experiment"], point, "experiment")


def grid(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    """The points of a sweep in Hydra's grammar; a later value for a key replaces an earlier one.

    In a sweep over a section's choices a key is given to those that have it: `scorer=el2n,file scorer.path=mine.csv`.
    """
    axes: dict[str, list[str]] = {}
    elsewhere = any(word.startswith("hydra.searchpath=") for word in overrides)
    for word in overrides:
        override = _parsed(word)
        key = _key(override)
        if override.is_delete():
            axes[f"~{key}"] = [word]
        else:
            axes[key] = [_said(key, value, word, elsewhere) for value in _values(word, override)]
    for key, words in axes.items():
        if key == "results" and len(words) > 1:
            first, *others = (word.partition("=")[2].replace("\\", "") for word in words)
            merge = " && ".join(f"prune-lab runs --results {quote(first)} --merge {quote(one)}" for one in others)
            raise ConfigError(f"a command reads one store, and these are {len(words)}", f"{merge}, and then {words[0]}")
        if key.split(".")[0] in PLACES and len(words) > 1:
            raise ConfigError(
                f"{key} is one and the same for all runs of a command, not a sweep", words[0].replace("\\", "")
            )
    if (number := prod(map(len, axes.values()))) > MOST_RUNS:
        what = f"these words span {number:,} runs, and a command takes at most {MOST_RUNS:,}"
        raise ConfigError(what, "fewer values, or several commands")
    swept = {group for group in registry.KINDS if len(axes.get(group, ())) > 1}
    points = [tuple(word for word in point if _applies(word, point, axes, swept)) for point in product(*axes.values())]
    return list(dict.fromkeys(points))


def check_once(words: Sequence[str]) -> None:
    """Refuse two values for one key: of a command, or of a line of a grid, neither is meant more than the other."""
    given: dict[str, str] = {}
    for word in words:
        override = _parsed(word)
        key, value = _key(override), "" if override.is_delete() else word.partition("=")[2]
        if given.setdefault(key, value) != value:
            shown = (said.short(one.strip("'")) for one in (given[key], value))
            what = f"{key} is given twice: {' and '.join(f'{key}={one}' for one in shown)}"
            place = key.split(".")[0] in PLACES
            raise ConfigError(what, f"one of the two{'' if place else f', or {key}={given[key]},{value} for both'}")


def _key(override: Any) -> str:
    """The key of a word: rule.name=easy is rule=easy."""
    key: str = override.key_or_group
    group = key.removesuffix(".name")
    return group if group in GROUPS[:-1] else key


def _values(word: str, override: Any) -> list[Any]:
    """The values that a word gives to its key: one, or those of a sweep."""
    from hydra.core.override_parser.types import Glob, RangeSweep
    from hydra.errors import HydraException

    key, span = override.key_or_group, override._value
    if not override.is_sweep_override():
        return [span]
    if isinstance(span, RangeSweep):
        start, stop, step = (float(number) for number in (span.start, span.stop, span.step))  # type: ignore[arg-type]
        if not (isfinite(start) and isfinite(stop) and step and (stop - start) / step <= MOST_RUNS):
            raise ConfigError(f"{word} is no range of at most {MOST_RUNS:,} numbers", f"{key}=range(0,3)")
    try:
        values = span.filter(choices(key)) if isinstance(span, Glob) else list(override.sweep_iterator())
    except HydraException:
        raise ConfigError(f"{word} is no list of values", f"{key}=range(0,3)") from None
    if not values:
        raise ConfigError(f"{word} names no value, and nothing would run", f"{key}=range(0,3)")
    return values


def _said(key: str, value: Any, word: str, elsewhere: bool) -> str:
    """`key=value` for one value of a word. A choice is named as it is listed, without quotes."""
    from hydra.core.override_parser.types import Override, OverrideType, QuotedString, ValueType

    name = value.text if isinstance(value, QuotedString) else value
    if key in GROUPS:
        own = isinstance(name, str) and key == "experiment" and name.endswith(OWN)
        if not (own or name in choices(key) or (elsewhere and isinstance(name, str))):
            raise _unknown(key, name, word)
        point = f"{key}={name}"
    else:
        point = f"{key}={Override._get_value_element_as_str(value)}"
    _read[point] = Override(OverrideType.CHANGE, key, ValueType.ELEMENT, value)
    return point


def _unknown(group: str, name: Any, word: str) -> ConfigError:
    """What to say of a name that is no config and no choice."""
    if isinstance(name, dict):
        inside = " ".join(f"{group}.{key}={value}" for key, value in name.items()) or f"{group}={choices(group)[0]}"
        return ConfigError(f"{word}: {group} is chosen by a name, and its settings are words of their own", inside)
    shown, known = said.value(name), choices(group)
    near, listed = meant.choice(shown, known), shown.split(",")
    what = said.did_you_mean(f"{group}={shown}", [f"{group}={near}"] if near else [], known)
    what += ". One of your own needs --plugin FILE.py" if group in registry.KINDS else ""
    unquoted = f"{group}={shown}" if len(listed) > 1 and set(listed) <= set(known) else None
    own = said.OF_ONES_OWN if group in registry.KINDS else None
    return ConfigError(what, _sized(group, shown) or unquoted or (f"{group}={near}" if near else own))


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


def run_of(phase: str, point: tuple[str, ...]) -> Run:
    """The validated run of one point of a grid."""
    content = _composed(phase, point)
    content.pop("experiment", None)
    return _validated(Run, content, point)


def _composed(phase: str, point: tuple[str, ...]) -> dict[str, Any]:
    """Hydra composes the presets (slow, so once a combination); all other words are set on a copy of what it made.

    The section of an experiment is left out.
    """
    structural = tuple(word for word in point if _is_structural(word))
    return _with(copy.deepcopy(_groups(phase, structural)), [word for word in point if word not in structural])


def _with(content: dict[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """Settings with those of some words set: choices first, then their settings."""
    for word in sorted(words, key=lambda word: not _is_choice(word)):
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


_read: dict[str, Any] = {}  # words in Hydra's grammar: slow to parse, and the same in many points of a grid


def _parsed(word: str) -> Any:
    """What Hydra's parser makes of a word. `+key=value`, which Hydra's users may write, is `key=value` here."""
    if word not in _read:
        if len(word) > MOST_LETTERS:
            what = f"a word of {len(word):,} letters, {said.short(word)}: at most {MOST_LETTERS:,} are read"
            raise ConfigError(what, "seed=range(0,1000) for many values, or experiment=FILE.yaml for many words")
        if word != word.encode(errors="replace").decode():
            raise ConfigError(f"{said.short(word)!r} is no text in UTF-8", "a name in UTF-8")
        try:
            override = _parser().parse_override(word.lstrip("+"))
            override.value()
        except Exception:  # Hydra's, ANTLR's, RecursionError, ValueError of a number of 5,000 digits
            what = f"{said.short(word)!r} is no setting of the form key=value"
            raise ConfigError(what, said.spelled(word, GROUPS, choices)) from None
        said.check_key(word, override.key_or_group, override.package)
        _read[word] = override
    return _read[word]


@lru_cache(maxsize=1)
def _parser() -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


def _is_choice(word: str) -> bool:
    """Whether a word names a choice of the registry that has no preset."""
    kind, _, name = word.partition("=")
    return name in registry.names(kind) and not _presets(kind, name)


@lru_cache(maxsize=256)
def _presets(kind: str, name: str) -> bool:
    return resources.files(CONFIGS).joinpath(kind, f"{name}.yaml").is_file()


def _is_structural(word: str) -> bool:
    """Whether an override is for Hydra: a preset, `~` or `hydra.`; not a plain value, nor a bare choice."""
    key = word.partition("=")[0]
    return (key in GROUPS and not _is_choice(word)) or key.startswith(("~", "hydra."))


@lru_cache(maxsize=64)
def _groups(phase: str, words: tuple[str, ...]) -> dict[str, Any]:
    from hydra import compose, initialize_config_module
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    for kind in registry.KINDS:  # for the defaults lists of yaml files
        for name in registry.names(kind):
            if not _presets(kind, name):
                ConfigStore.instance().store(name, {"name": name}, group=kind)
    try:
        with initialize_config_module(CONFIGS, version_base="1.3"), warnings.catch_warnings():
            warnings.filterwarnings("error", message="provider=hydra.searchpath")  # a folder that is not there
            composed = compose(phase, [_section(word)[0] if _has_section(word, words) else word for word in words])
        content: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
    except ConfigError:
        raise
    except Exception as error:  # Hydra, OmegaConf, YAML and the disk raise a dozen types for a config that is wrong
        raise _refused(error, words) from None
    return content


def _refused(error: Exception, words: Sequence[str]) -> ConfigError:
    """What to say of presets that do not compose."""
    group, _, name = str(getattr(error, "missing_cfg_file", None) or "").rpartition("/")
    if group in GROUPS and not name.startswith("settings_of_"):
        return _unknown(group, name, name)
    if mark := getattr(error, "problem_mark", None):
        return ConfigError(f"{mark.name}, line {mark.line + 1}: {getattr(error, 'problem', error)}")
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    own = any(word.startswith("experiment=") and word.endswith(OWN) for word in words)
    mend = "plain values, and defaults such as `- override /task: digits`" if own else None
    return ConfigError(f"{said.short(' '.join(words)) or 'these words'} cannot be composed: {reason}", mend)


def _has_section(word: str, words: Sequence[str]) -> bool:
    """Whether a word names a file, or an experiment of this package where no other folder could have one so named."""
    group, _, name = word.partition("=")
    return group == "experiment" and (name.endswith(OWN) or not any(word.startswith("hydra.") for word in words))


@lru_cache(maxsize=64)
def _section(word: str) -> tuple[str, dict[str, Any]]:
    """The settings of an experiment as a choice of the group, and its section `experiment` apart.

    The section is long and the same in every combination of groups: Hydra would take longer for it than for the rest.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    group, _, name = word.partition("=")
    content: Any
    section: Any
    if name.endswith(OWN):
        content, section = experiment_file(name, lambda text: OmegaConf.to_container(OmegaConf.create(text)))
        name = f"own_{sha256(name.encode(errors='surrogateescape')).hexdigest()[:8]}"
    else:
        with resources.files(CONFIGS).joinpath(group, f"{name}{OWN}").open() as file:
            content = OmegaConf.load(file)
        section = OmegaConf.to_container(content.pop("experiment"), resolve=True)
    ConfigStore.instance().store(f"settings_of_{name}", content, group=group, package="_global_")
    return f"{group}=settings_of_{name}", section


def _sized(group: str, name: str) -> str | None:
    """`experiment=capacity experiment.size=digits` for experiment=capacity_digits, the name of its page's folder."""
    for known in choices("experiment") if group == "experiment" else ():
        size = name.removeprefix(f"{known}_")
        if size != name and size in described([f"experiment={known}"]).sizes:
            return f"experiment={known} experiment.size={size}"
    return None


def _validated(model: type[Checked], content: Any, words: Sequence[str], section: str = "") -> Checked:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        usual = _groups("prune", ())
        chosen = {str(kind): one.get("name") for kind, one in content.items() if isinstance(one, dict)}
        sentences, mends = [], []
        for detail in sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden"):
            what, mend = said.sentence(detail, section, chosen, usual, choices)
            where = place(words, (*filter(None, [section]), *detail["loc"]))
            sentences.append(where + what)
            if where and mend and detail["type"] == "extra_forbidden":
                mend = said.in_the_file(mend)
            mends.append(mend)
        raise ConfigError("\n".join(sentences), next((mend for mend in mends if mend), None)) from None
