"""The report of policy searches: which contributions become equal, what that saves, and what pruning first changes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..figures import style
from ..figures.style import Drawing, figure
from ..laws import claims
from ..store.folders import Folder, Store
from . import curve_laws, forms, groups, searches
from . import equality_figures as draw
from .page import judged, plain, render
from .provenance import origin
from .table import write

if TYPE_CHECKING:
    from ..laws.expectations import Expectation

MOST = 6  # settings drawn of those figures that show one a panel; the tables have all
POINTS = re.compile(
    r"gain|target_gain|late_mass_hardest|(area|end|acceleration)_.+|(beta|B)_(constant|found|gain)(_floored)?|lift_.+|"
    r"(constant|found)_held_.+_(cv|kkt_gap)|"
    r"(constant|found)_(ct_cv|phi_cv|phi_kkt_gap|phi_ratio|bracket_share|bracket_corr|inactive_phi|inactive_ct|"
    r"harmful_dropped|phi_(ess|signal|gini)@.+|between_phi|between_ct)"
)
Settings = dict[tuple[str, str], list[Folder]]  # (setup, what is kept) -> a folder a seed


def build(
    store: Store,
    keys: Sequence[str] | None,
    folder: Path,
    *,
    title: str,
    command: str,
    expectations: Sequence[Expectation] = (),
) -> dict[str, Any]:
    """Write index.html, figures/*, table.csv, points.csv, claims.json and record.json into `folder`."""
    assert keys is not None
    folders = {key: store.get("search", key) for key in keys}
    runs = searches.table(store, list(folders.values())).join(curve_laws.measured(folders), on="search")
    points = searches.points(runs, [name for name in runs.columns if POINTS.fullmatch(name)])
    outcomes = [claims.check(expectation, runs) for expectation in expectations]
    settings: Settings = {
        (str(setup), str(kept)): [folders[key] for key in group["search"]]
        for (setup, kept), group in runs.groupby(["setup", "kept"], sort=False)
    }
    folder.mkdir(parents=True, exist_ok=True)
    write(runs, folder / "table.csv")
    write(points, folder / "points.csv")
    sections = list(_sections(runs, settings))
    named = {f"{setup}, {kept}": own for (setup, kept), own in runs.groupby(["setup", "kept"], sort=False)}
    mixed = {", ".join(setting): rows for setting, own in settings.items() if (rows := groups.table(own)) is not None}
    if mixed:
        drawn = [one for name, rows in mixed.items() for one in groups.drawings(name, rows)]
        sections.append(("sources", "Do the sources contribute equally?", groups.WORDS, drawn, 2))
    for name, _, _, drawings, columns in sections:
        style.save(drawings, folder / "figures" / name, columns=columns)
    found = [forms.form_of(setting, group) for setting, group in runs.groupby(["setup", "kept"], sort=False)]
    subsets = forms.subsets(runs)
    laws = list(curve_laws.rows(runs, settings))
    sentences = (forms.supported(found), forms.steps(runs), forms.pruned(subsets), curve_laws.summary(laws))
    verdict = " ".join(filter(None, sentences))
    provenance = origin([one.record for one in folders.values()], command)
    context = {
        "title": title,
        "verdict": verdict,
        "caveat": f"{len(runs)} searches. Intervals: 95 % t over seeds, which vary the first weights and random "
        "choices; the data vary where task.data_seed does. "
        "They are not corrected for the number of comparisons.",
        "warnings": list(_warnings(runs, folders.values(), settings)),
        "sections": [
            {"title": head, "words": words, "figures": [figure(one, f"{name}{n}") for n, one in enumerate(drawings)]}
            for name, head, words, drawings, _ in sections
        ],
        "criterion": forms.CRITERION,
        "forms": [_cells(row) for row in found],
        "subsets": [_cells(row) for row in subsets],
        "policies": list(forms.policies(runs)),
        "sources": [row for name, rows in mixed.items() for row in groups.cells(name, rows, named[name])],
        "laws": laws,
        "laws_criterion": curve_laws.CRITERION,
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "files": [{"name": name, "path": f"figures/{name}"} for name, *_ in sections],
        "provenance": provenance,
    }
    (folder / "index.html").write_text(render("equality.html", context))
    (folder / "record.json").write_text(json.dumps(plain(provenance), indent=1) + "\n")
    everything = {"verdict": verdict, "expectations": context["outcomes"], "forms": context["forms"]}
    everything |= {name: context[name] for name in ("subsets", "sources")} | {"curve_laws": laws}
    (folder / "claims.json").write_text(json.dumps(plain(everything), indent=1, allow_nan=False) + "\n")
    return {"runs": len(runs), "points": len(settings), "verdict": verdict} | judged(outcomes)


def _warnings(runs: pd.DataFrame, folders: Iterable[Folder], settings: Settings) -> Iterator[str]:
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


# ---- figures ---------------------------------------------------------------------------------------------------------


def _sections(runs: pd.DataFrame, settings: Settings) -> Iterator[tuple[str, str, str, list[Drawing], int]]:
    """(file, heading, words, drawings, columns) of each group of figures."""
    subsets_differ = len({kept for _, kept in settings}) > 1
    named = {", ".join(setting if subsets_differ else setting[:1]): group for setting, group in settings.items()}
    plain_first = dict(sorted(named.items(), key=lambda item: "prune" in item[1][0].record["inputs"]))
    shown, few = (dict(list(plain_first.items())[:number]) for number in (MOST, MOST // 2))
    pictured = dict(list(named.items())[:MOST])
    yield (
        "curves", "How fast the loss falls",
        "Lines: means; bands: from the lowest to the highest seed. The policies by loss, by gradient norm and greedy "
        "by contribution need no search, nor does a larger step of the constant policy. The found policy was searched "
        f"and run at the constant one's step. {_drawn(shown, named)}",
        [draw.loss_curves(name, group) for name, group in shown.items()], min(3, len(shown)),
    )  # fmt: skip
    missing = sum(draw.undrawable(group) for group in few.values())
    lost = f" {missing} medians that are not positive cannot be drawn on the logarithmic axis." if missing else ""
    yield (
        "law", "Which contributions become equal as the search goes on",
        "Bold: means of seeds; thin: seeds; ring: the policy found, the best by a set of its own. Left: 0 is all "
        "equal; gap: how far the largest φ of any example is above the mean. Middle: the missing term (the bracket) is "
        "in what CT and the fall of φ differ; where φ stays equal, CT differs from example to example as it does, and "
        "1 says that it explains CT wholly (cut off below −1). Right: unused examples weigh nothing, and the law wants "
        "their contribution below the mean of the others; the mean φ should be the target loss that is still to "
        f"fall.{lost} "
        f"{_drawn(few, named)}",
        [one for name, group in few.items() for one in draw.along_the_search(name, group)], 3,
    )  # fmt: skip
    yield (
        "distributions", "How contributions are spread as training goes on",
        "Line: the median of the examples that weigh something; dark band: half of them, pale band: 80 %; all over the "
        "mean, and means of seeds. Training goes from left to right; both panels have the same axis. Levels that a "
        f"seed did not reach are left out. {_drawn(few, named)}",
        [one for name, group in few.items() for one in draw.distributions(name, group)], 2,
    )  # fmt: skip
    curves = []
    for setup, group in runs.groupby("setup", sort=False):
        subsets = {kept: settings[str(setup), kept] for kept in group["kept"].unique()}
        curves += draw.lorenz(str(setup), subsets, _colours(group))
    yield (
        "lorenz", "How few examples carry the loss that is still to fall",
        "The nearer to the diagonal, the more equal. Bold: means of seeds; thin: seeds. Examples with a negative φ "
        "count as zero; those that weigh nothing are left out.", curves, min(3, len(curves)),
    )  # fmt: skip
    yield (
        "picture", "What the found policy looks at, and when",
        "Examples ordered by their mean loss under the constant policy, in equal parts; time likewise. Means of seeds. "
        f"White: as the constant policy; brown: more; violet: less. {_drawn(pictured, named)}",
        draw.pictures(pictured), min(3, len(pictured)),
    )  # fmt: skip
    several = [(setup, group) for setup, group in runs.groupby("setup", sort=False) if group["kept"].nunique() > 1]
    if several:
        yield (
            "subsets", "Does pruning first make contributions equal?",
            "Means and 95 % t intervals over seeds, at equal loss, under the constant policy; 1 is all equal. ESS: the "
            "share of the examples that would carry as much, were their positive φ equal. Signal: the mean's square "
            "over the mean square. A random subset of the same size is the control. Levels that a run did not reach "
            "are left out.",
            [one for setup, group in several for one in draw.by_subset(str(setup), group, _colours(group))], 2,
        )  # fmt: skip
        yield (
            "gains", "Does pruning first bring uniform weights nearer to the best?",
            "What the found policy takes off the area under the held-out loss, by what is kept; at 0 uniform weights "
            "are as good. Means and 95 % t intervals over seeds.",
            [draw.gain(str(setup), group, _colours(group)) for setup, group in several], min(4, len(several)),
        )  # fmt: skip


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: cell for name, cell in row.items() if name != "changes"}


def _drawn(shown: Mapping[str, Any], every: Mapping[str, Any]) -> str:
    return f"Drawn: {len(shown)} of {len(every)} settings; the tables have all." if len(shown) < len(every) else ""


def _colours(runs: pd.DataFrame) -> dict[str, str]:
    """A colour for each subset: its rule's, paler where less is kept."""
    found: dict[str, str] = {}
    for rule, group in runs.groupby("rule", sort=False):
        subsets = list(dict.fromkeys(group.sort_values("keep", ascending=False)["kept"]))
        found |= {kept: style.shade(str(rule), place, len(subsets)) for place, kept in enumerate(subsets)}
    return found
