"""What the study shows: a picture of the plane, variances and errors by rule, SAL against GO, and pruning by design."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import band, limits, log_axis, name_axes
from ...figures.dots import Dot, height, reach
from ...figures.dots import draw as draw_dots
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREEN, GREY, INK, MUTED, OCHRE, ORANGE, PURPLE, SKY, TEAL, VIOLET
from ...laws.intervals import interval_of, intervals_of, worded
from . import Demonstrations

SAME = ["learner", "dimension", "prior_variance", "setting", "data", "test", "labels"]
POINT = [*SAME, "rule"]
MEASURES = ("error", "less_error", "max_variance", "mean_variance", "to_go")
PROPERTIES = (
    "greedy_to_best", "greedy_to_best_worst", "random_to_best", "increasing_returns", "slope", "slope_without"
)  # fmt: skip
NAMES = {
    "uniform": "random",
    "nearest": "nearest",
    "nearest_in_turns": "nearest, in turns",
    "own_variance": "own variance",
    "most_doubted": "most doubted by the model",
    "least_confident": "least confident",
    "go": "GO (max)",
    "go_bias": "GO with a bias",
    "v_optimal": "V-optimal (mean)",
    "v_optimal_bias": "V-optimal with a bias",
    "sal_max": "SAL, max, read",
    "sal_mean": "SAL, mean, read",
    "sal_two_samples": "SAL, max, two samples",
    "hard": "hard (EL2N)",
    "easy": "easy (EL2N)",
}
COLOURS = {
    "uniform": GREY, "nearest": SKY, "nearest_in_turns": BLUE, "own_variance": OCHRE, "go": ORANGE,
    "v_optimal": GREEN, "hard": PURPLE, "easy": VIOLET,
}  # fmt: skip
TESTS = {
    "iid": "test like the pool", "shifted": "test along one direction", "one": "one test point",
    "focus": "test: neighbours of one example", "topic": "test: one first word", "classes": "test: three classes",
}  # fmt: skip
LEARNERS = {
    "regressor": "In-context regressor",
    "classifier": "Classifier, real data",
    "reader": "Small GPT",
}
SPREAD = 3  # standard deviations of an ellipse
SIMULATED = re.compile(r"sal_(two_samples|common)_(\d+)")
Tables = Mapping[str, pd.DataFrame]


def runs(tables: Tables) -> pd.DataFrame:
    """`measured` as it is judged and published: of linear worlds the whole budget alone, six digits of each number."""
    found = measured(tables)
    found = found[(found["learner"] != "linear") | (found["all_labels"] != 0)].reset_index(drop=True)
    numbers = [*MEASURES, *(name for name in ("bayes_error", *PROPERTIES) if name in found)]
    found[numbers] = found[numbers].astype(float).round(6)
    return found


def measured(tables: Tables) -> pd.DataFrame:
    """A row for each run, kind of test, rule and number of labels; and one a linear run for what theory says of GO.

    `to_go`: the largest variance as a multiple of GO's in the same worlds. `less_error`: the error of a random choice
    in the same worlds, less this one. `all_labels`: whether the budget is spent.
    """
    found, by_run = tables["selected"], tables["runs"]
    features = {"regressor": 4, "classifier": 4, "reader": 12, "head": 0}
    width = found["learner"].map(features).fillna(found["dimension"]).astype(int)
    found = found.assign(dimension=width, data=_data(found))
    found["prior_variance"] = _prior_variance(found)
    found["setting"] = _differing(found)
    for name in (*MEASURES, "bayes_error", "as_go", "share"):
        found[name] = found.get(name, np.nan)
    for rule, metric, name in (("go", "max_variance", "of_go"), ("uniform", "error", "of_random")):
        own = found[found["rule"] == rule][[*SAME, "seed", metric]].rename(columns={metric: name})
        found = found.merge(own, on=[*SAME, "seed"], how="left")
    found["to_go"] = found["max_variance"] / found["of_go"]
    found["less_error"] = found["of_random"] - found["error"]
    last = found.groupby([*SAME[:-1], "seed"])["labels"].transform("max")
    found["all_labels"] = (found["labels"] == last).astype(int)
    kept = [*POINT, "share", "all_labels", "seed", *MEASURES, "bayes_error", "as_go"]
    parts = [found[kept]]
    if "slope" in by_run:
        linear = by_run[by_run["slope"].notna()]
        linear = linear.assign(data="linear", test="theory", rule="go", prior_variance=_prior_variance(linear))
        linear["setting"] = _differing(linear)
        parts.append(
            linear[["learner", "dimension", "prior_variance", "setting", "data", "test", "rule", "seed", *PROPERTIES]]
        )
    return pd.concat(parts, ignore_index=True)


def _prior_variance(found: pd.DataFrame) -> pd.Series[Any]:
    """Mean prior variance of a point's value in linear worlds; 0 for learners that have none."""
    given = found["signal"] if "signal" in found else pd.Series(np.nan, index=found.index)
    own = given.astype(float).fillna(found["dimension"].astype(float))
    return own.where(found["learner"].isin(["linear", "regressor"]), 0.0)


