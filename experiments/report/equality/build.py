"""The page on policy searches: which contributions become equal, what that saves, and what pruning first changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...laws import claims
from ...laws.expectations import Expectation
from ...store.folders import Store
from .. import page
from ..parts import Section, definitions
from ..provenance import origin
from . import curve_laws, curves, policies, searches, sources, spread, subsets
from .found import Found, Settings, warnings
from .marks import without_changes

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
    "does. They are not corrected for the number of comparisons."
)
POINTS = re.compile(
    r"gain|target_gain|late_mass_hardest|(area|end|acceleration)_.+|(beta|B)_(constant|found|gain)(_floored)?|lift_.+|"
    r"(constant|found)_held_.+_(cv|kkt_gap)|"
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
    assert keys is not None
    found = find(store, keys, expectations)
    runs = found.runs
    sentences = [policies.supported(found.forms), policies.steps(runs), subsets.pruned(found.subsets)]
    sentences.append(curve_laws.summary(found.laws))
    sections = [
        Section("The words used here", [definitions(WORDS.items())]), curves.fall(found), curves.equal(found),
        spread.distributions(found), spread.lorenz(found), spread.picture(found), subsets.equal(found),
        subsets.gains(found), sources.section(found), policies.forms(found), subsets.table(found),
        policies.saved(found), sources.by_source(found), curve_laws.section(found), page.expected(found.outcomes),
    ]  # fmt: skip
    points = searches.points(runs, [name for name in runs.columns if POINTS.fullmatch(name)])
    return page.write(
        folder,
        sections,
        found.outcomes,
        title=title,
        verdict=" ".join(filter(None, sentences)),
        caveat=f"{len(runs)} searches. {CAVEAT}",
        warnings=warnings(found),
        tables={"table.csv": runs, "points.csv": points},
        claims={
            "forms": without_changes(found.forms),
            "subsets": without_changes(found.subsets),
            "sources": sources.source_rows(found),
            "curve_laws": found.laws,
        },
        origin=origin([one.record for one in found.folders], command),
        runs=len(runs),
        points=len(found.settings),
    )


def find(store: Store, keys: Sequence[str], expectations: Sequence[Expectation]) -> Found:
    folders = {key: store.get("search", key) for key in keys}
    runs = searches.table(store, list(folders.values())).join(curve_laws.measured(folders), on="search")
    groups = runs.groupby(["setup", "kept"], sort=False)
    settings: Settings = {
        (str(setup), str(kept)): [folders[key] for key in group["search"]] for (setup, kept), group in groups
    }
    mixed = {", ".join(setting): rows for setting, own in settings.items() if (rows := sources.table(own)) is not None}
    return Found(
        folders=list(folders.values()),
        runs=runs,
        settings=settings,
        outcomes=[claims.check(expectation, runs) for expectation in expectations],
        forms=[policies.form_of(setting, group) for setting, group in groups],
        subsets=subsets.rows(runs),
        laws=list(curve_laws.rows(runs, settings)),
        sources=mixed,
    )
