"""What is found in a data set: numbers, sentences, warnings, and the commands that follow from them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...contracts import Data, Floats, TaskChoice
from ...laws.guessing import chance
from ...store.folders import Folder, Store
from ..parts import count
from . import issues

LONGER = 4  # times: what is proposed where proxies are at chance


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to say of a data set, and what it was found with."""

    data: Data
    task: TaskChoice
    scores: Mapping[str, Folder]  # what it is for -> the score folder: difficulty, nearest
    proxies: Mapping[str, Sequence[Mapping[str, Any]]]  # the records of the proxies of each
    difficulty: Floats  # (N,) of the training examples
    labels: pd.DataFrame | None  # see issues.label_errors; None for text
    copies: pd.DataFrame  # see issues.copies
    alike: pd.DataFrame  # (N, row nearest distance) by the features of a proxy, most alike first
    cleaning: pd.DataFrame  # see issues.cleaning

    @property
    def wrong(self) -> pd.DataFrame:
        """The rows of labels that are likely wrong."""
        return pd.DataFrame() if self.labels is None else self.labels[self.labels["likely"]]

    @property
    def exact(self) -> pd.DataFrame:
        """The rows of exact copies."""
        return self.copies[self.copies["kind"] == "exact"]

    @property
    def across(self) -> pd.DataFrame:
        """The rows of exact copies of an example of another split."""
        return self.exact[self.exact["split"] != self.exact["of_split"]]

    @property
    def single(self) -> list[str]:
        """The classes of one training example."""
        table = issues.classes(self.data)
        return [str(name) for name in table.loc[table["train"] == 1, "class"]] if len(table) else []

    @property
    def right(self) -> float | None:
        """The share of the examples whose label the proxies predict that were not trained on it."""
        return None if self.labels is None else float((self.labels["label"] == self.labels["predicted"]).mean())

    @property
    def guessing(self) -> tuple[float, float]:
        """What guessing the largest class gives, and what is better than that."""
        return chance(np.bincount(self.data.splits["train"].targets))

    @property
    def at_chance(self) -> bool:
        return self.right is not None and self.right <= self.guessing[1]


def look(store: Store, scores: Mapping[str, Folder], task: TaskChoice, data: Data) -> Found:
    """All that is found."""
    tables = {use: folder.table("scores.parquet").sort_values("index") for use, folder in scores.items()}
    labels = issues.label_errors(data, tables["labels"]) if "labels" in tables else None
    copies = issues.copies(data)
    near = tables["nearest"][tables["nearest"]["nearest"].notna()].sort_values("score", kind="stable")
    return Found(
        data=data,
        task=task,
        scores=scores,
        proxies={use: proxies_of(store, folder) for use, folder in scores.items()},
        difficulty=tables["difficulty"]["score"].to_numpy(np.float64),
        labels=labels,
        copies=copies,
        alike=pd.DataFrame({"row": near["index"], "nearest": near["nearest"].astype(int), "distance": near["score"]}),
        cleaning=issues.cleaning(data, labels, copies),
    )


def measures(found: Found) -> dict[str, Any]:
    """The numbers of the page, as `--json` prints them."""
    said: dict[str, Any] = {
        "examples": len(found.difficulty), "copies": len(found.exact), "copies_across_splits": len(found.across),
        "near_copies": len(found.copies) - len(found.exact), "classes_of_one": len(found.single),
    }  # fmt: skip
    if found.labels is not None:
        said |= {"label_errors": len(found.wrong), "accuracy": found.right, "guessing": found.guessing[0]}
        if "known_wrong" in found.labels:
            said |= {"known_wrong": int(found.labels["known_wrong"].sum()), "known_wrong_auc": issues.auc(found.labels)}
    return said


