"""What the study shows: shares against rollouts, scale and learning rate, predicted optimum, algorithms, pass@k."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contribution.settings import READABLE
from ...figures import dots
from ...figures.axes import band, bars, log_axis, name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREEN, GREY, INK, MARKERS, ORANGE, percent_label
from ...laws.intervals import intervals_of, worded
from .results import NAMES, by_seed, corpus_words, kept_words, of_corpus, runs, settled, usual, with_settings

COLOURS = {"prog": BLUE, "expr": ORANGE, "words": GREEN, "none": GREY}
Tables = Mapping[str, pd.DataFrame]


def figures(tables: Tables) -> Iterator[Figures]:
    found = runs(tables)
    curves = with_settings(settled(tables["rollouts"]))
    yield from _curves(usual(found[found["algorithm"] == "grpo"]), curves)
    yield from _foretold(curves)
    if "pretraining" in tables:
        yield from _pretraining(tables["pretraining"])
    yield from _scale(usual(found[found["algorithm"] == "grpo"]))
    yield from _optimum(found[found["algorithm"] != "ei"])
    yield from _pruned(found)
    yield from _arms(found)
    yield from _samples(found)


def _curves(own: pd.DataFrame, curves: pd.DataFrame) -> Iterator[Figures]:
    drawings = [
        Drawing(f"Width {width}, rate {rate:g}", str(group["arm"].iloc[0]), f"shares, width {width}, rate {rate:g}",
                partial(_over_rollouts, curves[curves["setting"].isin(group["setting"])]))
        for (width, rate), group in own.groupby(["width", "rate"])
    ]  # fmt: skip
    if drawings:
        yield Figures(
            "rollouts", "Which format the samples are in while a model is reinforced",
            "Shares of the samples of each rollout, and in black the share of samples with a right answer. Means over "
            "seeds, each the mean of its streams, with 95 % intervals. The last rollout ends one pass over the chains.",
            drawings,
        )  # fmt: skip


def _over_rollouts(own: pd.DataFrame, axes: Axes) -> None:
    for name, colour in (*COLOURS.items(), ("accuracy", INK)):
        column = "accuracy" if name == "accuracy" else f"share_{name}"
        by = own.groupby(["seed", "rollout"])[column].mean().unstack()
        mean, _, low, high = intervals_of(by.to_numpy())
        low, high = (np.clip(np.where(np.isnan(end), mean, end), 0, 1) for end in (low, high))
        style: dict[str, Any] = {"linestyle": (0, (4, 2))} if name == "accuracy" else {}
        label = {"none": "malformed", "accuracy": "right answers"}.get(name, name)
        band(axes, by.columns.to_numpy(), mean, low, high, colour, label=label, **style)
    _percent(axes)
    name_axes(axes, "rollouts", "share of the samples")


def _foretold(curves: pd.DataFrame) -> Iterator[Figures]:
    """Of arms whose contributions were measured: the shares, and beside them the sums of contributions."""
    if "contribution_prog" not in curves or (own := curves[curves["contribution_prog"].notna()]).empty:
        return
    same = ["setting", "seed", "repeat"]
    own = own.sort_values("rollout")
    for name in NAMES:
        own[f"sum_{name}"] = own.groupby(same)[f"contribution_{name}"].cumsum()
    drawings = []
    for setting, group in own.groupby("setting", sort=False):
        for title, prefix, words in (
            ("Shares", "share", "share of the samples"),
            ("Contributions so far", "sum", "sum of contributions"),
        ):
            draw = partial(_formats_over, group, "rollout", prefix, "rollouts", words)
            drawings.append(Drawing(title, str(setting), f"{title}, {setting}", draw))
    yield Figures(
        "foretold", "Do contributions name the winner before the shares do?",
        "A format's contribution is the rate at which a step on its samples alone would lower the loss on other "
        "chains. Right: the sum of those of all rollouts so far. Means over seeds, with 95 % intervals.",
        drawings, columns=2,
    )  # fmt: skip


def _pretraining(table: pd.DataFrame) -> Iterator[Figures]:
    table = table if "policy.name" in table else table.assign(**{"policy.name": "uniform"})
    drawings = []
    for policy, group in table.groupby("policy.name", sort=False):
        for measure, title, words in (("ct", "CT", "taken off the held-out loss at once"),
                                      ("phi", "φ", "taken off the rest of the loss curve")):  # fmt: skip
            seen = group if measure == "ct" else group[group["metasmoothness"] >= READABLE]
            if seen.empty:
                continue
            wide = seen.pivot_table(index=["seed", "step"], columns="format", values=measure).add_prefix(f"{measure}_")
            draw = partial(_formats_over, wide.reset_index(), "step", measure, "steps of pretraining", "mean of each")
            drawings.append(Drawing(f"{policy}, {title}", words, f"{title}, {policy}", draw))
    smooth = table.groupby("seed")["metasmoothness"].first()
    yield Figures(
        "pretraining", "What each format contributes to pretraining",
        "Means over the examples of each format, weighed as in the run. Means over seeds, with 95 % intervals. "
        f"Metasmoothness is {smooth.min():.2f} to {smooth.max():.2f}; φ is drawn of the seeds from {READABLE:g} up.",
        drawings, columns=2,
    )  # fmt: skip


def _formats_over(own: pd.DataFrame, x: str, prefix: str, x_words: str, y_words: str, axes: Axes) -> None:
    for name in NAMES:
        by = own.groupby(["seed", x])[f"{prefix}_{name}"].mean().unstack()
        mean, _, low, high = intervals_of(by.to_numpy())
        low, high = (np.where(np.isnan(end), mean, end) for end in (low, high))
        band(axes, by.columns.to_numpy(), mean, low, high, COLOURS[name], label=name)
    axes.axhline(0, color=GREY, linewidth=0.8)
    if prefix == "share":
        _percent(axes)
    name_axes(axes, x_words, y_words)


def _scale(own: pd.DataFrame) -> Iterator[Figures]:
    drawings = [
        Drawing(f"Width {width}", "after the last rollout", f"shares by learning rate, width {width}",
                partial(_by, group, "rate", "learning rate"))
        for width, group in own.groupby("width") if group["rate"].nunique() > 1
    ]  # fmt: skip
    if drawings:
        yield Figures(
            "scale", "Scale and learning rate",
            "Shares on held-out chains after the last rollout, at each learning rate of the reinforcement. The paper "
            "compares scales at one learning rate each. Means and 95 % intervals over seeds.", drawings,
        )  # fmt: skip


def _by(own: pd.DataFrame, x: str, words: str, axes: Axes) -> None:
    for place, name in enumerate(NAMES):
        each = {at: by_seed(own[own[x] == at], f"share_{name}") for at in sorted(own[x].unique())}
        mean, low, high = (np.array([getattr(one, end) for one in each.values()]) for end in ("value", "low", "high"))
        moved = np.array(list(each)) * (1 + 0.03 * (place - 1))
        bars(axes, moved, mean, low, high, color=COLOURS[name], marker="o", label=name)
    log_axis(axes, "x", own[x].min() / 1.4, own[x].max() * 1.4)
    axes.set_xticks(sorted(own[x].unique()))
    _percent(axes)
    name_axes(axes, words, "share of the samples")


def _optimum(found: pd.DataFrame) -> Iterator[Figures]:
    if found.empty:
        return
    drawings = [
        Drawing(name, "a mark a setting", f"observed and predicted share of {name}", partial(_predicted, found, name))
        for name in NAMES
    ]
    yield Figures(
        "optimum", "The KL-regularised optimum, predicted and observed",
        "Across: each format's share under pi(y) exp(reward / beta), pi being the pretrained model (arXiv:2504.07912 "
        "§3.6). Up: what the reinforced models sample. On the line the optimum is reached.", drawings,
    )  # fmt: skip


def _predicted(found: pd.DataFrame, name: str, axes: Axes) -> None:
    kinds = list(dict.fromkeys((row["width"], row["algorithm"]) for row in found.to_dict("records")))
    for place, (width, algorithm) in enumerate(kinds):
        own = found[(found["width"] == width) & (found["algorithm"] == algorithm)]
        means = own.groupby("setting")[[f"predicted_{name}", f"share_{name}"]].mean()
        axes.plot(means.iloc[:, 0], means.iloc[:, 1], MARKERS[place % len(MARKERS)], color=COLOURS[name], alpha=0.75,
                  label=f"width {width}, {algorithm.upper()}")  # fmt: skip
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9)
    axes.set_xlim(-0.03, 1.03)
    axes.xaxis.set_major_formatter(lambda value, _: percent_label(value))
    _percent(axes)
    name_axes(axes, "predicted share", "observed share")


def _pruned(found: pd.DataFrame) -> Iterator[Figures]:
    if "keep" not in found or (found["keep"] == 1).all():
        return
    found = found.assign(kept=[kept_words(row) for row in found.to_dict("records")])
    order = list(dict.fromkeys(found["kept"]))
    drawings = [
        Drawing(f"{title} {name}", words, f"{title} {name} by what is kept",
                partial(_rows, found, order, f"{prefix}_{name}", by="kept", colour=COLOURS[name]),
                height=dots.height(len(order)))
        for name in NAMES
        for title, words, prefix in (("Kept of", "share of what is pretrained on", "kept"),
                                     ("Sampled of", "share after the last rollout", "share"))
    ]  # fmt: skip
    yield Figures(
        "pruned", "What pruning does to the formats, and to what reinforcement ends in",
        "Left: shares of the kept part of the corpus. Right: of the samples of the model that was pretrained on it and "
        "reinforced. Means and 95 % intervals over seeds.", drawings, columns=2,
    )  # fmt: skip


def _arms(found: pd.DataFrame) -> Iterator[Figures]:
    """Every arm of the width that has most of them, and every corpus under the most common arm."""
    own = of_corpus(found)
    own = own[own["width"] == own.groupby("width")["arm"].nunique().idxmax()]
    short = own["arm"].str.replace("expert iteration", "EI").str.replace(" solutions", "").str.replace(", KL nan", "")
    if short.nunique() > 1:
        yield from _compared("arms", "Every arm", own.assign(row=short), f"width {own['width'].iloc[0]}")
    plain = found[(found["algorithm"] == "grpo") & (found["keep"] == 1)] if "keep" in found else found
    plain = plain[plain["arm"] == plain["arm"].mode().iloc[0]]
    plain = plain.assign(row=[_model_and_corpus(row) for row in plain.to_dict("records")])
    if plain["row"].nunique() > 1:
        yield from _compared("corpora", "Every corpus", plain, str(plain["arm"].iloc[0]))


def _model_and_corpus(row: Mapping[Any, Any]) -> str:
    return fill(f"width {row['width']}" + (f", {words}" if (words := corpus_words(row)) else ""), 30)


def _compared(name: str, heading: str, own: pd.DataFrame, words: str) -> Iterator[Figures]:
    order = list(dict.fromkeys(own["row"]))
    lines = sum(0.6 + 0.4 * len(row.splitlines()) for row in order)
    drawings = [
        Drawing(title, words, f"{title}, {heading}", partial(_rows, own, order, column, by="row", colour=colour),
                height=dots.height(round(lines)))
        for title, column, colour in (
            *((f"Share of {one}", f"share_{one}", COLOURS[one]) for one in NAMES),
            ("Right answers, gained", "gained_accuracy", INK), ("Format entropy (nats)", "format_entropy", INK),
        )
    ]  # fmt: skip
    yield Figures(
        name, heading, "On held-out chains after the last rollout; means and 95 % intervals over seeds, a small dot a "
        "seed. Expert iteration takes as many steps whether equal solutions are kept once or each time.", drawings,
    )  # fmt: skip


def _rows(
    found: pd.DataFrame, order: list[str], name: str, axes: Axes, by: str = "setting", colour: str = BLUE
) -> None:  # fmt: skip
    rows = []
    for setting in order:
        own = found[found[by] == setting]
        over, seeds = by_seed(own, name), own.groupby("seed")[name].mean()
        words = f"{setting}: {worded(over.value, over.low, over.high, '.2f')}"
        each = {int(seed): float(value) for seed, value in seeds.items()}  # type: ignore[call-overload]
        rows.append(dots.Dot(setting, over.value, over.low, over.high, colour, words, seeds=each))
    ends = (0.0, 1.0) if name.startswith("share") else (0.0,)
    dots.draw(axes, rows, limits=dots.reach(rows, *ends), words=name.replace("_", " "))


def _samples(found: pd.DataFrame) -> Iterator[Figures]:
    names = [str(name) for name in found if str(name).startswith("pass_")]
    drawings = []
    for most, own in found[found["algorithm"] == "grpo"].groupby("most"):
        for setting, group in own.groupby("setting", sort=False):
            there = [name for name in names if group[name].notna().all()]
            if max(int(name.removeprefix("pass_")) for name in there) >= 32:
                drawings.append(
                    Drawing(f"Up to {most} operands", str(setting), f"pass@k before and after, {setting}",
                            partial(_passes, group, there))
                )  # fmt: skip
    if drawings:
        yield Figures(
            "passes", "What can be solved in k tries",
            "pass@k by the unbiased estimator on held-out chains, before the reinforcement and after it.", drawings,
        )  # fmt: skip


def _passes(own: pd.DataFrame, names: list[str], axes: Axes) -> None:
    k = np.array([int(name.removeprefix("pass_")) for name in names])
    for prefix, colour, label in (("base_", GREY, "pretrained"), ("", BLUE, "reinforced")):
        each = [by_seed(own.rename(columns={f"{prefix}{name}": "accuracy_"}), "accuracy_") for name in names]
        mean, low, high = (np.array([getattr(one, end) for one in each]) for end in ("value", "low", "high"))
        bars(axes, k, mean, low, high, color=colour, marker="o", label=label)
    log_axis(axes, "x", 0.9, k.max() * 1.2)
    axes.yaxis.set_major_formatter(lambda value, _: percent_label(value))
    name_axes(axes, "tries (k)", "solved chains")


def _percent(axes: Axes) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.yaxis.set_major_formatter(lambda value, _: percent_label(value))
