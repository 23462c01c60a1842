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
from ..provenance import origin
from . import (
    curve_laws,
    curves,
    distributions,
    forms,
    glossary,
    law,
    lorenz,
    picture,
    policies,
    searches,
    sources,
    subsets,
)
from .changes import worded
from .found import Found, Settings, warnings

SECTIONS = (
    glossary.section, curves.section, law.section, distributions.section, lorenz.section, picture.section,
    subsets.equal, subsets.gains, sources.section, forms.section, subsets.table, policies.section, sources.by_source,
    curve_laws.section, page.expected,
)  # fmt: skip
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
    sentences = [forms.supported(found.forms), policies.steps(runs), subsets.pruned(found.subsets)]
    sentences.append(curve_laws.summary(found.laws))
    points = searches.points(runs, [name for name in runs.columns if POINTS.fullmatch(name)])
    return page.write(
        folder,
        found,
        SECTIONS,
        title=title,
        verdict=" ".join(filter(None, sentences)),
        caveat=f"{len(runs)} searches. {CAVEAT}",
        warnings=list(warnings(found)),
        tables={"table.csv": runs, "points.csv": points},
        claims={
            "forms": worded(found.forms),
            "subsets": worded(found.subsets),
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
        forms=[forms.form_of(setting, group) for setting, group in groups],
        subsets=subsets.rows(runs),
        laws=list(curve_laws.rows(runs, settings)),
        sources=mixed,
    )
