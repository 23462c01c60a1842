"""All of Hydra: overrides to a grid of validated runs, with the nearest right word for a wrong one; completion."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.laws import expectations
from prune_lab.experiments.phases import settings as schema

Checked = TypeVar("Checked", bound=BaseModel)
CONFIGS = "prune_lab.configs"
UNIONS = ("task", "model", "scorer", "policy")  # sections whose keys depend on the choice that `name` makes
OWN = ".yaml"  # how the file of an experiment of one's own ends
GROUPS = ("task", "model", "recipe", "scorer", "policy", "launcher", "experiment")


def runs(phase: str, overrides: Sequence[str]) -> list[schema.Run]:
    """One validated run for each point of the grid that the overrides span (`seed=0,1,2 keep=0.5,1`)."""
    for word in overrides:
        if word.startswith("experiment="):
            raise ConfigError(f"{word} spans many runs, and {phase} is one phase", f"prune-lab reproduce {word}")
    return [_run(phase, point) for point in grid(overrides)]


def experiment(overrides: Sequence[str]) -> tuple[expectations.Experiment, list[schema.Run]]:
    """The experiment that `experiment=NAME` names, and its runs; the other overrides apply to every one of them."""
    grid(overrides)  # a word that is no override is answered first
    chosen = [word.partition("=")[2] for word in overrides if word.startswith("experiment=")]
    if len(chosen) != 1 or "," in chosen[0]:
        raise ConfigError(
            f"say which experiment: one of {', '.join(choices('experiment'))}", "prune-lab reproduce experiment=demo"
        )
    found = described(overrides)
    size = found.chosen
    spanned = [point for words in size.grids for point in grid([*size.settings, *words, *overrides])]
    unique = {repr(run): run for point in spanned for run in [_run("evaluate", point)]}
    return found, list(unique.values())


def described(overrides: Sequence[str]) -> expectations.Experiment:
    """The experiment that the overrides name, without its runs."""
    return _validated(expectations.Experiment, _composed("evaluate", grid(overrides)[0])["experiment"])


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
            raise ConfigError(f"{word!r} is no setting of the form key=value", _spelled(word)) from None
        axes[key] = [word] if override.is_delete() else [f"{key}={value}" for value in values]
    swept = {group for group in UNIONS if len(axes.get(group, ())) > 1}
    points = [tuple(word for word in point if _applies(word, point, axes, swept)) for point in product(*axes.values())]
    return list(dict.fromkeys(points))


def _applies(word: str, point: tuple[str, ...], axes: Mapping[str, Sequence[str]], swept: Collection[str]) -> bool:
    """Whether a word is meant for a point: not where the key belongs to others of the choices that are swept over."""
    place = word.partition("=")[0].split(".")
    if place[0] not in swept or len(place) == 1:
        return True
    owners = {f"{place[0]}={owner}" for owner in _owners(place)}
    return not owners.intersection(axes[place[0]]) or not owners.isdisjoint(point)


def choices(group: str) -> list[str]:
    """The names of a group's configs."""
    folder = resources.files(CONFIGS).joinpath(group)
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def keys() -> list[str]:
    """Every key that can be overridden, dotted."""
    return sorted({*_dotted(schema.Run), "experiment"})


def complete(incomplete: str) -> Iterator[str]:
    """Shell completion of an override: keys first, then a key's values."""
    key, equals, value = incomplete.partition("=")
    if not equals:
        begun = [f"{name}=" for name in keys() if name.startswith(key)]
        yield from begun if len(begun) != 1 else list(complete(begun[0])) or begun
        return
    known = choices(key) if key in GROUPS else _literals(key)
    yield from (f"{key}={name}" for name in known if name.startswith(value))


def _run(phase: str, point: tuple[str, ...]) -> schema.Run:
    content = _composed(phase, point)
    content.pop("experiment", None)
    return _validated(schema.Run, content)


