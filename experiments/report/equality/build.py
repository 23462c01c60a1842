"""The page on policy searches: which contributions become equal, what that saves, and what pruning first changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...laws import claims
from ...laws.expectations import Expectation
from ...laws.runs import newest
from ...store.folders import Store
from .. import page
from ..parts import Section, definitions
from ..provenance import origin
from . import curve_laws, curves, policies, searches, smoothness, sources, spread, subsets
from .marks import without_changes
from .searches import Found

WORDS = {
    "policy": (
        "How much each training example weighs at each step. The constant one weighs all alike. The found one is "
        "searched, outer epoch by outer epoch, for the least area under the loss of a target set."
    ),
    "CT": (
        "What a step on an example takes off the target loss now. The Learning Law as printed (arXiv:2402.17759): "
        "under the best policy it is equal for all examples that weigh something."
    ),
    "φ": (
        "What a step on an example takes off all of the target loss still to come. The exact condition for the best "
        "policy: φ is equal for the examples that weigh something, and not larger for the others."
    ),
    "cv": (
        "Standard deviation over the mean: 0 where all are equal. Medians over the looks of the first three quarters "
        "of a run."
    ),
    "ESS, signal": (
        "Two more measures of equality, from 0 to 1, where all are equal. ESS: the share of the examples that would "
        "carry as much, were their positive contributions equal. Signal: 1 / (1 + cv²), negative with the mean."
    ),
    "metasmoothness": (
        "Whether φ can be read (arXiv:2503.13751): how far the final weights of three trainings, with the examples' "
        "weights a little and twice that changed, move the same way twice. 1: wholly; where it is low, φ says "
        "nothing (experiment=validity)."
    ),
    "outer epoch, look": (
        "Outer epoch: one pass of the search, a whole run and the way back through it. Look: a step at which "
        "contributions are measured."
    ),
    "missing term": (
        "φ changes in time by minus CT plus this: how much a step on an example changes what the steps on the others "
        "do (a Lie bracket). Where it is the same for all, CT is equal when φ is; while φ is not equal yet, it "
        "explains less of CT."
    ),
    "by loss, by gradient norm, greedy": (
        "Policies without a search: weights in proportion to an example's loss or to the norm of its gradient; all "
        "weight on the tenth with the largest CT. Where labels were made wrong, an oracle's weights leave those "
        "examples out."
    ),
    "acceleration": "How many times earlier a policy reaches the loss that the constant one ends at.",
}


CAVEAT = (
    "Intervals: 95 % t over seeds, which vary the first weights and random choices; the data vary where task.data_seed "
    "does; of shares, of their logit, and so within 0 and 1. They are not corrected for the number of comparisons."
)
POINTS = re.compile(
    r"gain|target_gain|late_mass_hardest|(area|end|acceleration)_.+|(beta|B)_(constant|found|gain)(_floored)?|lift_.+|"
    r"phi_readable|(constant|found)_metasmoothness|(constant|found)_held_.+_(cv|kkt_gap)|"
    r"(constant|found)_(ct_cv|phi_cv|phi_kkt_gap|phi_ratio|bracket_share|bracket_corr|inactive_phi|inactive_ct|"
    r"harmful_dropped|phi_(ess|signal|gini)@.+|between_phi|between_ct)"
)


def build(
    store: Store,
    keys: Sequence[str] | None,
    folder: Path,
    *,
    title: str,
    command: str,
    expectations: Sequence[Expectation] = (),
) -> dict[str, Any]:
    """The page on the search folders of these keys; see `page.write`."""
    folders = {key: store.get("search", key) for key in keys or ()}
    every = searches.table(store, list(folders.values())).join(curve_laws.measured(folders), on="search")
    runs = newest(every)
    groups = {(str(setup), str(kept)): own for (setup, kept), own in runs.groupby(["setup", "kept"], sort=False)}
    found = Found(runs, {setting: [folders[key] for key in own["search"]] for setting, own in groups.items()})
    outcomes = [claims.check(expectation, runs) for expectation in expectations]
    forms, compared = [policies.form_of(*group) for group in groups.items()], subsets.rows(runs)
    laws, mixed = list(curve_laws.rows(runs, found.settings)), sources.tables(found)
    by_source = sources.rows(mixed, groups)
    sentences = [policies.supported(forms), policies.steps(runs), subsets.pruned(compared), curve_laws.summary(laws)]
    sections = [
        Section("The words used here", [definitions(WORDS.items())]), curves.fall(found), curves.equal(found),
        spread.distributions(found), spread.lorenz(found), spread.picture(found), subsets.equal(found),
        subsets.gains(found), sources.section(mixed), policies.forms(forms), subsets.table(compared),
        policies.saved(runs), sources.by_source(by_source), curve_laws.section(laws), page.expected(outcomes),
    ]  # fmt: skip
    if (runs["search.epochs"] == 0).all():
        known = [definitions([(name, WORDS[name]) for name in ("φ", "metasmoothness")])]
        sentences = [smoothness.summary(groups)]
        sections = [Section("The words used here", known), smoothness.section(groups), page.expected(outcomes)]
    points = searches.points(runs, [name for name in runs.columns if POINTS.fullmatch(name)])
    return page.write(
        folder,
        sections,
        outcomes,
        title=title,
        verdict=" ".join(filter(None, sentences)),
        caveat=f"{len(runs)} searches. {CAVEAT}",
        warnings=warnings(found),
        tables={"table.csv": every, "points.csv": points},
        claims={
            "forms": without_changes(forms),
            "subsets": without_changes(compared),
            "sources": by_source,
            "curve_laws": laws,
        },
        origin=origin([one.record for one in folders.values()], command),
        runs=len(runs),
        points=len(groups),
    )


def warnings(found: Found) -> Iterator[str]:
    """What a reader should know first."""
    runs, settings = found.runs, found.settings
    folders = [one for group in settings.values() for one in group]
    few = sum(len(group) < claims.SEEDS for group in settings.values())
    if few:
        yield f"{few} of {len(settings)} settings have fewer than {claims.SEEDS} seeds: they decide nothing."
    said = [str(one) for folder in folders for one in folder.record.get("derived") or []]
    told = Counter(re.sub(r"\d+", "…", one.removeprefix("warning: ")) for one in said if one.startswith("warning: "))
    for words, number in told.items():
        yield f"In {number} of {len(runs)} runs: {words}."
    if (runs["search.epochs"] == 0).any():
        yield "Some runs searched nothing (search.epochs=0): their found policy is the constant one."
    going = int(((runs["best_epoch"] == runs["search.epochs"]) & (runs["search.epochs"] > 0)).sum())
    if going:
        yield f"In {going} of {len(runs)} runs the search was still improving at its last outer epoch: search.epochs."
