"""Where "keep the hardest" changes its sign: gains by width and schedule, beside those of the pruned perceptron."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contracts import Floats
from ...errors import ConfigError
from ...figures.axes import legend_below, limits, log_axis
from ...figures.panels import Drawing, Figures
from ...figures.style import INK, MARKERS, colour_of, count_label, name_of, shade
from ...studies.perceptron.theory import Rule, crossover, generalization_error
from ..parts import Section, grid, heading, note
from . import gains
from .laws import SETTINGS, WEIGHING
from .layout import BUDGETS, in_rows
from .runs import named

RULES: tuple[Rule, ...] = ("hard", "easy")
UNITS = ("epochs", "steps", "examples")  # of a schedule's length
SAME = ["task", "fingerprint", "model", "policy", "label_noise", "balance", "budget", "split", "keep", "scorer"]
SAME += ["selection", "settings", "unit"]  # what all settings of one study share
VARIED = {"model.width", "task.examples", "task.label_noise", *(f"recipe.{unit}" for unit in UNITS)}
ALPHAS = np.geomspace(0.25, 12, 13)  # examples kept per dimension
PROBE = 20.0  # degrees between the imperfect probe and the teacher
SIGNS = {"worse": "negative", "better": "positive"}
WORDS = (
    "Measured: last epoch, test split, means and 95 % t intervals over seeds; hollow where undecided. Theory "
    "(arXiv:2206.14486 §2): the perceptron of largest margin in infinite dimension, clean labels; dashed: its probe "
    f"is {PROBE:g} degrees off the teacher. Both show what a rule gains over a random subset of its size at the same "
    "fraction kept, and should afford hard examples better to the right. The rest is analogy. The theory's axis is "
    "examples per parameter: its student can always realise the teacher, is trained to the end, and has no width and "
    "no schedule. The network's axis is what it can fit, with as many examples at every width; a wider one has fewer "
    "examples per parameter, in the theory a step to the left. So the theory says that the sign changes, and not at "
    "which width."
)
OWN = (
    " Every setting ranked the examples by a score of its own: widths may also differ in what they keep, and a network "
    "that fits little may be the worse probe."
)


@dataclass(frozen=True, slots=True)
class Study:
    """The gains of one selection at several widths or lengths of the schedule, all other settings equal."""

    title: str
    keep: float
    unit: str  # of `length`
    rows: pd.DataFrame  # of `claims.advantage`, and the `length` of the schedule
    proxies: bool  # whether each setting ranked by a score of its own

    @property
    def rules(self) -> list[Rule]:
        return [rule for rule in RULES if (self.rows["rule"] == rule).any()]


def section(runs: pd.DataFrame, advantage: pd.DataFrame) -> Section | None:
    several = list(studies(runs, advantage))
    if not several:
        return None
    parts, rows = [], [drawings(study) for study in several]
    for place, (study, row) in enumerate(zip(several, rows, strict=True)):
        crossing = crossover_of(study.keep)
        nowhere = f"does not change its sign between {ALPHAS[0]:g} and {ALPHAS[-1]:g}"
        turns = nowhere if crossing is None else f"turns positive at {crossing:.2g}"
        theory = f"In theory the gain of the hardest {study.keep:g} {turns} examples kept per dimension."
        said = " ".join([*(sentence(study, rule) for rule in study.rules), theory])
        parts += [heading(study.title), note(said, "plain"), grid(row, f"c{place}-")]
    parts.append(note(WORDS + (OWN if any(study.proxies for study in several) else "")))
    sheet, columns = in_rows(rows)
    return Section("Where the sign changes", parts, [Figures("capacity", "", "", sheet, columns)])


def studies(runs: pd.DataFrame, advantage: pd.DataFrame) -> Iterator[Study]:
    """One for each keep at which the hardest met random subsets at two or more widths or lengths; the largest pool."""
    setups = runs.drop_duplicates("setup").set_index("setup")
    fixed = [name for name in setups if str(name).startswith(SETTINGS + WEIGHING) and name not in VARIED]
    lengths = setups.reindex(columns=[f"recipe.{unit}" for unit in UNITS]).set_axis(UNITS, axis=1).astype(float)
    unit = [next((unit for unit in UNITS if row[unit] > 0), "") for _, row in lengths.iterrows()]
    settings = ["|".join(map(str, values)) for values in setups[fixed].itertuples(index=False)]
    about = pd.DataFrame({"length": lengths.bfill(axis=1)[UNITS[0]], "unit": unit, "settings": settings})
    compared = advantage[advantage["rule"].isin(RULES) & (advantage["verdict"] != "no random")]
    for _, rows in named(compared).join(about, on="setup").groupby(SAME, dropna=False, sort=True):
        rows = rows[rows["pool"] == rows["pool"].max()]
        hard = rows[rows["rule"] == "hard"]
        if max(hard["width"].nunique(), hard["length"].nunique()) < 2:
            continue
        one = hard.iloc[0]
        words = [one["task"], one["model"], one["scorer"], f"keep {one['keep']:g}", BUDGETS[one["budget"]]]
        words.append("" if one["policy"] == "uniform" else name_of(one["policy"]))
        words.append(f"label noise {one['label_noise']:g}" if one["label_noise"] > 0 else "")
        ranked = runs[(runs["rule"] == "hard") & (runs["pool"] == one["pool"]) & runs["setup"].isin(hard["setup"])]
        own = bool(ranked["score"].nunique() >= hard["setup"].nunique())
        yield Study(" · ".join(filter(None, words)), float(one["keep"]), str(one["unit"]), rows, own)


def drawings(study: Study) -> list[Drawing]:
    """The hardest, and the easiest where it was run, as measured; the theory."""
    found = [
        Drawing(f"{name_of(rule).capitalize()} against random", study.title, sentence(study, rule),
                partial(_by_width, study.rows, rule, study.unit))
        for rule in study.rules
    ]  # fmt: skip
    words = f"theory: gain of hardest and easiest over random against examples per dimension, keep {study.keep:g}"
    subtitle = f"perceptron · keep {study.keep:g}"
    return [*found, Drawing("Theory, against random", subtitle, words, partial(_theory, study.keep))]


def sentence(study: Study, rule: Rule) -> str:
    """Between which decided neighbours the gain changes its sign, and how many settings are decided."""
    rows = study.rows[study.rows["rule"] == rule]
    decided = rows[rows["verdict"] != "undecided"]
    counts = rows["verdict"].value_counts().reindex([*SIGNS, "undecided"], fill_value=0)
    words = {"width": "width {:g}", "length": f"{{:g}} {study.unit}"}
    changes: dict[str, list[str]] = {}  # verdict after -> where, along the width, then along the schedule
    for along, fixed in (("width", "length"), ("length", "width")):
        for at, line in decided.groupby(fixed, dropna=False, sort=True):
            place = f" at {words[fixed].format(at)}" if rows[fixed].nunique() > 1 else ""
            for (_, one), (_, other) in pairwise(line.sort_values(along).iterrows()):
                if one["verdict"] != other["verdict"]:
                    ends = " and ".join(words[along].format(end[along]) for end in (one, other))
                    changes.setdefault(other["verdict"], []).append(f"between {ends}{place}")
    if changes:
        said = " and ".join(f"turns {SIGNS[verdict]} {', '.join(where)}" for verdict, where in changes.items())
    elif decided["verdict"].nunique() > 1:
        said = "changes its sign only between settings that differ in both width and schedule"
    elif len(decided):
        said = f"is {SIGNS[decided['verdict'].iloc[0]]} wherever it is decided"
    else:
        said = "is decided nowhere"
    return (
        f"The gain of the {name_of(rule)} {study.keep:g} over a random subset of its size {said} (of {len(rows)} "
        f"settings negative in {counts['worse']}, positive in {counts['better']}, undecided in {counts['undecided']})."
    )


def _by_width(found: pd.DataFrame, rule: str, unit: str, axes: Axes) -> None:
    """Against width, a line a length of the schedule (in `unit`); where there is one width, a line against length."""
    across, by = ("width", "length") if found["width"].nunique() > 1 else ("length", "width")
    values = np.unique(found[across].to_numpy(dtype=float))
    lines = list(found[found["rule"] == rule].sort_values(across).groupby(by, dropna=False, sort=True))
    for place, (name, line) in enumerate(lines):
        x = line[across].to_numpy(dtype=float) * (values[-1] / values[0]) ** (0.017 * (place - (len(lines) - 1) / 2))
        colour, marker = shade(rule, len(lines) - 1 - place, len(lines)), MARKERS[place % len(MARKERS)]
        gains.points(axes, x, line, colour, marker, f"{name:g} {unit}" if by == "length" else "")
    log_axis(axes, "x", *limits(values, 1.25), count_label)
    if len(values) < 8:
        axes.set_xticks(values)
    gains.frame(axes, found, "width of the network" if across == "width" else f"length of the schedule ({unit})")
    legend_below(axes)


@lru_cache(maxsize=64)
def prediction(keep: float, rule: Rule, theta: float) -> Floats:
    """(len(ALPHAS),) points of accuracy that a rule gains over a random subset of its size, by the closed form."""
    pair: tuple[Rule, Rule] = ("random", rule)
    errors = [[generalization_error(float(alpha), keep, theta=theta, rule=one) for one in pair] for alpha in ALPHAS]
    return np.asarray(100 * (np.array(errors) @ [1, -1]))


@lru_cache(maxsize=64)
def crossover_of(keep: float) -> float | None:
    """Examples kept per dimension above which the hardest beat random with a perfect probe; None where nowhere."""
    try:
        return crossover(keep, between=(float(ALPHAS[0]), float(ALPHAS[-1])))
    except ConfigError:
        return None


def _theory(keep: float, axes: Axes) -> None:
    for rule in RULES:
        for theta, dashes, probe in ((0.0, "-", ""), (PROBE, "--", f", probe {PROBE:g}° off")):
            colour, label = colour_of(rule), name_of(rule) + probe
            axes.plot(ALPHAS, prediction(keep, rule, theta), dashes, color=colour, linewidth=1.7, label=label)
    if (crossing := crossover_of(keep)) is not None:
        axes.axvline(crossing, color=INK, linewidth=0.9, linestyle=":")
        axes.annotate(f" crossover {crossing:.2g}", (crossing, 0.02), xycoords=("data", "axes fraction"), fontsize=8.5)
    log_axis(axes, "x", *limits(ALPHAS, 1.12))
    axes.set_xlabel("examples kept per dimension")
    gains.zero_line(axes, "accuracy")
    legend_below(axes)
