"""The registry of choices: which file defines which scorer, rule, policy, task, model, study or tracker, and plug-ins.

A choice is a class under `@choice(kind, name)`. The registry reads the source of the house once to learn which file
holds which choice, and imports a file only when its choice is asked for. A plug-in is a file (or an entry point of the
group `prune_lab.plugins`) that the user names with `--plugin` or in $PRUNE_LAB_PLUGINS; nothing else of a user's is
ever imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from .errors import ConfigError, DataUnavailable

if TYPE_CHECKING:
    from .contracts import Choice

Kind = Literal["task", "model", "scorer", "rule", "policy", "study", "track"]
KINDS: tuple[Kind, ...] = get_args(Kind)
HOUSE = Path(__file__).resolve().parent
MARK = re.compile(r'^@choice\(\s*"(\w+)",\s*"(\w+)"', re.MULTILINE)
VARIABLE, GROUP = "PRUNE_LAB_PLUGINS", "prune_lab.plugins"
C = TypeVar("C", bound="Choice")

_classes: dict[tuple[str, str], type[Choice]] = {}  # every choice that was imported
_plugins: dict[str, str] = {}  # what the user called each loaded plug-in -> the hash of its source
_loading: list[str] = []  # the plug-in that is being imported


def choice(kind: Kind, name: str, *, source: str = "", version: int = 1) -> Callable[[type[C]], type[C]]:
    """Register a class of settings under a name: `scorer=NAME` on the command line.

    `source` is where the method is from. `version` is part of a result's key from 2 on: raise it when the meaning of
    this choice changes, and its results alone are made anew.
    """

    def register(cls: type[C]) -> type[C]:
        from pydantic import create_model

        _check(kind, name, cls)
        fields: Any = {"name": (Literal[name], name)}
        made: type[C] = create_model(
            cls.__name__, __base__=cls, __module__=cls.__module__, __doc__=cls.__doc__, **fields
        )
        made.__qualname__ = cls.__qualname__
        made.kind, made.registered, made.source, made.version = kind, name, source, version
        made.plugin_name = _loading[-1] if _loading else None
        made.plugin = _plugins[_loading[-1]] if _loading else None
        _classes[kind, name] = made
        return made

    return register


def _check(kind: str, name: str, cls: Any) -> None:
    """Refuse what could not be told apart from something else, or would hide what every choice has."""
    from . import contracts

    word = f"@choice({kind!r}, {name!r})"
    if kind not in KINDS:
        raise ConfigError(f"{word}: there is no such kind", f"one of {', '.join(KINDS)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in ("null", "true", "false"):
        raise ConfigError(f"{word}: a name is of small letters, digits and _", f'@choice("{kind}", "mine")')
    base: Any = getattr(contracts, f"{kind.capitalize()}Choice")
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise ConfigError(
            f"{cls.__name__} is a {kind}, and no {base.__name__}", f"class {cls.__name__}({base.__name__})"
        )
    told = {"kind", "registered", "source", "version", "plugin", "plugin_name"}  # by the registry
    if untold := sorted(one for one in base.__class_vars__ - told if not hasattr(cls, one)):
        kinds = "one of images, text, vectors" if untold[0] == "reads" else "some of images, text, vectors"
        raise ConfigError(f"{word}: {cls.__name__} does not say its {untold[0]}", f"{untold[0]}, {kinds}")
    fields: Any = set(cls.model_fields)  # type: ignore[attr-defined]
    taken = {one for one in fields - set(base.model_fields) if hasattr(base, one) or one in base.__class_vars__}
    if kind == "rule":  # a rule's settings stand beside these in the recipe of a prune run
        taken |= fields & {"keep", "balance", "seed", "rule", "task", "fingerprint"}
    if taken:
        raise ConfigError(f"{word}: a setting cannot be called {', '.join(sorted(taken))}", "another name for it")
    if not _loading:
        return
    if name in _house().get(kind, {}):
        raise ConfigError(f"{_loading[-1]} defines {kind}={name}, which prune-lab has already", "another name")
    if (known := _classes.get((kind, name))) is not None:
        both = dict.fromkeys([_loading[-1], str(known.plugin_name)])
        raise ConfigError(f"{' and '.join(both)} define {kind}={name} twice", "another name")


def names(kind: str) -> list[str]:
    """All choices of a kind, those of the house in the order of the alphabet and then those of plug-ins."""
    return [*sorted(_house().get(kind, {})), *(name for of, name in _classes if of == kind and _is_plugin(of, name))]


def get(kind: str, name: str) -> type[Choice]:
    """The class of a choice; KeyError where there is none of that name."""
    if (kind, name) not in _classes:
        import_module(_house()[kind][name])
    return _classes[kind, name]


def chosen(kind: Kind, settings: Mapping[str, Any], base: type[C]) -> C:
    """The choice that a setting of a study describes: its name and its settings. ValueError where there is none."""
    if (name := str(settings.get("name", ""))) not in names(kind):
        raise ValueError(f"study.{kind} names no {kind}: there are {', '.join(names(kind))}")
    found = get(kind, name).model_validate(dict(settings))
    assert isinstance(found, base)
    return found


def code_of(*found: Choice) -> str:
    """The code that a result of these choices depends on, and their settings do not tell: of plug-ins, and versions."""
    told = [one for one in found if one.plugin is not None or one.version > 1]
    return ", ".join(f"{one.registered} {one.plugin or one.version}" for one in told)


def every(kind: str) -> Iterator[type[Choice]]:
    """The classes of all choices of a kind."""
    return (get(kind, name) for name in names(kind))


def completed(kind: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded settings of a choice, with the defaults of those that came after it was recorded.

    Keys leave out defaults, so the older run and a run of today are one. An unknown choice stays as it is.
    """
    name = recorded.get("name")
    return with_defaults(get(kind, name), recorded) if name in names(kind) else dict(recorded)


