"""What each score finds among flipped labels, blended digits and copies, and what the rules make of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from prune_lab.experiments import choices
from prune_lab.experiments.contracts import Indices
from prune_lab.experiments.pruning.select import select
from prune_lab.experiments.scoring import subsets
from prune_lab.experiments.scoring.dual import Dual
from prune_lab.experiments.scoring.evidence import Given

from ..planted import EPOCHS, KINDS, SCORES, Planted, Watched, chosen_by_d2, ensemble, plant, watched
from ..scores import rule, score

SCORERS = set(choices.names("scorer"))
FINDS, AVOIDS, BLIND = (0.85, 1.0), (0.0, 0.3), (0.4, 0.6)
NOT_HERE = {"random", "file", "perplexity", "continuation", "ngram_importance"}  # no claim, no score of ours, text

# Probability that one of a kind scores above a plain example: flipped labels, blends of two digits, copies.
# Six draws lie inside these bounds.
EXPECTED: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "el2n": (FINDS, (0.75, 0.95), (0.4, 0.5)),
    "el2n squared": (FINDS, (0.75, 0.95), (0.4, 0.5)),
    "el2n ccs": (FINDS, FINDS, (0.35, 0.5)),
    "grand": (FINDS, (0.75, 0.95), (0.4, 0.55)),
    "grand last_layer": (FINDS, (0.75, 0.95), (0.4, 0.55)),
    "grand epoch=0": (BLIND, AVOIDS, BLIND),  # blending lowers the contrast, and so the norm
    "forgetting": (FINDS, (0.7, 0.9), (0.4, 0.5)),
    "forgetting zero": ((0.5, 0.75), (0.7, 0.9), (0.4, 0.5)),  # what was never learned counts as never forgotten
    "margin": (FINDS, FINDS, (0.3, 0.5)),
    "aum": (FINDS, FINDS, (0.35, 0.5)),
    "loss": (FINDS, FINDS, (0.3, 0.5)),
    "entropy": ((0.7, 0.9), FINDS, (0.3, 0.5)),  # sees no label
    "prototypes": ((0.45, 0.75), (0.5, 0.75), (0.4, 0.5)),  # sees no label
    "prototypes simclr": ((0.4, 0.7), (0.55, 0.75), (0.35, 0.55)),  # nor did its encoder
    "prototypes supervised": (FINDS, (0.6, 0.8), (0.35, 0.5)),
    "dyn_unc": (AVOIDS, (0.6, 0.8), (0.35, 0.5)),  # what is never learned never wavers
    "dual": ((0.45, 0.75), (0.8, 0.95), (0.35, 0.5)),
    "tdds": ((0.65, 0.85), (0.8, 0.95), (0.3, 0.5)),
    "moderate": (FINDS, (0.5, 0.7), (0.35, 0.5)),
    "k_center": (FINDS, (0.6, 0.8), AVOIDS),  # what is far from the others, which a copy is not
    "herding": ((0.2, 0.45), (0.55, 0.8), (0.35, 0.5)),
    "facility_location": ((0.8, 0.95), (0.6, 0.8), AVOIDS),
    "graph_cut": (AVOIDS, (0.3, 0.5), (0.45, 0.65)),  # what is near the middle of its class
    "craig": (FINDS, (0.75, 0.95), AVOIDS),
    "d2": ((0.75, 1.0), (0.45, 0.65), (0.5, 0.65)),
    "d2 gamma=1": (FINDS, FINDS, AVOIDS),
    "duplicates": ((0.45, 0.75), (0.6, 0.85), AVOIDS),
    "ensemble_disagreement": ((0.65, 0.85), (0.7, 0.9), (0.3, 0.45)),
    "ddd": (FINDS, (0.5, 0.75), (0.45, 0.52)),  # mostly ties: few models, and half of a tie counts
    "memorization": ((0.55, 0.8), (0.75, 0.9), (0.3, 0.45)),  # 30 epochs do not fit every flipped label: see below
    "influence_max": ((0.45, 0.75), (0.4, 0.6), (0.4, 0.55)),  # on 144 dev digits
    "influence_sum_abs": ((0.6, 0.8), (0.45, 0.65), (0.4, 0.55)),
    "class_error": (BLIND, BLIND, BLIND),
    "tracin": ((0.1, 0.4), (0.4, 0.55), (0.35, 0.55)),  # a wrong label harms dev
    "trak dimension=128": (AVOIDS, (0.45, 0.7), (0.3, 0.45)),
    "input_norm": (BLIND, AVOIDS, BLIND),
    "mask": ((0.0, 0.1), AVOIDS, (0.4, 0.55)),  # the dev labels tell it; of copies it drops all or none
}


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant()


@pytest.mark.parametrize("name", SCORES)
def test_what_a_score_finds(planted: Planted, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = watched(monkeypatch, planted.task)
    scores = SCORES[name](replace(planted, right=Watched(planted.right, read)))
    assert ("dev" in read) == bool(choices.get("scorer", name.split()[0]).sees_dev), "sees_dev is not what it reads"
    for kind, (low, high) in zip(KINDS, EXPECTED[name], strict=True):
        assert low <= planted.auroc(scores, kind) <= high, kind


def test_every_scorer_is_judged_here() -> None:
    assert {name.split()[0] for name in SCORES} == SCORERS - NOT_HERE


def test_grand_at_initialisation_follows_the_input_norm(planted: Planted) -> None:
    """arXiv:2303.14753: it does, and EL2N after a few epochs does not; GraNd after them is nearly EL2N."""
    norm, at_start, grand, el2n = (
        SCORES[name](planted).mean(0) for name in ("input_norm", "grand epoch=0", "grand", "el2n")
    )
    assert spearmanr(at_start, norm).statistic > 0.7
    assert abs(spearmanr(el2n, norm).statistic) < 0.4
    assert spearmanr(grand, el2n).statistic > 0.9


def test_memorization_ranks_flipped_labels_highest_where_they_are_fitted(planted: Planted) -> None:
    """Three times the epochs: right about nearly all of its subset, a model is right about a flipped label only there.

    After 30 epochs fewer than 0.6 are, and what is not fitted is not memorized. Found: AUROC .99, 45 of the top 50.
    """
    flipped = planted.rows["flipped"]
    early = planted.right["train"][:, flipped][planted.members[:, flipped]].mean()
    members, right = ensemble(planted.task, 0, models=32, epochs=3 * EPOCHS)
    assert right["train"][:, flipped][members[:, flipped]].mean() > 0.95 > 0.6 > early
    scores = subsets.memorization(members, right["train"])
    assert planted.auroc(scores[None], "flipped") > 0.95
    assert np.isin(np.argsort(-scores, kind="stable")[: len(flipped)], flipped).mean() > 0.8


# ---- rules -----------------------------------------------------------------------------------------------------------


def kept(planted: Planted, name: str, keep: float, by: str, **settings: float) -> Indices:
    labels, ids = planted.task.labels("train"), planted.task.examples("train").ids
    evidence = Given(planted.task, planted.trained)
    Dual().score(evidence)
    scores = SCORES[name](planted).mean(0)
    chosen = rule(by, **settings)
    probability = evidence.columns["probability"]
    return select(scores, keep, rule=chosen, labels=labels, ids=ids, seed=0, probability=probability)


def share(planted: Planted, rows: Indices, kind: str) -> float:
    """Of this kind's examples, the share that is kept."""
    return float(np.isin(planted.rows[kind], rows).mean())


