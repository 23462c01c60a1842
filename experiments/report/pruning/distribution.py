"""What pruning does to the distribution: each selection beside random subsets of the same size, one panel a setup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import numpy as np
import pandas as pd
from markupsafe import Markup

from ...contracts import Floats
from ...figures.style import count_label, name_of, selecting
from ...laws import claims
from ...pruning.distribution import EXPECTED, LEVEL, NOTHING
from ...store.folders import Folder, Store
from ..parts import Cell as Shown
from ..parts import Section, code, count, definitions, details, note, table, titled
from .layout import BUDGETS, Panel

FILE = "distribution.parquet"
RUN = ("task", "fingerprint", "label_noise", "pool", "rule", "scorer", "selection", "balance", "keep", "prune")
FEW = 6  # classes that are nearly gone, listed at once


@dataclass(frozen=True, slots=True)
class Column:
    """A measure as readers are shown it."""

    measure: str
    name: str  # two short lines
    words: str
    form: str = "{:.3g}"
    more_is_worse: bool = True

    @property
    def title(self) -> str:
        return self.name.replace("\n", " ")


COLUMNS = (
    Column("divergence", "mix of\nclasses", "how far the proportions of the classes (of text: of the source folders) "
           "are from the pool's: Kullback-Leibler divergence in nats"),
    Column("smallest_share", "smallest\nclass", "what the worst served class keeps, as a share of its proportional "
           "part", "{:.2f}", more_is_worse=False),
    Column("coverage_mean", "gap,\nmean", "how far a dropped example looks from the nearest kept one"),
    Column("coverage_p95", "gap,\n95 %", "the same, exceeded by one dropped example in twenty"),
    Column("lost_regions", "lost\nregions", "share of the pool among whose likes nearly nothing is kept: at most 2 "
           "where a random choice keeps 20", "{:.1%}"),
    Column("mmd2", "shift\n(MMD²)", "squared maximum mean discrepancy of kept and pool (Gretton et al. 2012) against "
           "the 95th percentile of its permutations, and the test's p (of several seeds: one p of all)", "{:.1e}"),
    Column("noisy_labels", "wrong\nlabels", "share of labels known to be wrong: task.label_noise made them so, "
           "or task.labels differs from the data's own", "{:.1%}"),
    Column("duplicates", "exact\ncopies", "share of the examples of which an exact copy is kept too", "{:.2%}"),
    Column("near_duplicates", "near\ncopies", "share of the examples of which a look-alike is kept too (cosine above "
           "0.99)", "{:.2%}"),
)  # fmt: skip
ACCURACY = "test accuracy of the class that the trained models know worst, against that after random pruning"


WORDS = (
    "A row is a selection: a rule and the fraction it keeps of the largest pool. A number is its measure divided by "
    "that of random subsets of the same size: 1 is like a random choice, 2 twice as much; under it the value, and that "
    "of a random choice in brackets. "
)
COLOURED = Markup(
    '<span class="worse">Orange</span>: worse than chance explains (95 of 100 random choices); '
    '<span class="better">green</span>: better; no colour: as chance has it.'
)
AGAIN = (
    "{} of the selections were made before this was measured. Remove their folders and give the command that made them "
    "again: it prunes within seconds, and trains nothing."
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A selection's value, the random control's, and whether it is better, worse, or what chance explains."""

    kept: float
    random: float
    verdict: str
    p: float = np.nan

    @property
    def ratio(self) -> float:
        return self.kept / self.random if self.random > 0 else np.nan


Cells = dict[tuple[str, float, str], Cell]  # by rule, keep, measure


@dataclass(frozen=True, slots=True)
class Shift:
    """The selections of one setup and scorer, from its largest pool."""

    title: str
    pool: int
    columns: list[Column]
    rows: list[tuple[str, float]]  # rule, keep
    cells: Cells
    vanished: list[str]  # classes and sources of which nearly nothing is kept

    @property
    def place(self) -> str:
        return f"{self.title}, pool of {self.pool:,}"


