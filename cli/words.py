"""What a wrong word was likely meant as: the keys that there are, their values, and sentences on pydantic's errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from prune_lab.experiments import choices as registry
from prune_lab.experiments.errors import ConfigError, LabError
from prune_lab.experiments.laws.expectations import Experiment
from prune_lab.experiments.phases.settings import Run, sections

from . import meant

LONGEST = 200  # letters of a value in a sentence
FEW = 10  # numbers of a range that are written one by one
OWN = ".yaml"  # how the file of an experiment of one's own ends
OF_ONES_OWN = "--plugin FILE.py, for one of your own"
SWEEPS = ("choice(", "range(", "interval(", "glob(", "sort(", "shuffle(")  # functions of Hydra's grammar
Choices = Callable[[str], list[str]]  # a group -> the names of its choices


def every_key() -> list[str]:
    """Every key that can be overridden, dotted."""
    return sorted({*_dotted(Run), "experiment"})


def literals(key: str) -> list[str]:
    """The values of a key that takes one of a few words."""
    found: dict[str, None] = {}

    def visit(model: type[BaseModel], parts: Sequence[str]) -> None:
        entry = model.model_fields.get(parts[0])
        if entry is None:
            return
        if len(parts) > 1:
            for section in sections(model, parts[0]):
                visit(section, parts[1:])
        else:
            words = get_args(entry.annotation) if entry.annotation is not bool else ("true", "false")
            found.update((word, None) for word in words if isinstance(word, str))

    visit(Run, key.split("."))
    return list(found)


def owners(place: Sequence[str]) -> list[str]:
    """The choices of a section that have the key, where it is one of theirs."""
    if place[0] not in registry.KINDS:
        return []
    return [one.registered for one in registry.every(place[0]) if place[-1] in one.model_fields]


def value(given: Any) -> str:
    """A value as the command line takes it, and no longer than a person reads."""
    if isinstance(given, list | tuple):
        return short(f"[{','.join(map(value, given))}]")
    return "null" if given is None else str(given).lower() if isinstance(given, bool) else short(str(given))


def short(text: str) -> str:
    """A text, or its beginning where it is long."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}... ({len(text):,} letters)"


def check_key(word: str, key: str, package: str | None) -> None:
    """Refuse keys that Hydra would take and nothing here reads."""
    if not key or package is not None:
        raise ConfigError(f"{short(word)!r} is no setting of the form key=value", "write key=value, as in keep=0.5")
    if key.startswith("hydra.") and key != "hydra.searchpath":
        raise ConfigError(f"{short(word)} would be ignored: only hydra.searchpath is read", "leave it out")


@contextmanager
def sweeps_explained(words: Sequence[str]) -> Iterator[None]:
    """Where one value of `key=a,b` is refused, say that a comma made several of it, and how to write one."""
    try:
        yield
    except LabError as error:
        for word in words:
            key, _, text = word.partition("=")
            parts = text.split(",")
            if len(parts) == 1 or set(text) & set("'\"()[]{}") or not error.what.startswith(f"{key}={parts[0]}"):
                continue
            one = f"{key}={'.'.join(parts)}" if re.fullmatch(r"\d+,\d+", text) else f"\"{key}='{text}'\" for one value"
            what = f"{error.what}\n  a comma makes a sweep: {short(word)} is {len(parts)} values"
            raise type(error)(what, one) from error
        raise


def check_spaces(words: Sequence[str]) -> None:
    """Refuse words that a space made of one: `rule=hard, random` or `keep = 0.5`."""
    for place, (one, other) in enumerate(pairwise(words)):
        opened = one.endswith((",", "=")) and "=" not in other
        if (opened or other[:1] == "," or (other[:1] == "=" and "=" not in one)) and not one.startswith("title="):
            parts = words[place : place + (3 if other in ("=", ",") else 2)]
            raise ConfigError(f"a space makes several words of one: {short(' '.join(parts))}", short("".join(parts)))


def did_you_mean(given: str, near: Sequence[str], known: Sequence[str]) -> str:
    """What is not there, what comes near it, and what is there."""
    hint = f" Did you mean {' or '.join(near[:3])}?" if near else ""
    return f"there is no {short(given)}.{hint} There is: {', '.join(known)}"


def spelled(word: str, groups: Sequence[str], choices: Choices) -> str:
    """How a word that is no setting was likely meant."""
    key, equals, value = short(word).partition("=")
    if not key.strip():
        return "write key=value, as in keep=0.5"
    if value.startswith(SWEEPS):
        return f"several values: {key}=0,1,2 or {key}=range(0,3)"
    if value.startswith("~/"):
        return f"{key}={Path(value).expanduser()}"
    if value.startswith("=") or key != key.strip() or value != value.strip():
        return f"{key.strip()}={value.lstrip('=').strip()}"
    if value.endswith(","):
        return f"{key}={value.rstrip(',')}"
    if equals:
        return f"quotes around the value, and around the whole for the shell: \"{key}='{value}'\""
    if word.endswith(".py"):
        return f"--plugin {word}"
    if word.endswith(OWN):
        return f"prune-lab reproduce experiment={word}"
    if re.fullmatch(r"0?\.\d+", word):
        return f"keep={word}"
    group = next((group for group in groups if word in choices(group)), None)
    if group == "experiment":
        return f"prune-lab reproduce experiment={word}"
    return f"{group}={word}" if group else "write key=value, as in keep=0.5"