def _composed(phase: str, point: tuple[str, ...]) -> dict[str, Any]:
    """Hydra composes the groups (slow, so once a combination); plain values are set on a copy of what it made."""
    structural = tuple(word for word in point if _is_structural(word))
    content = copy.deepcopy(_groups(phase, structural))
    for word in point:
        if word in structural:
            continue
        override = _parsed(word)
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


def _is_structural(word: str) -> bool:
    """Whether an override is for Hydra: a group's choice, `+`, `~` or `hydra.`; not a plain value."""
    key = word.partition("=")[0]
    return key in GROUPS or key[:1] in "+~" or key.startswith("hydra.")


@lru_cache(maxsize=64)
def _groups(phase: str, words: tuple[str, ...]) -> dict[str, Any]:
    from hydra import compose, initialize_config_module
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError  # type: ignore[import-untyped]

    try:
        with initialize_config_module(CONFIGS, version_base="1.3"):
            composed = compose(phase, [_own(word) for word in words])
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
                raise ConfigError(
                    _did_you_mean(f"{group}={name}", name, choices(group), f"{group}="), _sized(word)
                ) from None
        raise ConfigError(str(error).splitlines()[0]) from None
    return content


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


def _validated(model: type[Checked], content: Any) -> Checked:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        sentences, mends = zip(*(_sentence(detail) for detail in error.errors()), strict=True)
        raise ConfigError("\n".join(sentences), next((mend for mend in mends if mend), None)) from None


def _sentence(detail: Any) -> tuple[str, str | None]:
    """What is wrong with one key, and what mends it."""
    place = [str(part) for part in detail["loc"]]
    union = next((number for number, part in enumerate(place[:-1]) if part in UNIONS), None)
    if union is not None:
        del place[union + 1]  # the name of the group's choice, which pydantic puts between
    key, message = ".".join(place), str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        if owners := _owners(place):
            section, choice = place[0], detail["loc"][1]
            sentence = f"{key} belongs to {section}={', '.join(owners)}, and this is {section}={choice}"
            return sentence, f"leave {key} out, or {section}={owners[0]}"
        beside = [name for name in keys() if name.count(".") == key.count(".")]
        return _did_you_mean(f"{key}=", key, _siblings(detail["loc"]) or beside, ""), None
    if detail["type"] in ("union_tag_not_found", "union_tag_invalid"):
        names = [name for group in UNIONS if place[-1] == group for name in choices(group)]
        given = str(detail.get("ctx", {}).get("tag", ""))
        near = (difflib.get_close_matches(given, names, n=1) or names[:1])[0]
        what = f"there is no {key}.name={given}; there is: {', '.join(names)}" if given else f"{key}.name is missing"
        return what, f"{key}.name={near}"
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key} is a section of settings, and {detail['input']!r} is a value", f"{key}.NAME=VALUE"
    if detail["type"] == "too_short":
        least = detail["ctx"]["min_length"]
        return f"{key} has {detail['ctx']['actual_length']} values, and needs at least {least}", None
    if detail["type"] == "missing":
        return f"{key} is missing", f"{key}=..."
    if not key or detail["type"] == "value_error":
        return message, None
    given = detail["input"]
    if isinstance(given, dict):
        return f"{key}: {message}", None
    return f"{key}={given}: {message[0].lower()}{message[1:]}", _meant(key, str(given), detail)


def _meant(key: str, given: str, detail: Any) -> str | None:
    """What a value that cannot be was likely meant as: a percentage, a range of numbers, a word spelled otherwise."""
    limit = detail.get("ctx", {}).get("le", detail.get("ctx", {}).get("lt"))
    number = re.fullmatch(r"(\d+(?:\.\d+)?) *(%?)", given)
    if number and (number[2] or limit == 1) and 2 <= float(number[1]) <= 100:
        return f"{key}={float(number[1]) / 100:g}"
    if span := re.fullmatch(r"(\d+) *(?:\.\.|-|:) *(\d+)", given):
        numbers = range(int(span[1]), int(span[2]) + 1)
        short = 0 < len(numbers) <= 10
        return f"{key}={','.join(map(str, numbers))}" if short else f"{key}=range({numbers.start},{numbers.stop})"
    if near := difflib.get_close_matches(given, _literals(key), n=1):
        return f"{key}={near[0]}"
    usual: Any = _groups("prune", ())
    for part in key.split("."):
        usual = usual.get(part) if isinstance(usual, dict) else None
    return None if usual is None or isinstance(usual, dict) else f"{key}={usual}"