def section(several: Sequence[Shift], unmeasured: Sequence[Folder]) -> Section | None:
    parts = []
    if several:
        columns = dict.fromkeys(column for shift in several for column in shift.columns)
        parts += [note(Markup("{}{}").format(WORDS, COLOURED))]
        for one in several:
            head = ["rule", "keep", *(column.title for column in one.columns)]
            parts += [titled(one.place, table(head, rows(one)))]
            if one.vanished:
                gone = f"Nearly gone in {one.place}: {', '.join(one.vanished)}."
                few = len(one.vanished) <= FEW
                parts.append(note(gone, "warning") if few else details(_gone(one), note(gone, "warning")))
        parts.append(details("What is measured", definitions([(one.title, one.words) for one in columns])))
    if unmeasured:
        names = unmeasured[0].key if len(unmeasured) == 1 else "{" + ",".join(one.key for one in unmeasured) + "}"
        parts += [note(AGAIN.format(len(unmeasured))), code(f"rm -r {unmeasured[0].path.with_name(names)}")]
    return Section("What pruning does to the distribution", parts) if parts else None


def _gone(shift: Shift) -> str:
    classes = len({words.rpartition(" (")[0] for words in shift.vanished})
    return f"{count(classes, 'class or source')} nearly gone in {len(shift.vanished)} places, {shift.place}"


def measured(store: Store, runs: pd.DataFrame) -> tuple[pd.DataFrame, list[Folder]]:
    """A row for each measure of each selection behind the runs, and the selections that have none."""
    found, missing = [], []
    for _, row in runs[runs["prune"] != ""].drop_duplicates("prune").iterrows():
        folder = store.get("prune", row["prune"])
        if (folder.path / FILE).exists():  # under a policy the run's rule and keep are not those of the selection
            about = {name: row[name] for name in RUN} | {"rule": row["prune.rule"], "keep": row["prune.keep"]}
            measures = folder.table(FILE)
            found.append(pd.DataFrame([about]).merge(measures, how="cross", suffixes=("_size", "")))
        else:
            missing.append(folder)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(), missing


def shifts(measures: pd.DataFrame, runs: pd.DataFrame, panels: Sequence[Panel]) -> Iterator[Shift]:
    """One for each setup and scorer of which a selection was measured."""
    for (setup, scorer), same in groupby(panels if len(measures) else (), key=lambda one: (one.setup, one.scorer)):
        group = list(same)
        points = pd.concat([panel.points.assign(panel=BUDGETS[panel.budget]) for panel in group])
        behind = runs[runs["point"].isin(points["point"])]["prune"]
        own = measures[measures["prune"].isin(behind)]
        ruled = own[own["rule"] != "random"]
        if own.empty or (ruled.empty and (measures["rule"] != "random").any()):
            continue  # random rules alone are shown only where nothing else was measured
        pool = (own if ruled.empty else ruled)["pool_size"].max()
        own = own[own["pool_size"] == pool]
        points = points[(points["pool"] == pool) & points["rule"].isin([*selecting(points["rule"]), "random"])]
        cells, columns = _measures(own), list(COLUMNS)
        for budget, some in points.groupby("panel"):
            cells |= _accuracies(runs[runs["point"].isin(some["point"])], str(budget))
            name = "acc.,\n" + str(budget).removeprefix("equal ") if len(group) > 1 else "worst\nacc."
            columns.append(Column(str(budget), name, f"{ACCURACY} ({budget})", "{:.1%}", more_is_worse=False))
        told = {measure for (_, _, measure), cell in cells.items() if cell.kept or cell.random}
        order = [*selecting(rule for rule, *_ in cells), "random"]
        rows = sorted({key[:2] for key in cells}, key=lambda row: (order.index(row[0]), -row[1]))
        title = setup if scorer == "none" else f"{setup} · {scorer}"
        shown = [one for one in columns if one.measure in told]
        yield Shift(title, int(pool), shown, rows, cells, list(_vanished(own)))


def rows(shift: Shift) -> list[list[str | Shown]]:
    """Ratios to the random control, coloured where chance does not explain them, and the values behind them."""
    return [
        [name_of(rule), f"{keep:g}", *(_words(shift, rule, keep, one) for one in shift.columns)]
        for rule, keep in shift.rows
    ]


