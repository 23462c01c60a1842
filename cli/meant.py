"""Which setting or choice was meant by a word that is none: its name elsewhere, its initials, beginning or letters."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence

SETTINGS = {  # what other tools call a setting
    "eta": "learning_rate",
    "l2": "weight_decay",
    "decay": "weight_decay",
    "minibatch": "batch_size",
    "iterations": "steps",
    "data": "task",
    "dataset": "task",
    "network": "model",
    "architecture": "model",
    "score": "scorer",
    "metric": "scorer",
    "strategy": "rule",
    "fraction": "keep",
    "ratio": "keep",
    "output": "results",
    "store": "results",
    "gpu": "device",
}
CHOICES = {  # what others call a choice
    "cnn": "convnet",
    "transformer": "gpt",
    "logistic": "linear",
    "imagefolder": "images",
    "folder": "images",
    "jsonl": "text",
}
DROPPED = re.compile(r"(drop|prune|remove|discard)[a-z]*(_(ratio|rate|fraction|share))?|pruning(_\w+)?|sparsity")
NEAR = 0.7  # of difflib's ratio: a choice that is less alike is another one
NEAR_SETTING = 0.6


def settings(key: str, siblings: Sequence[str], every: Iterable[str]) -> list[str]:
    """The keys that a key may mean, the likeliest first: of its place, and for a bare word those within a section."""
    word = re.sub(r"^(num|n|max|number_of)_", "", key.rpartition(".")[2].lower().replace("-", "_"))
    within = [] if "." in key else sorted((one for one in every if one.count(".") == 1), key=_not_of_recipe)
    for alike in _stages(word):
        for known in (siblings, within):
            if near := [one for one in known if alike(one.rpartition(".")[2])]:
                return sorted(near, key=lambda one: -_ratio(_section(key), _section(one))) if "." in key else near
    for known in (siblings, within):
        near = sorted(known, key=lambda one: -_ratio(word, one.rpartition(".")[2]))[:1]
        if near and _ratio(word, near[0].rpartition(".")[2]) >= NEAR_SETTING:
            return near
    return []


def choice(name: str, known: Sequence[str]) -> str | None:
    """The choice that a name means, where one is near."""
    word = name.lower()
    if (called := CHOICES.get(word, word)) in known:
        return called
    begun = [one for one in known if min(len(one), len(word)) > 2 and (one.startswith(word) or word.startswith(one))]
    return next(iter(begun or difflib.get_close_matches(word, known, n=1, cutoff=NEAR)), None)


def kept(key: str, value: str) -> str | None:
    """`keep=0.9` for drop=0.1 or prune_ratio=10%: prune-lab takes the fraction that is kept."""
    number = re.fullmatch(r"(\d*\.?\d+) *(%?)", value)
    if not DROPPED.fullmatch(key.lower().replace("-", "_")) or not number:
        return None
    dropped = float(number[1]) / (100 if number[2] or float(number[1]) > 1 else 1)
    return f"keep={1 - dropped:.6g}" if 0 <= dropped < 1 else None


def _stages(word: str) -> Iterable[Callable[[str], bool]]:
    """Ways in which the name of a setting is a word, the surest first."""
    return (
        lambda name: name == word,
        lambda name: name == SETTINGS.get(word),
        lambda name: "_" in name and word == "".join(part[0] for part in name.split("_")),
        lambda name: (len(word) > 2 and name.startswith(word)) or word.startswith(f"{name}_"),
    )


def _ratio(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _section(key: str) -> str:
    return key.rpartition(".")[0]


def _not_of_recipe(key: str) -> bool:
    return not key.startswith("recipe.")
