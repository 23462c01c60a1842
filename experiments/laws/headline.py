"""A page's first sentence: what each rule gains over random selection. Torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .claims import SEEDS, counts, describe

if TYPE_CHECKING:
    import pandas as pd

FEW = 3  # comparisons of a rule that are given one by one
CALLED = {"hard": "the hardest", "easy": "the easiest", "middle": "the middle"}


def headline(found: pd.DataFrame) -> str:
    """The effect of each rule: every one of few comparisons, else the best and the worst, and how many are decided.

    `found` is of `claims.advantage`; `place`, where it is a column, names a comparison's setup.
    """
    compared = found[found["verdict"] != "no random"]
    if compared.empty:
        return "No rule was compared with random selection: no runs of both under one budget (rule=hard,random)."
    if len(compared) == 1:
        return _only(compared.iloc[0])
    several = any(compared[name].nunique(dropna=False) > 1 for name in ("setup", "label_noise"))
    places = list(dict.fromkeys(compared["place"])) if several and "place" in compared else []
    by = "" if compared["scorer"].nunique() > 1 else f", scored by {compared['scorer'].iloc[0]}"
    lines = [f"Against as many random examples under the same budget{by}:"]
    groups = [(f"{place}: ", compared[compared["place"] == place]) for place in places]
    if not 1 < len(groups) <= FEW:
        groups = [("", compared)]
    for name, own in groups:
        varied = [one for one in ("scorer", "pool", "budget", "policy") if own[one].nunique() > 1]
        varied += ["place"] if several and not name else []
        rules = [rule for rule in (*CALLED, *sorted(set(own["rule"]) - set(CALLED))) if (own["rule"] == rule).any()]
        lines += [name + _rule(rule, own[own["rule"] == rule], varied) for rule in rules]
    return "\n".join(lines)


def _rule(rule: str, own: pd.DataFrame, varied: list[str]) -> str:
    called = f"keeping {CALLED.get(rule, f'by rule {rule}')}:"
    if len(own) <= FEW:
        each = (f"{describe(row)} ({_where(row, varied)}: {row['verdict']})" for _, row in own.iterrows())
        return f"{called} {', '.join(each)}."
    ends = []
    for metric, rows in own.groupby("metric"):
        order = rows.sort_values("effect", kind="stable")
        worst, best = (f"{describe(row)} ({_where(row, varied)})" for row in (order.iloc[0], order.iloc[-1]))
        of = "in accuracy " if metric == "accuracy" and own["metric"].nunique() > 1 else ""
        ends.append(f"{of}from {worst} to {best}")
    tally = ", ".join(f"{verdict} in {number}" for verdict, number in counts(own).items())
    return f"{called} {' and '.join(ends)}; {tally} of {len(own)}."


def _where(row: pd.Series[Any], varied: list[str]) -> str:
    """What tells a comparison from the others."""
    words = [f"{row.get('place', row['task'] + ', ' + row['model'])}" if "place" in varied else ""]
    words.append(f"{row['scorer']}" if "scorer" in varied and row["scorer"] != "none" else "")
    words.append(f"keep {row['keep']:g}" + (f" of {row['pool']:,.0f}" if "pool" in varied else ""))
    words.append(f"equal {row['budget']}" if "budget" in varied else "")
    words.append(_under(row).strip() if "policy" in varied else "")
    return ", ".join(filter(None, words))


def _only(row: pd.Series[Any]) -> str:
    few = f" (fewer than {SEEDS} seeds)" if row["n"] < SEEDS else ""
    seeds, called = f"{row['n']} seed{'' if row['n'] == 1 else 's'}", CALLED.get(row["rule"], f"a {row['rule']}")
    return (
        f"Keeping {called} {row['keep']:g} by {row['scorer']}{_under(row)} against random: {describe(row)}, {seeds}, "
        f"equal {row['budget']}: {row['verdict']}{few}."
    )


def _under(row: pd.Series[Any]) -> str:
    return "" if row["policy"] == "uniform" else f" under {row['policy']}"