def _measures(own: pd.DataFrame) -> Cells:
    """A cell for each rule, keep fraction and measure: of several selections, by seed, the mean."""
    worse = {column.measure: column.more_is_worse for column in COLUMNS}
    found = {}
    for key, rows in own[own["measure"].isin(list(worse))].groupby(["rule", "keep", "measure"]):
        rule, keep, measure = cast("tuple[str, float, str]", key)
        row, p = rows[["kept", "random", "low", "high"]].mean(), joint(rows["p"].to_numpy(dtype=float))
        above = row["kept"] > row["high"] if np.isnan(p) else p < 1 - LEVEL
        verdict = _verdict(bool(above), bool(row["kept"] < row["low"]), worse[measure])
        found[rule, keep, measure] = Cell(row["kept"], row["random"], verdict, p)
    return found


def joint(p: Floats) -> float:
    """One p of a hypothesis that tests with p (S,) share: their harmonic mean times e log S (Vovk and Wang 2020).

    The selections of several seeds are from one pool and often by scores that agree, so their tests depend on each
    other in ways that nobody knows: Fisher's method asks for independence. This holds its level however they depend,
    and one seed of large p does not hide what all others show, as it does in the mean.
    """
    if len(p) == 1 or np.isnan(p).any():  # without a test: no p, not a p of 1
        return float(p.mean())
    return float(min(1.0, max(2.0, np.e * np.log(len(p))) / np.mean(1 / p)))


def _vanished(own: pd.DataFrame) -> Iterator[str]:
    counts = own[(own["measure"] == "count") & (own["random"] >= EXPECTED)]
    for _, row in counts[counts["kept"] <= NOTHING * counts["random"]].iterrows():
        selection = f"{name_of(row['rule'])} {row['keep']:g}"
        yield f"{row['of']} ({selection} keeps {row['kept']:.0f} of {row['pool']:.0f})"


def _accuracies(runs: pd.DataFrame, budget: str) -> Cells:
    """The worst class's test accuracy under a budget; better or worse where its difference to random excludes 0."""
    name = "worst_class_accuracy"
    runs = runs.dropna(subset=[name]) if name in runs else runs[:0]
    found = {}
    for (rule, keep), own in runs[runs["rule"] != "random"].groupby(["rule", "keep"]):
        random = runs[(runs["rule"] == "random") & (runs["keep"] == keep)]
        if len(random):
            apart = claims.sign(claims.compared(own, random, name))
            verdict = _verdict(apart > 0, apart < 0, more_is_worse=False)
            kept, control = (float(side.groupby("seed")[name].mean().mean()) for side in (own, random))
            found[str(rule), float(str(keep)), budget] = Cell(kept, control, verdict)
    return found


def _verdict(above: bool, below: bool, more_is_worse: bool) -> str:
    return "chance" if above == below else "worse" if above == more_is_worse else "better"


def _words(shift: Shift, rule: str, keep: float, column: Column) -> Shown:
    cell = shift.cells.get((rule, keep, column.measure))
    if cell is None or np.isnan(cell.kept):
        return Shown("–", "none")
    p = "" if np.isnan(cell.p) else f", p {cell.p:.2g}"
    kept, random = (column.form.format(value).replace("-", "−") for value in (cell.kept, cell.random))
    return Shown(_ratio(cell, column), cell.verdict, small=f"{kept} ({random}{p})")


def _ratio(cell: Cell, column: Column) -> str:
    """1.07, 23, 5k; the value itself where the control is zero."""
    if np.isnan(cell.ratio):
        return column.form.format(cell.kept) if cell.kept else "0"
    if cell.ratio < 0.005:
        return "0"
    if cell.ratio >= 9.95:
        return count_label(float(f"{cell.ratio:.2g}"))
    close = cell.verdict != "chance" and abs(cell.ratio - 1) < 0.005  # a coloured 1.00 would puzzle
    return f"{cell.ratio:.{3 if close else 2}f}"
