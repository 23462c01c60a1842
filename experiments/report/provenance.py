"""Where the numbers come from: command, settings, code, machine, time, seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from ..store.folders import Store
from .parts import Section, code, definitions, details

BUDGET = {
    "epochs": "Equal epochs: a pruned set is passed over as often as the whole pool, so it trains for fewer steps.",
    "steps": "Equal steps: a pruned set trains for as many steps as the whole pool, so it is passed over more often.",
    "both": "Unpruned runs are the same run under either budget.",
}
ACCURACY = (
    "Last epoch's model everywhere, except where a column says best dev epoch: the model of the epoch that was best on "
    "the dev split. Both are measured on the test split. Intervals of an accuracy or another share are t intervals of "
    "its logit, turned back, and so within 0 and 1; those of differences are plain t intervals."
)
SAME_DATA = (
    "The data (splits, training pool and wrong labels) are the same for all seeds, and intervals are conditional on "
    "them."
)
SAME = 1.01  # examples a step that differ by less are called equal
DECISIONS = 12  # derived settings shown at most


def of_runs(store: Store, runs: pd.DataFrame, command: str) -> dict[str, Any]:
    """The origin of evaluated runs, with their budgets, seeds and settings."""
    phases = ("train", "evaluate", "prune", "score")
    records = [store.get(phase, str(key)).record for phase in phases for key in runs[phase].unique() if key]
    proxies = {key for record in records if record["phase"] == "score" for key in record["inputs"].values()}
    others = proxies - set(runs["train"])
    records += [folder.record for folder in store.folders("train") if folder.key in others]
    return origin(records, command) | {
        "budgets": budgets(runs),
        "seeds": ", ".join(str(seed) for seed in sorted(runs["seed"].unique())),
        "intervals": randomness(runs),
        "settings": _settings(runs),
    }


def budgets(runs: pd.DataFrame) -> list[str]:
    """What was held equal; under equal steps also how many examples a step saw, where batches are rounded."""
    said = [BUDGET[name] for name in BUDGET if (runs["budget"] == name).any()]
    equal = runs[runs["budget"] == "steps"]
    seen = (equal["examples_seen"].astype(float) / equal["steps"].astype(float)).dropna()
    ends = [(one.min(), one.max()) for _, one in seen.groupby(equal["setup"])]  # another setup: another batch size
    least, most = max(ends, key=lambda one: one[1] / one[0], default=(1, 1))
    if most > SAME * least:
        said.append(
            f"Equal steps are not equal examples: a set is split into batches of near-equal size, and a step saw "
            f"{least:.0f} to {most:.0f} examples on average over a run. The tables say the examples seen."
        )
    return said


def randomness(runs: pd.DataFrame) -> str:
    """Which randomness the intervals over seeds hold, and on what they are conditional."""
    scored = runs[runs["score"] != ""]
    drawn, shared, proxies = scored["score_seed"].notna(), scored["score_shared"], scored["score_proxies"] > 0
    own = {"proxies for its score": proxies, "draw of its score": ~proxies}
    each = [what for what, rows in own.items() if (rows & drawn & ~shared).any()]
    words = [f"Over seeds: each has its own {', and '.join(['initialisation and order of batches', *each])}."]
    same = {
        "One set of proxies scored the examples for all seeds": shared & proxies,
        "All seeds share one draw of the score": shared & drawn & ~proxies,
        "Scores that draw nothing are the same for all seeds": ~drawn,
    }
    for why, rows in same.items():
        if rows.any():
            names = ", ".join(sorted(scored.loc[rows, "scorer"].unique()))
            words.append(f"{why} ({names}): these intervals are conditional on it.")
    return " ".join([*words, SAME_DATA])


def origin(records: Sequence[Mapping[str, Any]], command: str) -> dict[str, Any]:
    """Command, code, machine, time and decisions of any records."""
    decisions = _unique(str(one) for record in records for one in record.get("derived") or [])
    seconds = sum(float(record.get("seconds") or 0) for record in records)
    return {
        "command": command,
        "seconds": f"{seconds:,.0f}",
        "folders": len(records),
        "code": _unique(_code(record.get("code") or {}) for record in records),
        "machines": _unique(_machine(record.get("machine") or {}) for record in records),
        "decisions": decisions[:DECISIONS],
        "more_decisions": max(0, len(decisions) - DECISIONS),
        "created": max((str(record.get("created") or "") for record in records), default=""),
    }


def section(origin: Mapping[str, Any], tables: Sequence[str], figures: Sequence[str]) -> Section:
    """The foot of a page: the command, where everything was made, and links to the files."""
    about = []
    if "budgets" in origin:
        about += [
            ("budget", " ".join(origin["budgets"])),
            ("accuracy", ACCURACY),
            ("seeds", origin["seeds"]),
            ("intervals", origin["intervals"]),
        ]
    made = f"{origin['seconds']} s in {origin['folders']} folders, the last of {origin['created']}"
    about += [("code", "; ".join(origin["code"])), ("machine", "; ".join(origin["machines"])), ("time", made)]
    if origin["decisions"]:
        more = [f"and {origin['more_decisions']} more in the records"] if origin["more_decisions"] else []
        about.append(("decided", "; ".join([*origin["decisions"], *more])))
    parts = [code(origin["command"]), definitions([*about, ("files", _links(tables, figures))])]
    if "settings" in origin:
        parts.append(details("Settings", definitions(origin["settings"])))
    return Section("Where this comes from", parts)


def _links(tables: Sequence[str], figures: Sequence[str]) -> Markup:
    link = '<a href="{}">{}</a>'
    shown = [Markup(", ").join(Markup(link).format(name, name) for name in tables)]
    for name in figures:
        files = (Markup(link).format(f"figures/{name}.{end}", end.upper()) for end in ("svg", "pdf", "png"))
        shown.append(Markup("{}: {}").format(name, Markup(" ").join(files)))
    return Markup("; ").join(shown)


def _settings(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Every setting with the values it took."""
    found = []
    for name in sorted(str(name) for name in runs.columns if "." in str(name)):
        values = _unique(_value(value) for value in runs[name] if not (isinstance(value, float) and pd.isna(value)))
        if values and values != ["null"]:
            found.append((name, ", ".join(values)))
    return found


def _value(value: object) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _code(code: Mapping[str, Any]) -> str:
    commit = str(code.get("commit") or "unknown commit")[:12]
    return f"prune-lab {code.get('version', '?')}, {commit}{', with uncommitted changes' if code.get('dirty') else ''}"


def _machine(machine: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items() if value not in (None, ""))


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, values)))
