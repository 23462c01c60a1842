"""What the pruned perceptron shows: theory lines over simulated points, crossovers, envelope, imperfect probes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contracts import Floats
from ...errors import ConfigError
from ...figures.axes import legend_below, limits, log_axis, name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREY, INK, ORANGE, name_of, percent_label, shade
from ...laws.intervals import LEVEL, interval_of, worded
from .theory import KEEPS, Rule, crossover, generalization_error, information_gain

POINT = ("keep", "rule", "theta", "margin", "dimension", "alpha")
SHOWN = 4.0  # alpha at which the effect of the fraction kept is drawn
Tables = Mapping[str, pd.DataFrame]  # theory: alpha, error; simulated: alpha, draw, error; and the settings of both


def runs(tables: Tables) -> pd.DataFrame:
    """A row for each simulated student, with the theory's error, and `seed` for its draw."""
    theory, simulated = tables["theory"], tables["simulated"]
    same = [name for name in simulated if name in theory and name != "error"]
    found = simulated.merge(theory.rename(columns={"error": "theory"}), on=same, how="left")
    return judged(found.assign(seed=found["draw"])[["alpha", "draw", "error", "theory", "seed", *POINT[:-1]]])


def judged(found: pd.DataFrame) -> pd.DataFrame:
    """With each student's `deviation` from the theory, as a share of its error, and whether its point `agrees`.

    A point agrees where the t interval of its mean holds the theory's error. The intervals of all points have 95 %
    together (Bonferroni): of simulations that do agree, one in twenty has a point that seems not to.
    """
    points = found.groupby(list(POINT))
    level = 1 - (1 - LEVEL) / points.ngroups
    agrees = pd.Series(1.0, index=found.index)
    for _, group in points:
        one = interval_of(group["error"], level=level)
        agrees[group.index] = float(one.low <= group["theory"].iloc[0] <= one.high)
    return found.assign(deviation=found["error"] / found["theory"] - 1, agrees=agrees)


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and intervals over draws, beside the theory."""
    rows = []
    for key, group in runs.groupby(list(POINT), sort=True):
        one = interval_of(group["error"], "error")
        setting = dict(zip(POINT, key, strict=True)) | {"theory": group["theory"].iloc[0], "simulated": one.value}
        flags = {"draws": len(group), "agrees": bool(group["agrees"].all())}
        rows.append(setting | {"error": one.error, "low": one.low, "high": one.high} | flags)
    return pd.DataFrame(rows)


def verdict(runs: pd.DataFrame) -> str:
    """At how many points the simulation agrees with the theory, and by how much it deviates on average."""
    found, mean = points(runs), interval_of(runs.groupby("draw")["deviation"].mean())
    percent = worded(100 * mean.value, 100 * mean.low, 100 * mean.high, "+.1f", " %")
    return (
        f"Simulated students agree with the theory at {int(found['agrees'].sum())} of {len(found)} points (95 % "
        f"intervals of all points together); over the points their error deviates from it by {percent}."
    )


def caveat(tables: Tables) -> str:
    simulated = tables["simulated"]
    dimensions = ", ".join(sorted({str(one) for one in simulated["dimension"]}))
    return (
        "Theory: the max-margin student at infinite dimension. Points: means of "
        f"{simulated['draw'].nunique()} draws at {dimensions} dimensions, with 95 % t intervals."
    )


# ---- figures ---------------------------------------------------------------------------------------------------------


def figures(tables: Tables) -> Iterator[Figures]:
    marks, curves = points(runs(tables)), tables["theory"]
    perfect = curves[(curves["theta"] == 0)]
    rules = [rule for rule in ("hard", "easy") if (perfect["rule"] == rule).any()]
    yield Figures(
        "error", "Error against examples kept",
        "Lines: theory. Points: simulated. Dark: a random subset, which is like an unpruned set of its size. With few "
        "examples the easiest serve best, with many the hardest; at small keep the change at two examples a dimension "
        "is a jump in the theory and rounded off at finite dimension.",
        [
            Drawing(f"Keep the {name_of(rule)}", "perfect probe", f"error against alpha for rule {rule}",
                    lambda axes, rule=rule: _by_keep(axes, marks, perfect, rule))  # type: ignore[misc]
            for rule in rules
        ],
    )  # fmt: skip
    keeps = sorted(keep for keep in perfect["keep"].unique() if keep < 1)
    smallest = f"{keeps[0]:g}" if keeps else "1"
    yield Figures(
        "envelope", "Where the rules cross, and the envelope",
        f"The envelope is the least error over the fractions kept from {smallest} to 1, of those run: it has no other "
        "meaning than that range. What one more example tells a typical student falls as a power without pruning, and "
        "stays up to one nat with it: that is the argument for an exponential law.",
        [
            Drawing("Crossovers", "equal error of two rules, perfect probe", "alpha of equal error against keep",
                    _crossovers),
            Drawing("Envelope", f"hardest, keep from {smallest} to 1", "least error over fractions kept against alpha",
                    lambda axes: _envelope(axes, perfect)),
            Drawing("Information per example", "hardest, typical student", "nats per example against error", _gains),
        ],
    )  # fmt: skip
    thetas = sorted(curves["theta"].unique())
    if len(thetas) > 1:
        common = curves[(curves["rule"] == "hard") & (curves["margin"] == "abs")]
        keep = min(common[common["theta"] == thetas[-1]]["keep"], default=1.0)
        yield Figures(
            "probe", "An imperfect probe",
            "With the probe at an angle to the teacher, examples near its boundary are no longer near the teacher's: "
            "there is a smallest useful fraction, and below it pruning hurts.",
            [
                Drawing(f"Keep {keep:g} of the hardest", "by the probe's angle in degrees", "error by angle",
                        lambda axes: _by_angle(axes, marks, curves, keep, thetas)),
                Drawing("How much to keep", f"hardest, {SHOWN:g} examples kept a dimension", "error by keep",
                        lambda axes: _against_keep(axes, thetas)),
            ],
        )  # fmt: skip


def _by_keep(axes: Axes, points: pd.DataFrame, perfect: pd.DataFrame, rule: str) -> None:
    _line(axes, perfect[perfect["rule"] == "random"], INK, "random")
    _marks(axes, points[points["rule"] == "random"], INK)
    keeps = sorted(perfect[perfect["rule"] == rule]["keep"].unique(), reverse=True)
    for place, keep in enumerate(keeps):
        colour = shade(rule, len(keeps) - 1 - place, len(keeps))
        _line(axes, perfect[(perfect["rule"] == rule) & (perfect["keep"] == keep)], colour, f"keep {keep:g}")
        _marks(axes, points[(points["rule"] == rule) & (points["keep"] == keep) & (points["theta"] == 0)], colour)
    _frame(axes)


def _by_angle(axes: Axes, points: pd.DataFrame, curves: pd.DataFrame, keep: float, thetas: Sequence[float]) -> None:
    _line(axes, curves[curves["rule"] == "random"], INK, "random")
    for place, theta in enumerate(thetas):
        colour = shade("hard", place, len(thetas))
        for found, draw in ((curves, _line), (points, _marks)):
            chosen = (found["rule"] == "hard") & (found["keep"] == keep) & (found["theta"] == theta)
            draw(axes, found[chosen & (found["margin"] == "abs")], colour, f"{theta:g}°")
    _frame(axes)


def _against_keep(axes: Axes, thetas: Sequence[float]) -> None:
    for place, theta in enumerate(thetas):
        errors = [generalization_error(SHOWN, keep, theta=theta) for keep in KEEPS]
        axes.plot(KEEPS, errors, color=shade("hard", place, len(thetas)), linewidth=1.7, label=f"{theta:g}°")
    _frame(axes, "fraction kept")


def _crossovers(axes: Axes) -> None:
    pairs: tuple[tuple[Rule, Rule], ...] = (("hard", "random"), ("hard", "easy"))
    for (first, second), colour in zip(pairs, (ORANGE, BLUE), strict=True):
        found = [(keep, alpha) for keep in KEEPS if (alpha := _crossing(keep, first, second)) is not None]
        label = f"{name_of(first)} beat {name_of(second)} above"
        axes.plot(*zip(*found, strict=True), "o-", color=colour, linewidth=1.6, label=label)
    axes.set_xlabel("fraction kept")
    axes.set_ylabel("examples kept per dimension")
    axes.set_ylim(0, None)
    legend_below(axes)


def _crossing(keep: float, first: Rule, second: Rule) -> float | None:
    try:
        return crossover(keep, first, second)
    except ConfigError:
        return None


def _envelope(axes: Axes, perfect: pd.DataFrame) -> None:
    hard = perfect[perfect["rule"].isin(["hard", "random"])]
    _line(axes, hard[hard["rule"] == "random"], INK, "random")
    lowest = sorted(hard["keep"].unique())
    for place, least in enumerate(lowest[:-1]):
        best = hard[hard["keep"] >= least].groupby("alpha", as_index=False)["error"].min()
        _line(axes, best, shade("hard", place, len(lowest)), f"keep from {least:g}")
    _frame(axes)


def _gains(axes: Axes) -> None:
    errors = np.geomspace(0.005, 0.45, 60)
    overlaps = np.cos(np.pi * errors)
    keeps = (0.02, 0.1, 0.5, 1.0)
    for place, keep in enumerate(keeps):
        colour = INK if keep == 1 else shade("hard", place, len(keeps) - 1)
        gains = [information_gain(float(overlap), keep) for overlap in overlaps]
        axes.plot(errors, gains, color=colour, linewidth=1.7, label="unpruned" if keep == 1 else f"keep {keep:g}")
    axes.axhline(1, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
    log_axis(axes, "x", 0.0045, 0.5, percent_label)
    axes.invert_xaxis()
    axes.set_ylim(0, 1.08)
    name_axes(axes, "error so far", "nats per further example")


def _line(axes: Axes, curve: pd.DataFrame, colour: str, label: str) -> None:
    curve = curve.sort_values("alpha")
    axes.plot(curve["alpha"], curve["error"], color=colour, linewidth=1.7, label=label)


def _marks(axes: Axes, marks: pd.DataFrame, colour: str, _: str = "") -> None:
    mean: Floats = marks["simulated"].to_numpy(dtype=float)
    ends = [mean - marks["low"].to_numpy(dtype=float), marks["high"].to_numpy(dtype=float) - mean]
    axes.errorbar(marks["alpha"], mean, yerr=ends, color=colour, marker="o", markersize=4, linestyle="none")


def _frame(axes: Axes, words: str = "examples kept per dimension") -> None:
    """Logarithmic axes that hold every line and point."""
    x, y = (np.concatenate(parts) for parts in zip(*(line.get_data() for line in axes.get_lines()), strict=True))
    log_axis(axes, "x", *limits(x, 1.12), lambda value: f"{value:g}")
    log_axis(axes, "y", *limits(y, 1.12), percent_label)
    name_axes(axes, words, "error")
