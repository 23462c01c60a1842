"""The report of policy searches: which contributions become equal, what that saves, and what pruning first changes."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import claims
from ..store import Folder, Store
from . import equality_figures as draw
from . import searches, style
from .page import figure, judged, plain, render
from .provenance import origin
from .style import Drawing
from .table import mean_interval, write

if TYPE_CHECKING:
    from ..expectations import Expectation

MOST = 6  # settings drawn of those figures that show one a panel; the tables have all
POINTS = re.compile(
    r"gain|target_gain|late_mass_hardest|(area|end|acceleration)_.+|(constant|found)_"
    r"(ct_cv|phi_cv|phi_kkt_gap|phi_ratio|bracket_share|bracket_corr|inactive_phi|inactive_ct|harmful_dropped|"
    r"phi_(ess|signal|gini)@.+)"
)
CRITERION = (
    "cv at the constant and at the found policy, paired by seed. Exact: φ became more equal and is more equal than CT. "
    "Printed: the same with CT and φ exchanged. Neither: both became less equal. Each by a 95 % t interval; undecided "
    f"where one crosses 0, or with fewer than {claims.SEEDS} seeds. Gap: how far the largest φ is above the mean, over "
    "the mean; 0 at the best policy."
)
Settings = dict[tuple[str, str], list[Folder]]  # (setup, what is kept) -> a folder a seed


@dataclass(frozen=True, slots=True)
class Change:
    """Mean of a difference paired by seed, its 95 % t interval, and its sign where that excludes 0."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def sign(self) -> int:
        if self.n < claims.SEEDS or not math.isfinite(self.low + self.high):
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


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
    runs = searches.table(store, list(folders.values()))
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
    for name, _, _, drawings, columns in sections:
        style.save(drawings, folder / "figures" / name, columns=columns)
    forms = [_form(setting, group) for setting, group in runs.groupby(["setup", "kept"], sort=False)]
    verdict = f"{_law(forms)} {_steps(runs)}"
    provenance = origin([one.record for one in folders.values()], command)
    context = {
        "title": title,
        "verdict": verdict,
        "caveat": f"{len(runs)} searches. Intervals: 95 % t over seeds, which vary the first weights and random "
        "choices; the data vary where task.data_seed does.",
        "warnings": list(_warnings(runs, folders.values(), settings)),
        "sections": [
            {"title": head, "words": words, "figures": [figure(one, f"{name}{n}") for n, one in enumerate(drawings)]}
            for name, head, words, drawings, _ in sections
        ],
        "criterion": CRITERION,
        "forms": [{name: cell for name, cell in form.items() if name != "changes"} for form in forms],
        "policies": list(_policies(runs)),
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "files": [{"name": name, "path": f"figures/{name}"} for name, *_ in sections],
        "provenance": provenance,
    }
    (folder / "index.html").write_text(render("equality.html", context))
    (folder / "record.json").write_text(json.dumps(plain(provenance), indent=1) + "\n")
    everything = {"verdict": verdict, "expectations": context["outcomes"], "forms": context["forms"]}
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


# ---- what was found --------------------------------------------------------------------------------------------------


def change(first: pd.Series[Any], second: pd.Series[Any]) -> Change:
    """The difference of two columns of the same runs, those with both."""
    values = (first - second).dropna().to_numpy(dtype=float)
    mean, _, low, high = mean_interval(values)
    return Change(mean, low, high, len(values))


def _form(setting: Any, runs: pd.DataFrame) -> dict[str, Any]:
    """A row of the table of the law, and its verdict."""
    names = ("constant_ct_cv", "found_ct_cv", "constant_phi_cv", "found_phi_cv")
    before_ct, after_ct, before_phi, after_phi = (_column(runs, name) for name in names)
    after_ct, after_phi = after_ct.where(after_ct > 0), after_phi.where(after_phi > 0)  # else the mean is negative
    phi, ct, apart = change(after_phi, before_phi), change(after_ct, before_ct), change(after_phi, after_ct)
    if phi.sign < 0 and apart.sign < 0:
        verdict = "exact"
    elif ct.sign < 0 and apart.sign > 0:
        verdict = "printed"
    else:
        verdict = "neither" if phi.sign > 0 and ct.sign > 0 else "undecided"
    return {
        "setting": setting[0],
        "kept": setting[1],
        "seeds": len(runs),
        "cv of φ, constant": interval(before_phi),
        "cv of φ, found": interval(after_phi),
        "cv of CT, constant": interval(before_ct),
        "cv of CT, found": interval(after_ct),
        "gap of φ, found": interval(_column(runs, "found_phi_kkt_gap")),
        "mean φ / loss to fall, found": interval(_column(runs, "found_phi_ratio")),
        "form": verdict,
        "changes": {"phi": phi, "ct": ct},
    }