def _sized(word: str) -> str | None:
    """`experiment=capacity experiment.size=digits` for experiment=capacity_digits, the name of its page's folder."""
    name = word.removeprefix("experiment=")
    for known in choices("experiment"):
        size = name.removeprefix(f"{known}_")
        if name != word and size != name and size in described([f"experiment={known}"]).sizes:
            return f"experiment={known} experiment.size={size}"
    return None


def _spelled(word: str) -> str:
    """How a word that is no setting was likely meant."""
    key, equals, value = word.partition("=")
    if value.startswith("=") or key != key.strip() or value != value.strip():
        return f"{key.strip()}={value.lstrip('=').strip()}"
    if value.endswith(","):
        return f"{key}={value.rstrip(',')}"
    if equals:
        return f"quotes around the value, and around the whole for the shell: \"{key}='{value}'\""
    group = next((group for group in GROUPS if word in choices(group)), None)
    if group == "experiment":
        return f"prune-lab reproduce experiment={word}"
    return f"{group}={word}" if group else "write key=value, as in keep=0.5"


def _owners(place: Sequence[str]) -> list[str]:
    """The choices of a section that have the key, where it is one of the others' keys."""
    arms = schema.arms(schema.Run.model_fields[place[0]].annotation) if place[0] in UNIONS else []
    return [
        name for arm in arms if place[-1] in arm.model_fields for name in get_args(arm.model_fields["name"].annotation)
    ]


def _did_you_mean(given: str, word: str, known: Sequence[str], prefix: str) -> str:
    inside = [] if "." in word else [key for key in keys() if key.rpartition(".")[2] == word and key.count(".") == 1]
    near = inside or difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f" Did you mean {' or '.join(prefix + name for name in near[:3])}?" if near else ""
    return f"there is no {given.rstrip('=')}.{hint} There is: {', '.join(known)}"


def _siblings(place: Sequence[str | int]) -> list[str]:
    """The keys that could stand at a place: the fields of the section, dotted; empty at the top."""
    if len(place) < 2:
        return [name for name in keys() if "." not in name]
    if len(place) == 2 or place[0] not in UNIONS:
        return [name for name in keys() if name.startswith(f"{place[0]}.") and name.count(".") == 1]
    arms = [arm for arm in schema.arms(schema.Run.model_fields[str(place[0])].annotation) if _name(arm, str(place[1]))]
    return [f"{place[0]}.{name}" for arm in arms for name in arm.model_fields]


def _name(arm: type[BaseModel], name: str) -> bool:
    return name in get_args(arm.model_fields["name"].annotation)


def _dotted(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, entry in model.model_fields.items():
        yield prefix + name
        for arm in schema.arms(entry.annotation):
            yield from (
                key for key in _dotted(arm, f"{prefix}{name}.") if name not in GROUPS or not key.endswith(".name")
            )


def _literals(key: str) -> list[str]:
    """The values of a key that takes one of a few words."""
    found: dict[str, None] = {}

    def visit(model: type[BaseModel], parts: Sequence[str]) -> None:
        entry = model.model_fields.get(parts[0])
        if entry is None:
            return
        if len(parts) > 1:
            for arm in schema.arms(entry.annotation):
                visit(arm, parts[1:])
        else:
            words = get_args(entry.annotation) if entry.annotation is not bool else ("true", "false")
            found.update((word, None) for word in words if isinstance(word, str))

    visit(schema.Run, key.split("."))
    return list(found)