def with_defaults(model: Any, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded settings of a section, and its defaults where it has no value; a path is never recorded."""
    fields = {key: field for key, field in model.model_fields.items() if key not in ("name", "path")}
    usual = {
        key: field.get_default(call_default_factory=True) for key, field in fields.items() if not field.is_required()
    }
    return usual | dict(recorded)


@lru_cache(maxsize=1)
def _house() -> dict[str, dict[str, str]]:
    """kind -> name -> module, read from the source."""
    found: dict[str, dict[str, str]] = {}
    package = __name__.rpartition(".")[0]
    for path in sorted(HOUSE.rglob("*.py")):
        for kind, name in MARK.findall(path.read_text()):
            parts = path.relative_to(HOUSE).with_suffix("").parts
            module = ".".join([package, *(part for part in parts if part != "__init__")])
            found.setdefault(kind, {})[name] = module
    return found


def _is_plugin(kind: str, name: str) -> bool:
    return name not in _house().get(kind, {})


# ---- plug-ins --------------------------------------------------------------------------------------------------------


def load_plugins(words: Iterable[str] = ()) -> dict[str, str]:
    """Import the plug-ins named here and in $PRUNE_LAB_PLUGINS: files, or names of entry points.

    Returns what each is called and the hash of its source. A file that changed since it was loaded is loaded again.
    """
    given = [word for word in os.environ.get(VARIABLE, "").split(os.pathsep) if word]
    for word in dict.fromkeys([*given, *words]):
        _load(word)
    return loaded()


def loaded() -> dict[str, str]:
    """What the loaded plug-ins are called, and the hashes of their sources."""
    return dict(_plugins)


def _load(word: str) -> None:
    path, package = Path(os.path.expanduser(word)), None
    if path.suffix != ".py":
        path, package = _installed(word)
    if not path.is_file():
        raise DataUnavailable(f"--plugin {word}: there is no such file", "--plugin FILE.py")
    source = path.read_bytes()
    called, digest = str(path.resolve()), hashlib.sha256(source).hexdigest()[:16]
    if _plugins.get(called) == digest:
        return
    for key in [key for key, known in _classes.items() if known.plugin_name == called]:
        del _classes[key]
    _plugins[called] = digest
    _loading.append(called)
    try:
        with redirect_stdout(sys.stderr):  # stdout is data
            _imported(path, source, package)
    except BaseException as error:
        del _plugins[called]
        if isinstance(error, ConfigError | KeyboardInterrupt):
            raise
        here = "; a plug-in is one file: other files beside it are not found" if isinstance(error, ImportError) else ""
        raise ConfigError(f"--plugin {word} cannot be imported: {type(error).__name__}: {error}{here}") from error
    finally:
        _loading.pop()
    if not any(known.plugin_name == called for known in _classes.values()):
        raise ConfigError(f"--plugin {word} defines no choice", 'a class under @choice("scorer", "NAME")')


def _installed(word: str) -> tuple[Path, str]:
    """The file and the module of an entry point."""
    found = {entry.name: entry.value.partition(":")[0] for entry in entry_points(group=GROUP)}
    if word not in found:
        there = f"; there is: {', '.join(found)}" if found else ""
        raise ConfigError(f"--plugin {word} is no .py file, and no installed plug-in{there}", "--plugin FILE.py")
    try:
        spec = importlib.util.find_spec(found[word])
    except ImportError as error:
        raise ConfigError(f"--plugin {word}: {found[word]} is not installed: {error}", "--plugin FILE.py") from error
    return Path(str(spec.origin if spec else word)), found[word]


def _imported(path: Path, source: bytes, package: str | None) -> None:
    """Run the source that was hashed, never an older compiled form, under a name where a worker's pickle looks."""
    name = package or f"prune_lab_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.find_spec(name) if package else importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    exec(compile(source, str(path.resolve()), "exec"), module.__dict__)


def blame(error: BaseException) -> str | None:
    """Where in a plug-in an error comes from, in a sentence; None where none of its code is involved."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in _plugins]
    if not lines:
        return None
    return f"{lines[-1].filename}, line {lines[-1].lineno}, in {lines[-1].name}: {type(error).__name__}: {error}"