def _law(forms: Sequence[dict[str, Any]]) -> str:
    """Which form of the law the measurements support, in a sentence or two."""
    said = {
        "exact": "the exact form of the law (φ equal) and not the printed one (CT equal)",
        "printed": "the printed form of the law (CT equal) and not the exact one (φ equal)",
        "neither": "neither form of the law: both contributions became less equal",
        "undecided": "no form of the law: the intervals do not decide",
    }
    if len(forms) > 1:
        counts = {name: sum(form["form"] == name for form in forms) for name in said}
        return (
            f"Of {len(forms)} settings, {counts['exact']} support the exact form of the law (φ equal), "
            f"{counts['printed']} the printed one (CT equal), {counts['neither']} neither, and "
            f"{counts['undecided']} are undecided."
        )
    form = forms[0]
    towards = {-1: "fell", 0: "did not clearly change", 1: "rose"}
    return (
        f"The measurements support {said[form['form']]}. From the constant to the found policy the cv of φ "
        f"{towards[form['changes']['phi'].sign]} ({form['cv of φ, constant']} to {form['cv of φ, found']}), that of CT "
        f"{towards[form['changes']['ct'].sign]} ({form['cv of CT, constant']} to {form['cv of CT, found']})."
    )


def _steps(runs: pd.DataFrame) -> str:
    """Whether the constant policy at the best of the larger steps beats the found one, by area."""
    names = [name for name in runs.columns if re.fullmatch(r"area_constant_.+x", name)]
    counts, last = dict.fromkeys((-1, 0, 1), 0), ""
    for _, group in runs.groupby(["setup", "kept"], sort=False):
        whole = {name: float(group[name].mean()) for name in names if group[name].notna().all()}
        if not whole:
            continue
        best = min(whole, key=lambda name: whole[name])
        found = change(group["area_found"], group[best])
        counts[found.sign] += 1
        last = (
            f"the constant policy at {best.removeprefix('area_constant_').removesuffix('x')} times the step has an area "
            f"of {interval(group[best])} nats, the found one {interval(group['area_found'])}"
        )
    total = sum(counts.values())
    if not total:
        return "The found policy was compared with no larger step."
    if total > 1:
        return (
            f"The best of the larger steps, without any search, beats the found policy in {counts[1]} of {total} "
            f"settings, and loses in {counts[-1]}."
        )
    said = {1: "A larger step beats the search", -1: "The search beats every larger step tried"}
    sign = next(sign for sign, number in counts.items() if number)
    return f"{said.get(sign, 'Whether a larger step beats the search is undecided')}: {last}."


def _policies(runs: pd.DataFrame) -> Iterator[dict[str, str]]:
    """A row for each setting and policy."""
    names = [name.removeprefix("area_") for name in runs.columns if name.startswith("area_")]
    for (setup, kept), group in runs.groupby(["setup", "kept"], sort=False):
        for name in names:
            area, speed = group[f"area_{name}"], _column(group, f"acceleration_{name}")
            base = group["area_constant"]
            yield {
                "setting": setup,
                "kept": kept,
                "policy": re.sub(r"(\d)x$", r"\1× step", name.replace("_", " ")),
                "area": interval(area) if area.notna().any() else "diverged",
                "area saved, %": interval(100 * (1 - area / base)),
                "acceleration": interval(speed) if speed.notna().any() else "never",
                "seeds that get there": f"{speed.notna().sum()} of {len(group)}",
                "last loss": interval(_column(group, f"end_{name}")),
            }


def _column(runs: pd.DataFrame, name: str) -> pd.Series[Any]:
    return runs[name] if name in runs.columns else pd.Series(np.nan, index=runs.index)