def sentences(found: Found) -> Iterator[str]:
    """What was found, a sentence each."""
    number = len(found.difficulty)
    if found.labels is not None:
        wrong = found.wrong
        verb = "is" if len(wrong) == 1 else "are"
        yield f"{count(len(wrong), 'label')} of {number:,} {verb} likely wrong ({len(wrong) / number:.1%})."
        if "known_wrong" in found.labels and (known := int(found.labels["known_wrong"].sum())):
            yield (
                f"Of the {known} labels that are known to be wrong, {int(wrong['known_wrong'].sum())} are among them; "
                f"the ranking tells known wrong labels from the others with an AUC of {issues.auc(found.labels):.3f}."
            )
    exact, near = len(found.exact), len(found.copies) - len(found.exact)
    across = f", {len(found.across)} of them in another split" if exact else ""
    yield f"{count(exact, 'exact copy', 'exact copies')} of another example{across}; {near} that look nearly the same."
    if other := int((found.copies["label"] != found.copies["of_label"]).sum()):
        yield f"{other} of these have another label than what they are copies of."
    if single := found.single:
        more = ", …" if len(single) > 10 else ""
        yield f"{count(len(single), 'class has', 'classes have')} one training example: {', '.join(single[:10])}{more}."


def warnings(found: Found) -> Iterator[str]:
    """Where the scores cannot be trusted, and what to set."""
    if found.at_chance:
        assert found.right is not None
        yield (
            f"The proxies are no better than guessing: of the examples that they were not trained on, they are right "
            f"about {found.right:.1%}, and the largest class has {found.guessing[0]:.1%}. Which labels are wrong and "
            f"what is hard cannot be told from such proxies. Set {_longer(found)}, which is {LONGER} times as long."
        )
    for use, folder in found.scores.items():
        for sentence in folder.record["derived"]:
            if sentence.startswith("warning:") and not (found.at_chance and use == "labels"):
                yield f"{scorer(folder)}: {sentence.removeprefix('warning: ')}"


def suggested(found: Found, words: Sequence[str], cleaning: str) -> Iterator[tuple[str, str]]:
    """(why, command): what to run next. `cleaning`: the path of the table `Found.cleaning`."""
    if found.at_chance:
        yield "Train the proxies for longer, and look again:", _command("inspect", words, _longer(found))
        return
    number, reasons = len(found.difficulty), found.cleaning["reason"].value_counts()
    dropped = int(found.cleaning["score"].sum())
    if dropped:
        parts = {
            "the label is likely wrong": ("likely wrong label", "likely wrong labels"),
            "a copy of one that is kept": ("copy", "copies"),
        }
        named = " and ".join(f"the {count(reasons[why], *called)}" for why, called in parts.items() if why in reasons)
        ranking = ["scorer=file", f"scorer.path={cleaning}", "rule=easy", _keep(number, dropped)]
        yield (
            f"Leave out {named} that are listed here; of copies of one another one is kept ({Path(cleaning).name} has "
            "each with its reason, and can be edited):",
            _command("prune", words, *ranking, "export=kept.csv"),
        )
    if len(found.across) and "copies" in type(found.task).model_fields:
        yield (
            "Keep equal images in one split, so that the test split has none of what is trained on:",
            _command("inspect", words, "task.copies=group"),
        )
    if not dropped:
        classed = found.labels is not None
        rules = "rule=hard,easy,random" if classed else "scorer=perplexity rule=hard,middle,easy,random"
        yield (
            "Nothing needs cleaning. Is half of the examples enough, and which half?",
            _command("report", words, "keep=0.5", *rules.split(), "seed=0,1,2"),
        )


def proxies_of(store: Store, folder: Folder) -> list[Mapping[str, Any]]:
    """The records of the runs that a score read, of those that are still in the store."""
    keys = dict.fromkeys(folder.record["inputs"].values())
    return [one.record for one in (store.find("train", key) for key in keys) if one is not None]


def scorer(folder: Folder) -> str:
    """A score folder's scorer, as a command names it."""
    return f"scorer={folder.record['recipe']['scorer']['name']}"


def _longer(found: Found) -> str:
    """The duration of the proxies, several times."""
    recipe = found.proxies["labels"][0]["recipe"]["recipe"]
    unit = next(name for name in ("epochs", "steps", "examples") if recipe.get(name) is not None)
    return f"recipe.{unit}={LONGER * recipe[unit]:g}"


def _keep(number: int, dropped: int) -> str:
    return f"keep={(number - dropped) / number:.6g}"


def _command(verb: str, words: Sequence[str], *more: str) -> str:
    changed = {word.partition("=")[0] for word in more}
    return shlex.join(["prune-lab", verb, *(word for word in words if word.partition("=")[0] not in changed), *more])