def _differing(found: pd.DataFrame) -> pd.Series[Any]:
    """What else differs between the runs of a learner: `usual` where nothing does."""
    words = pd.Series("", index=found.index)
    names = [name for name in found if str(name).split(".")[0] in Demonstrations.model_fields]
    for _, own in found.groupby(["learner", "dimension", "prior_variance"]):
        for name in names:
            told = own[name].map(str)
            if name not in ("learner", "dimension", "signal", "fingerprint") and told.nunique() > 1:
                words[own.index] += [f"{name} {value} " for value in told]
    return words.str.strip().replace("", "usual")  # a table of text keeps no empty cell


def _data(found: pd.DataFrame) -> pd.Series[Any]:
    given = found["data"] if "data" in found else pd.Series(np.nan, index=found.index, dtype=object)
    images = found.get("task.name", "images")
    return given.where(given.notna(), np.where(found["learner"] == "head", images, "linear"))


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Means with intervals over seeds."""
    rows = []
    for key, group in runs[runs["test"] != "theory"].groupby(POINT, sort=False):
        row = dict(zip(POINT, key, strict=True)) | {"seeds": len(group)}
        for name in MEASURES:
            if group[name].notna().all():
                over = interval_of(group[name], name if row["learner"] not in ("linear", "regressor") else "")
                row |= {name: over.value, f"{name}_low": over.low, f"{name}_high": over.high}
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(runs: pd.DataFrame) -> str:
    """GO against plain uncertainty sampling in the widest linear worlds of least signal, where there are any."""
    linear = runs[(runs["learner"] == "linear") & (runs["all_labels"] == 1)]
    if linear.empty:
        return "No linear worlds were run: the figures compare the rules for each learner."
    widest = linear[linear["dimension"] == linear["dimension"].max()]
    weakest = widest[widest["prior_variance"] == widest["prior_variance"].min()]
    tests = [test for test in TESTS if (weakest["test"] == test).any()]
    parts = [
        f"{_ratio(weakest[weakest['test'] == test], 'error', 'go', 'own_variance')} ({TESTS[test]})" for test in tests
    ]
    return (
        f"Exact linear model, {_worlds(weakest, float(weakest['prior_variance'].iloc[0]))}: GO's error is that of "
        f"uncertainty sampling, which ignores the test points, times {', '.join(parts)}."
    )


def _ratio(own: pd.DataFrame, metric: str, rule: str, other: str) -> str:
    sides = [own[own["rule"] == one].groupby("seed")[metric].mean() for one in (rule, other)]
    pairs = pd.concat(sides, axis=1).to_numpy()
    value, _, low, high = intervals_of(pairs, lambda means: means[..., 0] / means[..., 1])
    return worded(float(value), float(low), float(high), ".2f")


def caveat(tables: Tables) -> str:
    by_run = tables["runs"]
    said = [f"{learner} {own['seed'].nunique()}" for learner, own in by_run.groupby("learner", sort=False)]
    return (
        f"Seeds: {', '.join(said)}; of trained learners each is a training. Every seed draws its own pools, test "
        "points and labels; all rules see the same. 95 % t intervals over seeds."
    )


# ---- figures ---------------------------------------------------------------------------------------------------------


def figures(tables: Tables) -> Iterator[Figures]:
    found = measured(tables)
    if "plane" in tables:
        yield _picture(tables["plane"])
    linear = found[(found["learner"] == "linear") & (found["test"] != "theory")]
    for signal, worlds in linear[linear["dimension"] == linear["dimension"].max()].groupby("prior_variance"):
        yield _linear(worlds, float(str(signal)))
        if signal == linear["prior_variance"].min():
            yield _simulated(worlds, float(str(signal)))
    shown = found[found["learner"].isin(["regressor", "classifier", "reader"]) & (found["all_labels"] == 1)]
    if len(shown):
        yield _shown(shown)
    head = found[found["learner"] == "head"]
    if len(head):
        yield _heads(head)


def _picture(plane: pd.DataFrame) -> Figures:
    plane = plane[plane["seed"] == plane["seed"].min()]
    drawings = [
        Drawing(NAMES[rule], "two features", f"the picks of {rule} in the plane", partial(_plane, plane, rule),
                data=plane[plane["rule"].isin(["", rule])])
        for rule in ("nearest", "own_variance", "go")
    ]  # fmt: skip
    words = (
        "One world with two features. Grey: the pool. Crosses: the test points, which are along one direction. "
        "Numbers: the picks in their order. The ellipse is the posterior of the weights after them, three "
        "standard deviations: where it is long, a test point in that direction is still uncertain."
    )
    return Figures("plane", "What each rule picks", words, drawings)


def _plane(plane: pd.DataFrame, rule: str, axes: Axes) -> None:
    def of(role: str) -> pd.DataFrame:
        return plane[(plane["role"] == role) & plane["rule"].isin(["", rule])]

    axes.plot(of("pool")["x"], of("pool")["y"], "o", color=GREY, markersize=3.5, alpha=0.6, label="pool")
    axes.plot(of("test")["x"], of("test")["y"], "x", color=INK, markersize=5, label="test points")
    picks, ellipse = of("pick"), of("ellipse")
    axes.plot(picks["x"], picks["y"], "o", color=COLOURS[rule], markersize=7, label="picks")
    for order, x, y in zip(picks["order"], picks["x"], picks["y"], strict=True):
        axes.annotate(str(order + 1), (x, y), (4, 3), textcoords="offset points", fontsize=8, color=INK)
    axes.plot(
        SPREAD * ellipse["x"],
        SPREAD * ellipse["y"],
        color=COLOURS[rule],
        linewidth=1.6,
        label="posterior of the weights",
    )
    axes.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2), aspect="equal")
    name_axes(axes, "first feature", "second feature")


def _linear(own: pd.DataFrame, signal: float) -> Figures:
    panels = [(name, words, test) for name, words in (("max_variance", "largest variance"), ("error", "squared error"))
              for test in TESTS if (own["test"] == test).any()]  # fmt: skip
    drawings = [
        Drawing(words.capitalize(), TESTS[test], f"{name} by labels, {test}",
                partial(_by_labels, own[own["test"] == test], name, words)) for name, words, test in panels
    ]  # fmt: skip
    return Figures(
        f"linear_{signal:g}", f"Variance and error by rule, {_worlds(own, signal)}",
        "Above: the largest posterior variance over the test points. Below: the mean squared error of their values. GO "
        "takes the point that lowers the first most, V-optimal the one that lowers the mean; uncertainty sampling (own "
        "variance) does not look at the test points.",
        drawings,
    )  # fmt: skip


def _worlds(own: pd.DataFrame, signal: float) -> str:
    return f"{own['dimension'].max()} features, signal {signal:g}"


def _by_labels(own: pd.DataFrame, metric: str, words: str, axes: Axes) -> None:
    for rule in (rule for rule in NAMES if (own["rule"] == rule).any()):
        _line(axes, own[own["rule"] == rule], "labels", metric, COLOURS.get(rule, INK), NAMES[rule])
    log_axis(axes, "y", *limits(np.concatenate([np.asarray(one.get_ydata(), float) for one in axes.get_lines()]), 1.2))
    name_axes(axes, "labels", words)


def _line(axes: Axes, rows: pd.DataFrame, x: str, y: str, colour: str, label: str, style: str = "o-") -> None:
    each = {value: interval_of(group[y]) for value, group in rows.groupby(x)}
    middle, low, high = (np.array([getattr(one, end) for one in each.values()]) for end in ("value", "low", "high"))
    band(axes, list(each), middle, low, high, colour, marker=style[0], linestyle=style[1:], linewidth=1.6,
         markersize=4, label=label)  # fmt: skip


def _simulated(worlds: pd.DataFrame, signal: float) -> Figures:
    own = worlds[worlds["all_labels"] == 1]
    drawings = [
        Drawing(TESTS[test].capitalize(), "by simulations a candidate", f"SAL's variance over GO's, {test}",
                partial(_by_simulations, own[own["test"] == test])) for test in TESTS if (own["test"] == test).any()
    ]  # fmt: skip
    return Figures(
        f"sal_{signal:g}", f"How many simulations SAL needs to choose as GO, {_worlds(own, signal)}",
        "The largest variance of what SAL chose, as a multiple of GO's: 1 is GO. Two samples: two labels are drawn for "
        "each candidate and test point. Common: all candidates share the random numbers. Reading the variance that the "
        "model states needs no simulation, and is GO.",
        drawings,
    )  # fmt: skip


def _by_simulations(own: pd.DataFrame, axes: Axes) -> None:
    told = own["rule"].str.extract(SIMULATED)
    own = own.assign(estimator=told[0], simulations=told[1].astype(float))
    for estimator, colour, label in (("two_samples", ORANGE, "two samples"), ("common", BLUE, "common numbers")):
        _line(axes, own[own["estimator"] == estimator], "simulations", "to_go", colour, label)
    random = own[own["rule"] == "uniform"]["to_go"].mean()
    axes.axhline(random, color=GREY, linewidth=1.2, linestyle=(0, (4, 2)), label="random choice")
    axes.axhline(1, color=INK, linewidth=0.8)
    values = own["simulations"].dropna()
    if len(values):
        log_axis(axes, "x", values.min() / 1.3, values.max() * 1.3)
    name_axes(axes, "simulations of each candidate", "largest variance, times GO's")


def _shown(shown: pd.DataFrame) -> Figures:
    by_panel: dict[Any, pd.DataFrame] = dict(iter(shown.groupby(["learner", "test"])))
    pairs = [(learner, test) for learner in LEARNERS for test in TESTS]
    panels = [(*pair, by_panel[pair]) for pair in pairs if pair in by_panel]
    return Figures(
        "shown", "Learners that are shown the chosen examples",
        "Error after the whole budget: squared error of the regressor, share of wrong answers of the classifier (the "
        "mean over five real data sets) and of the small GPT that reads demonstrations as text. Small dots: trainings.",
        [Drawing(LEARNERS[learner], TESTS[test], f"error by rule, {learner}, {test}", partial(_dots, own),
                 height=height(own["rule"].nunique())) for learner, test, own in panels],
    )  # fmt: skip


def _dots(own: pd.DataFrame, axes: Axes) -> None:
    dots = []
    for rule in (rule for rule in NAMES if (own["rule"] == rule).any()):
        by_seed = own[own["rule"] == rule].groupby("seed")["error"].mean()
        one = interval_of(by_seed)
        words = f"{NAMES[rule]}: {worded(one.value, one.low, one.high)}"
        colour = COLOURS.get(rule.removesuffix("_bias"), TEAL if rule.startswith("sal") else MUTED)
        seeds = {int(str(seed)): float(value) for seed, value in by_seed.items()}
        dots.append(Dot(NAMES[rule], one.value, one.low, one.high, colour, words, seeds=seeds))
    draw_dots(axes, dots, limits=reach(dots), words="error")


def _heads(head: pd.DataFrame) -> Figures:
    drawings = [
        Drawing(TESTS[test].capitalize(), "linear head, trained to the optimum", f"error saved by share kept, {test}",
                partial(_by_share, head[head["test"] == test])) for test in TESTS if (head["test"] == test).any()
    ]  # fmt: skip
    return Figures(
        "head", "Designs as pruning rules, for a linear head on features of images",
        "Above zero: fewer errors on other images of the test distribution than after a random choice of as many. "
        "Designs know the inputs of some test images; EL2N knows the labels of the pool. Its hardest are not drawn: "
        "they are far below, see the table.",
        drawings,
    )  # fmt: skip


def _by_share(own: pd.DataFrame, axes: Axes) -> None:
    for rule in (rule for rule in NAMES if rule not in ("uniform", "hard") and (own["rule"] == rule).any()):
        _line(axes, own[own["rule"] == rule], "share", "less_error", COLOURS.get(rule, INK), NAMES[rule])
    axes.axhline(0, color=INK, linewidth=0.8)
    name_axes(axes, "share of the pool kept", "error of random choice minus error")