def sentence(
    detail: Any, section: str, chosen: Mapping[str, Any], usual: Mapping[str, Any], choices: Choices
) -> tuple[str, str | None]:
    """What is wrong with one key of a section ("": of a run), and what mends it.

    `chosen` is the choice of each kind, `usual` the defaults.
    """
    place = [*filter(None, [section]), *map(str, detail["loc"])]
    key, message = ".".join(place), str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        kind = place[0]
        if len(place) > 1 and (having := owners(place)):
            what = f"{key} belongs to {kind}={', '.join(having)}, and this is {kind}={chosen.get(kind)}"
            return what, f"leave {key} out, or {kind}={having[0]}"
        known = _siblings(place, chosen)
        near, within = meant.settings(key, known, every_key()), detail["input"]
        inside, given = next(iter(within.items()), ("", "")) if isinstance(within, dict) else ("", within)
        given = value(given) if re.fullmatch(r"[\w.+/-]+", value(given)) else "..."
        if mend := meant.kept(key, value(detail["input"])):
            return f"there is no {key}: what is said is the fraction kept, {mend}", mend
        return did_you_mean(key, near, known), f"{'.'.join(filter(None, [near[0], inside]))}={given}" if near else None
    if detail["type"] == "no_choice":
        kind, name = detail["ctx"]["kind"], short(detail["ctx"]["name"])
        names = choices(kind)
        if not name:
            return f"{key}.name is missing", f"{key}={names[0]}"
        near_one = meant.choice(name, names)
        mend = f"{key}={near_one}" if near_one else OF_ONES_OWN
        return f"there is no {key}={name}; there is: {', '.join(names)}", mend
    if detail["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key} is a section of settings, and {value(detail['input'])} is a value", f"{key}.NAME=VALUE"
    if detail["type"] == "too_short":
        least = detail["ctx"]["min_length"]
        return f"{key} has {detail['ctx']['actual_length']} values, and needs at least {least}", None
    if detail["type"] == "missing":
        here = f"leave ~{key} out" if "." not in key else f"{place[-1]}: in the file" if section else f"{key}=..."
        return f"{key} is missing", here
    if not key or detail["type"] == "value_error":
        used = re.fullmatch(r"(?s)(.+)[:;] (?:use (\S+=\S+(?: \S+=\S+)*)|(leave .+ out))", message)
        return (used[1], used[2] or used[3]) if used else (message, None)
    given = detail["input"]
    if detail["type"] == "tuple_type":
        return f"{key}={value(given)} is no list", f"{key}=[{given}]" if isinstance(given, str) else f"{key}=[...]"
    if isinstance(given, dict):
        return f"{key}: {message}", None
    if (span := _span(value(given))) and detail["type"].startswith(("int_", "greater_")):
        many, few = f"{key}=range({span.start},{span.stop})", f"{key}={','.join(map(str, span))}"
        written = f"{many} or {few}" if len(span) <= FEW else many
        what = f"{key}={value(given)}: a range of whole numbers is written {written}"
        return what, few if len(span) <= FEW else many
    return f"{key}={value(given)}: {message[0].lower()}{message[1:]}", _meant(key, value(given), detail, usual)


def in_the_file(mend: str) -> str:
    """`keep: in the file` for keep=0.5, where a word mends it."""
    return re.sub(r"^(?:[\w.]+\.)?(\w+)=\S+$", r"\1: in the file", mend)


def _span(given: str) -> range | None:
    """The whole numbers of 0-4, 0..4, 0:4 or 0 to 4."""
    ends = re.fullmatch(r"(\d+) *(?:\.\.\.?|-|:|to) *(\d+)", given)
    return range(int(ends[1]), int(ends[2]) + 1) if ends and int(ends[1]) <= int(ends[2]) else None


def _meant(key: str, given: str, detail: Any, usual: Any) -> str | None:
    """What a value that cannot be was likely meant as: a percentage, a word spelled otherwise."""
    limit = detail.get("ctx", {}).get("le", detail.get("ctx", {}).get("lt"))
    number = re.fullmatch(r"(\d+(?:\.\d+)?) *(%?)", given)
    if number and (number[2] or (limit == 1 and float(number[1]) >= 10)) and 0 < float(number[1]) < 100:  # of a hundred
        return f"{key}={float(number[1]) / 100:g}"
    if detail["type"] == "int_from_float" and float(given) >= 0:
        return f"{key}={int(float(given))}"
    if re.fullmatch(r"[\d.]+(,[\d.]+)+", given):  # quotes made one value of a sweep
        return f"{key}={given}"
    if near := meant.choice(given, literals(key)):
        return f"{key}={near}"
    for part in key.split("."):
        usual = usual.get(part) if isinstance(usual, dict) else None
    return None if usual is None or isinstance(usual, dict) else f"{key}={usual}"


def _siblings(place: Sequence[str], chosen: Mapping[str, Any]) -> list[str]:
    """The keys that could stand at a place: the fields of the section, dotted."""
    beside = [name for name in every_key() if name.count(".") == len(place) - 1]
    section = place[0]
    if section == "experiment":
        model: type[BaseModel] = Experiment
        for part in place[1:-1]:
            model = next(iter(sections(model, part) if part in model.model_fields else ()), model)
        return [".".join([*place[:-1], name]) for name in model.model_fields]
    if len(place) == 2 and section in registry.KINDS:
        return [f"{section}.{name}" for name in registry.get(section, chosen[section]).model_fields]
    return [name for name in beside if name.startswith(f"{section}.")] or beside


def _dotted(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name in model.model_fields:
        yield prefix + name
        for section in sections(model, name):
            yield from (
                key
                for key in _dotted(section, f"{prefix}{name}.")
                if name not in (*registry.KINDS, "launcher") or not key.endswith(".name")
            )