def interval(values: pd.Series[Any]) -> str:
    """Mean and interval as words: 0.153 [0.12, 0.19]."""
    mean, _, low, high = mean_interval(values.dropna().to_numpy(dtype=float))
    if not math.isfinite(mean):
        return "–"
    ends = f" [{low:.3g}, {high:.3g}]" if math.isfinite(low + high) else ""
    return f"{mean:.3g}{ends}".replace("-", "−")


# ---- figures ---------------------------------------------------------------------------------------------------------


def _sections(runs: pd.DataFrame, settings: Settings) -> Iterator[tuple[str, str, str, list[Drawing], int]]:
    """(file, heading, words, drawings, columns) of each group of figures."""
    named = {", ".join(setting): group for setting, group in settings.items()}
    plain_first = dict(sorted(named.items(), key=lambda item: not item[1][0].record["inputs"].get("prune") is None))
    shown, few = dict(list(plain_first.items())[:MOST]), dict(list(plain_first.items())[: MOST // 2])
    pictured = dict(list(named.items())[:MOST])
    yield (
        "curves", "How fast the loss falls",
        "Lines: means; bands: from the lowest to the highest seed. The policies by loss and greedy by contribution need "
        "no search, nor does a larger step of the constant policy. The found policy was searched and run at the "
        f"constant one's step. {_drawn(shown, named)}",
        [draw.loss_curves(name, group) for name, group in shown.items()], min(3, len(shown)),
    )  # fmt: skip
    missing = sum(draw.undrawable(group) for group in few.values())
    lost = f" {missing} medians that are not positive cannot be drawn on the logarithmic axis." if missing else ""
    yield (
        "law", "Which contributions become equal as the search goes on",
        "Bold: means of seeds; thin: seeds; ring: the policy found, the best by a set of its own. φ, largest: how far the "
        "largest φ of any example is above the mean. The missing term is in what CT and the change of φ differ; where it "
        "is not equal for all examples, CT cannot be while φ is. Unused below: share of the examples without weight "
        f"whose contribution is not above the mean.{lost} {_drawn(few, named)}",
        [one for name, group in few.items() for one in draw.along_the_search(name, group)], 3,
    )  # fmt: skip
    yield (
        "distributions", "How contributions are spread as training goes on",
        "Quantiles over the examples that weigh something, divided by the mean, as the target loss falls; means of seeds. "
        f"Levels that a seed did not reach are left out. {_drawn(few, named)}",
        [one for name, group in few.items() for one in draw.distributions(name, group)], 2,
    )  # fmt: skip
    curves = []
    for setup, group in runs.groupby("setup", sort=False):
        subsets = {kept: settings[str(setup), kept] for kept in group["kept"].unique()}
        curves += draw.lorenz(str(setup), subsets, _colours(group))
    yield (
        "lorenz", "How few examples carry the loss that is still to fall",
        "The nearer to the diagonal, the more equal. Bold: means of seeds; thin: seeds. Examples with a negative φ count "
        "as zero.", curves, min(3, len(curves)),
    )  # fmt: skip
    yield (
        "picture", "What the found policy looks at, and when",
        "Examples ordered by their mean loss under the constant policy, in equal parts; time likewise. "
        f"{_drawn(pictured, named)}",
        draw.pictures(pictured), min(3, len(pictured)),
    )  # fmt: skip
    several = [(setup, group) for setup, group in runs.groupby("setup", sort=False) if group["kept"].nunique() > 1]
    if several:
        yield (
            "subsets", "Does pruning first make contributions equal?",
            "Means and 95 % t intervals over seeds, at equal loss. ESS: as how large a share of the examples with equal φ "
            "the positive φ count. Signal: the mean's square over the mean square. Random subsets of the same size are "
            "the control. Levels that a run did not reach are left out.",
            [one for setup, group in several for one in draw.by_subset(str(setup), group, _colours(group))], 3,
        )  # fmt: skip


def _drawn(shown: Mapping[str, Any], every: Mapping[str, Any]) -> str:
    return f"Drawn: {len(shown)} of {len(every)} settings; the tables have all." if len(shown) < len(every) else ""


def _colours(runs: pd.DataFrame) -> dict[str, str]:
    """A colour for each subset: its rule's, paler where less is kept."""
    found = {}
    for rule, group in runs.groupby("rule", sort=False):
        subsets = list(dict.fromkeys(group.sort_values("keep", ascending=False)["kept"]))
        found |= {kept: style.shade(str(rule), place, len(subsets)) for place, kept in enumerate(subsets)}
    return found