def test_who_keeps_the_flipped_labels(planted: Planted) -> None:
    """The hardest half holds them all; the middle by class median, and CCS without its hardest tenth, few."""
    assert share(planted, kept(planted, "el2n", 0.5, "hard"), "flipped") == 1.0
    assert share(planted, kept(planted, "moderate", 0.5, "middle"), "flipped") < 0.2
    assert share(planted, kept(planted, "aum", 0.5, "stratified", drop_hardest=0.1), "flipped") < 0.2
    assert share(planted, kept(planted, "dyn_unc", 0.5, "hard"), "flipped") < 0.3


def test_beta_leaves_the_flipped_labels_as_more_is_dropped(planted: Planted) -> None:
    shares = [share(planted, kept(planted, "dual", keep, "beta"), "flipped") / keep for keep in (0.5, 0.2, 0.1)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.5  # a random tenth holds a tenth of them


def test_d2_keeps_a_copied_digit_once_while_its_neighbours_are_near(planted: Planted) -> None:
    """With gamma = 1; at 0.1, with features 3 apart, all values left past 0.4 are below zero, and copies return."""
    originals = np.repeat(np.arange(50), 4).reshape(50, 4)
    copies = np.concatenate([planted.rows["copied"][:50, None], planted.rows["copied"][50:].reshape(50, 3)], axis=1)

    def times(scores: np.ndarray, keep: float) -> tuple[int, int]:
        ids = planted.task.examples("train").ids
        rows = np.isin(copies, select(scores.mean(0), keep, rule=rule("hard"), labels=None, ids=ids, seed=0))
        return int(rows.sum()), len(set(originals[rows].tolist()))

    found, distinct = times(chosen_by_d2(planted, gamma=1.0), 0.5)
    assert found == distinct > 30
    found, distinct = times(score("el2n", planted.task, planted.trained[:1]), 0.5)
    assert found > 3 * distinct
    found, distinct = times(chosen_by_d2(planted, gamma=0.1), 0.2)
    assert found == distinct > 15
    found, distinct = times(chosen_by_d2(planted, gamma=0.1), 0.5)
    assert found > 2 * distinct


def test_quota_gives_the_worst_class_the_largest_share(planted: Planted) -> None:
    labels = planted.task.labels("train")
    assert labels is not None
    errors = np.array([SCORES["class_error"](planted).mean(0)[labels == c][0] for c in range(10)])
    rows = kept(planted, "class_error", 0.3, "quota")
    shares = np.bincount(labels[rows], minlength=10) / np.bincount(labels, minlength=10)
    assert spearmanr(errors, shares).statistic > 0.95
    assert shares[errors.argmax()] > 1.5 * 0.3


def test_the_readme_names_no_scorer_or_rule_that_is_not_there() -> None:
    text = (Path(__file__).parents[2] / "experiments" / "scoring" / "README.md").read_text()
    scorers, rules = (
        re.findall(r"^\| `(\w+)` \|", part, flags=re.MULTILINE) for part in text.split("\n| rule |", maxsplit=1)
    )
    assert len(scorers) > 20
    assert set(scorers) <= SCORERS
    assert set(rules) <= set(choices.names("rule"))
