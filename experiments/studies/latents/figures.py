"""What the study shows: P* against depth and synonyms, curves by level, labels for the root, networks, pruning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...figures.axes import bars, limits, log_axis, name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREEN, GREY, INK, OCHRE, ORANGE, PURPLE, VIOLET, count_label, paler, percent_label
from ...laws.intervals import Interval, interval_of
from .thresholds import NAMES, RIGHT, geometric, runs

RULES = {
    ("easy", "latents"): PURPLE,
    ("easy", "tokens"): VIOLET,
    ("hard", "latents"): ORANGE,
    ("hard", "tokens"): OCHRE,
}
COLOURS = {"latents": BLUE, "tokens": ORANGE, "labels": GREEN, "shuffled": GREY, "untrained": GREY}
GRAMMAR = ["vocabulary", "synonyms", "branching"]
Tables = Mapping[str, pd.DataFrame]


def figures(tables: Tables) -> Iterator[Figures]:
    found = runs(tables)
    yield from _by_depth(found[(found["keep"] == 1) & (found["measure"] == "threshold")])
    yield from _by_strings(found[found["keep"] == 1])
    yield from _of_pruning(found[(found["learner"] == "clustering") & (found["keep"] < 1)])
    if "curves" in tables:
        yield from _of_networks(found[found["learner"] == "end_to_end"], tables["curves"])


def _by_depth(found: pd.DataFrame) -> Iterator[Figures]:
    drawings = []
    for (learner, *grammar), own in found.groupby(["learner", *GRAMMAR], sort=False):
        if own["depth"].nunique() < 2:
            continue
        named = ", ".join(
            f"{name} = {value.removesuffix('.0')}" for name, value in zip("vms", map(str, grammar), strict=True)
        )
        drawings.append(
            Drawing(f"{_plain(learner)}: strings needed", named, f"P* against depth, {learner}, {named}",
                    partial(_lines, own, "depth", "strings", "levels (L)", "strings needed (P*)"))
        )  # fmt: skip
        if learner == "clustering" and len(drawings) == 1:
            drawings += [
                Drawing(f"In units of {words}", named, f"P* over {words} against depth",
                        partial(_lines, own, "depth", unit, "levels (L)", f"P* / {words}"))
                for unit, words in (("by_latents", "v m³/(1−f)"), ("by_tokens", "v mᴸ⁺¹/(1−f)"))
            ]  # fmt: skip
    several = found[found["learner"] == "clustering"].groupby(["vocabulary", "branching", "depth"])
    for (vocabulary, branching, depth), own in several:
        if own["synonyms"].nunique() > 2:
            named = f"v = {vocabulary:g}, s = {branching:g}, L = {depth:g}"
            drawings.append(
                Drawing("Against synonyms", named, f"P* against m, {named}",
                        partial(_lines, own, "synonyms", "strings", "synonyms (m)", "strings needed (P*)"))
            )  # fmt: skip
    if drawings:
        yield Figures(
            "depth", "How many strings it takes",
            f"P*: strings at which {100 * RIGHT:g} % of the top level below the root are right. Geometric means over "
            "grammars with 95 % intervals; no point where a grammar did not reach it with its most strings.", drawings,
        )  # fmt: skip


def _by_strings(found: pd.DataFrame) -> Iterator[Figures]:
    own = found[(found["learner"] == "clustering") & (found["measure"] == "level")]
    if own.empty:
        return
    depth, vocabulary = _shown(own)
    own = own[(own["depth"] == depth) & (own["vocabulary"] == vocabulary)]
    own = own[own["synonyms"] == own["synonyms"].mode().iloc[0]]
    named = f"L = {depth}, v = {vocabulary}, m = {own['synonyms'].iloc[0]:g}"
    drawings = [
        Drawing(f"Target: {NAMES[target]}", named, f"accuracy of each level against strings, target {target}",
                partial(_levels, own[own["target"] == target], COLOURS[target]))
        for target in NAMES if (own["target"] == target).any()
    ]  # fmt: skip
    root = found[(found["measure"] == "root") & (found["depth"] == depth) & (found["vocabulary"] == vocabulary)]
    root = root[(root["synonyms"] == own["synonyms"].iloc[0]) & (root["target"] != "shuffled")]
    if len(root):
        strings = root.loc[(root["strings"] - 8192).abs().idxmin(), "strings"]
        root = root[root["strings"] == strings]
        drawings.append(
            Drawing("The root from few labels", f"{named}, {strings:,.0f} strings without labels",
                    "accuracy of the root's class against labels", partial(_root, root))
        )  # fmt: skip
    yield Figures(
        "levels", "Level by level",
        "Accuracy on held-out strings under the best matching of clusters with symbols. Shuffled: what stands beside a "
        "tuple is that of another string, so that nothing can be learned; its accuracy is the floor.", drawings,
    )  # fmt: skip


def _of_pruning(pruned: pd.DataFrame) -> Iterator[Figures]:
    if pruned.empty:
        return
    needed = pruned[pruned["measure"] == "threshold"]
    top = pruned[(pruned["measure"] == "level") & (pruned["level"] == pruned["depth"] - 1)]
    drawings: list[Drawing | None] = []
    for (depth, keep, target), own in needed.groupby(["depth", "keep", "target"], sort=False):
        named, words = f"Learned from {NAMES[str(target)]}", f"L = {depth:g}, {keep:g} kept"
        curves = top[(top["depth"] == depth) & (top["keep"] == keep) & (top["target"] == target)]
        drawings += [
            Drawing(named, words, f"P* by rule, target {target}, L {depth:g}", partial(_rules, own)),
            Drawing(named, f"{words}, top level", f"accuracy of the top level by rule, target {target}, L {depth:g}",
                    partial(_by_rule, curves)),
        ]  # fmt: skip
    yield Figures(
        "pruning", "What pruning does to the strings that are needed",
        "A row a rule: the kept strings that are needed, over those of a random part of the same pool, paired by "
        "grammar; left of the line pruning helps. Hard and easy: the part with the most and the least prediction loss, "
        "of own latents or of tokens. The curves: accuracy of the top level below the root.", drawings, columns=2,
    )  # fmt: skip


def _of_networks(found: pd.DataFrame, curves: pd.DataFrame) -> Iterator[Figures]:
    top = found[(found["measure"] == "level") & (found["level"] == found["depth"] - 1)]
    drawings = [
        Drawing("Top level, best layer", f"L = {depth}, linear probes", f"probe accuracy against strings, L {depth}",
                partial(_targets, own))
        for depth, own in top.groupby("depth")
    ]  # fmt: skip
    last = curves[curves["strings"] == curves["strings"].max()]
    best = last.groupby(["target", "seed", "step", "level", "depth"], as_index=False)["accuracy"].max()
    drawings += [
        Drawing(f"Learning curves, {NAMES[str(target)]}", f"L = {depth}, {last['strings'].max():,} strings",
                f"probe accuracy of each level against steps, {target}",
                partial(_learning, own, COLOURS[str(target)]))
        for (depth, target), own in best[best["target"] != "untrained"].groupby(["depth", "target"], sort=False)
    ]  # fmt: skip
    yield Figures(
        "networks", "End to end: masked latents (data2vec) against masked tokens",
        "The same transformer, masks, batches and steps; only the target differs. A linear probe reads each level off "
        "each layer; the best layer is chosen on other strings than its accuracy is of.", drawings,
    )  # fmt: skip


# ---- panels ----------------------------------------------------------------------------------------------------------


def _lines(own: pd.DataFrame, x: str, y: str, x_words: str, y_words: str, axes: Axes) -> None:
    """A line a target: geometric means over seeds."""
    for place, (target, rows) in enumerate(own.groupby("target", sort=False)):
        found = {at: rows[rows[x] == at][y] for at in sorted(rows[x].unique())}
        each = {at: geometric(values) for at, values in found.items() if values.notna().all()}
        _drawn(axes, {at * (1 + 0.012 * (place - 1)): one for at, one in each.items()}, str(target), NAMES[str(target)])
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()] or [np.ones(1)])
    log_axis(axes, "y", *limits(values, 1.6), count_label if y == "strings" else "{:g}".format)
    if x == "synonyms":
        log_axis(axes, "x", own[x].min() / 1.1, own[x].max() * 1.1)
    else:
        axes.set_xticks(sorted(own[x].unique()))
    name_axes(axes, x_words, y_words)


def _levels(own: pd.DataFrame, colour: str, axes: Axes) -> None:
    number = own["level"].nunique()
    for place, (level, rows) in enumerate(own.groupby("level")):
        _mean(axes, rows, "strings", paler(colour, number - 1 - place, number), f"level {level:g}")
    axes.axhline(RIGHT, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
    _shares(axes, own["strings"], "strings", "accuracy")


def _root(own: pd.DataFrame, axes: Axes) -> None:
    for target, rows in own.groupby("target", sort=False):
        _mean(axes, rows, "labelled", COLOURS[str(target)], NAMES[str(target)])
    _shares(axes, own["labelled"], "labels", "accuracy of the root's class")


def _targets(own: pd.DataFrame, axes: Axes) -> None:
    names = {"latents": "masked latents", "tokens": "masked tokens", "untrained": "untrained"}
    for target, rows in own.groupby("target", sort=False):
        _mean(axes, rows, "strings", COLOURS[str(target)], names[str(target)])
    _shares(axes, own["strings"], "strings", "accuracy")


def _learning(own: pd.DataFrame, colour: str, axes: Axes) -> None:
    number = own["level"].nunique()
    for place, (level, rows) in enumerate(own.groupby("level")):
        _mean(axes, rows, "step", paler(colour, number - 1 - place, number), f"level {level:g}")
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(lambda value, _: percent_label(value))
    name_axes(axes, "steps", "accuracy of the best layer")


def _mean(axes: Axes, rows: pd.DataFrame, x: str, colour: str, label: str) -> None:
    value = "value" if "value" in rows else "accuracy"
    each = {at: interval_of(rows[rows[x] == at][value], "accuracy") for at in sorted(rows[x].unique())}
    _drawn(axes, each, colour, label)


def _drawn(axes: Axes, each: Mapping[float, Interval], colour: str, label: str) -> None:
    """Means with their intervals, by where they stand."""
    mean, low, high = (np.array([getattr(one, name) for one in each.values()]) for name in ("value", "low", "high"))
    bars(axes, np.array(list(each)), mean, low, high, color=COLOURS.get(colour, colour), marker="o", label=label)


def _shares(axes: Axes, x: pd.Series[float], x_words: str, y_words: str) -> None:
    log_axis(axes, "x", x.min() / 1.2, x.max() * 1.2, count_label)
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(lambda value, _: percent_label(value))
    name_axes(axes, x_words, y_words)


def _rules(own: pd.DataFrame, axes: Axes) -> None:
    """P* of each rule over that of the random part, a row each."""
    random = own[own["rule"] == "random"].set_index("seed")["strings"]
    for place, (rule, scored) in enumerate(RULES):
        chosen = own[(own["rule"] == rule) & (own["scored"] == scored)].set_index("seed")["strings"]
        ratio, colour = (chosen / random).dropna(), RULES[rule, scored]
        if 1 < len(ratio) == len(random):
            one = geometric(ratio)
            axes.plot([one.low, one.high], [place, place], color=colour, linewidth=2)
            axes.plot([one.value], [place], "o", color=colour)
        else:
            said = f"{len(random) - len(ratio)} of {len(random)} never reach {100 * RIGHT:g} %"
            axes.annotate(said, (1, place), (4, 3), textcoords="offset points", fontsize=8, color=colour)
    axes.axvline(1, color=INK, linewidth=0.9)
    axes.set_yticks(range(len(RULES)), [f"{rule}, loss of {NAMES[scored]}" for rule, scored in RULES])
    axes.set_ylim(-0.6, len(RULES) - 0.4)
    values = np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in axes.get_lines()])
    log_axis(axes, "x", *limits(values[np.isfinite(values)], 1.3))
    name_axes(axes, "strings needed, over random", "")


def _by_rule(own: pd.DataFrame, axes: Axes) -> None:
    for (rule, scored), colour in RULES.items():
        rows = own[(own["rule"] == rule) & (own["scored"] == scored)]
        _mean(axes, rows, "strings", colour, f"{rule}, loss of {NAMES[scored]}")
    _mean(axes, own[own["rule"] == "random"], "strings", GREY, "random")
    _shares(axes, own["strings"], "strings kept", "accuracy")


def _shown(own: pd.DataFrame) -> tuple[int, int]:
    """The depth and vocabulary that the panels of levels show: 4 levels where they were run, else the deepest."""
    depths = own["depth"].unique()
    depth = 4 if 4 in depths else int(depths.max())
    return depth, int(own[own["depth"] == depth]["vocabulary"].max())


def _plain(learner: object) -> str:
    return str(learner).replace("_", " ").capitalize()
