"""One seed of the study: a grammar, its strings, and what each target finds in more and more of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...contracts import Indices, Work
from ...seeds import derive
from .clustering import accuracy, given, learn, numbered, rand_index
from .contexts import Strings
from .difficulty import losses
from .grammar import Grammar

if TYPE_CHECKING:
    from . import Latents


def measure(study: Latents, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
    """Everything of one seed; see Latents.measure. Smaller samples are the first part of the largest."""
    grammar = Grammar(
        study.depth, study.vocabulary, study.synonyms, study.branching, classes=study.classes, seed=work.seed
    )
    pool = grammar.sample(round(max(study.sizes) / study.keep), derive(work.seed, "learned"))
    tested = grammar.sample(study.tested, derive(work.seed, "tested"))
    if study.learner == "end_to_end":
        from .probing import measured

        return measured(study, work, pool, tested, grammar.sample(study.network.probed, derive(work.seed, "probed")))
    predict: Any = None
    if study.learner == "gradient":
        from .gradient import trained

        predict = partial(trained, study.gradient)
    rows, root = [], []
    for place, number in enumerate(sorted(study.sizes)):
        work.notify("", place / len(study.sizes))
        kept = chosen(study, [one[: round(number / study.keep)] for one in pool], number, work.seed)
        strings, truth = given(kept, "labels" if "labels" in study.targets else "latents", tested)
        for target in study.targets:
            shuffled = target == "shuffled"
            named: Any = "latents" if shuffled else target
            found = learn(strings, target=named, seed=work.seed, shuffled=shuffled, predict=predict)
            for level, ((ids, own), true) in enumerate(zip(found, truth, strict=True), start=1):
                ids, own = ids[:, number:], own[:, number:]
                rows.append((target, number, level, accuracy(own, true), rand_index(ids, own, true)))
            if target != "labels":
                root += [
                    (target, number, labelled, root_accuracy(strings, found[-1][1], labelled))
                    for labelled in study.labels
                    if labelled <= number
                ]
    levels = pd.DataFrame(rows, columns=["target", "strings", "level", "accuracy", "ari"])
    tables = {"levels": levels, "root": pd.DataFrame(root, columns=["target", "strings", "labelled", "accuracy"])}
    return tables, {"filling": grammar.filling}


def chosen(study: Latents, pool: list[Indices], number: int, seed: int) -> list[Indices]:
    """The strings of the pool that are kept: the first, which are random, or those of the most or least loss."""
    if study.keep == 1 or study.rule == "random":
        return [one[:number] for one in pool]
    scores = losses(pool, study.scored, seed)
    order = np.argsort(-scores if study.rule == "hard" else scores, kind="stable")
    return [one[np.sort(order[:number])] for one in pool]


def root_accuracy(strings: Strings, top: Indices, labelled: int) -> float:
    """Accuracy on held-out strings of a table from the top tuple to the most common root of the first `labelled`.

    top: (s, N) latent symbols of the highest level below the root. A tuple without a label is given the most common.
    """
    ids, roots = numbered(top, strings.branching, labelled)[0], strings.labels
    known, classes = int(ids[:labelled].max()) + 1, int(roots.max()) + 1
    cells = ids[:labelled] * classes + roots[:labelled]
    table = np.bincount(cells, minlength=known * classes).reshape(known, classes)
    guesses = np.append(table.argmax(1), np.full(int(ids.max()) + 1 - known, table.sum(0).argmax()))
    return float((guesses[ids] == roots)[strings.learned :].mean())
