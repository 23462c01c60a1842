"""What came out of each arm: the rows that claims are judged on, the page's points and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...contracts import Floats
from ...contribution.settings import readable
from ...laws.intervals import Interval, interval_of, worded

NAMES = ("prog", "expr", "words")
CORPUS = [
    "least",
    "most",
    "examples",
    "shares",
    "repeats",
    "errors",
    "gaps",
    "keep",
    "rule",
    "scorer.name",
    "balance",
    "policy.name",
]  # settings that make the corpus, and the weights of its examples
MODEL = ["width", "depth", "heads", "steps", "learning_rate", "clip", "meter"]
ARM = ["algorithm", "rate", "kl", "online", "distinct_only", "loss", "arm"]
LAST = 0.75  # share of a pretraining after which its contributions are noise
EARLY = 5  # the rollout at which a winner is foretold
DOMINANT = 0.8  # the share from which one format is said to dominate
Tables = Mapping[str, pd.DataFrame]


def runs(tables: Tables) -> pd.DataFrame:
    """A row for each arm and each of its streams of randomness: what the held-out chains give after its last rollout.

    share_*, accuracy_*, accuracy, pass_*, majority, format_entropy, distinct, kl_divergence, greedy_*: as in the table
    `looks`. base_*: the same of the pretrained model; gained_*: the difference. largest: the share of the most common
    format; won_*: 1 where it is this one and has at least half, else 0. dominant_after: the first rollout whose samples
    are to 80 % of one format (NaN: none). predicted_*: shares of the KL-regularised optimum; apart: the largest
    difference of a share from it. kept_*, kept_over_*, kept_right_*: as `kept_of` says; kept_apart: the largest
    difference of a format's share of what is kept from that before pruning. lead: how many rollouts earlier the
    sums of contributions name the last winner for good than the shares do; wrong_by_*: 1 where at the fifth rollout
    they name another. Of a pretraining that was measured also the columns of `with_pretraining`.
    """
    looks = settled(tables["looks"])
    shown = [*_there(looks, CORPUS), *_there(looks, MODEL), *ARM, "seed", "repeat"]
    same = [name for name in shown if name != "repeat"]
    optimum, kept = optima(settled(tables["base"])), kept_of(tables["corpus"])
    rows = []
    for key, group in looks.groupby([*same, "repeat"], dropna=False, sort=False):
        row: dict[str, Any] = dict(zip([*same, "repeat"], key, strict=True))
        ordered = group.sort_values("rollout")
        before, after = ordered.iloc[0], ordered.iloc[-1]
        measured = [str(name) for name in group if _is_measure(str(name))]
        row |= {"rollouts": int(after["rollout"])} | {name: after[name] for name in measured}
        row |= {f"base_{name}": before[name] for name in measured if not name.startswith("greedy_share")}
        gains = [name for name in measured if name.startswith(("accuracy", "pass_", "greedy_accuracy"))]
        row |= {f"gained_{name}": after[name] - before[name] for name in [*gains, "majority"]}
        row |= winner(row) | against_base(row)
        predicted = optimum(row)
        row |= {f"predicted_{name}": share for name, share in predicted.items()}
        row["apart"] = max(abs(row[f"share_{name}"] - predicted[name]) for name in NAMES)
        rows.append(row | kept(row))
    found = with_settings(pd.DataFrame(rows))
    if "pretraining" in tables:
        found = with_pretraining(found, tables["pretraining"])
    return found.merge(_foretold(settled(tables["rollouts"]), [*same, "repeat"]), on=[*same, "repeat"], how="left")


def winner(row: Mapping[str, Any]) -> dict[str, float]:
    """Which format has the largest share and at least half of the samples."""
    shares = {name: row[f"share_{name}"] for name in NAMES}
    largest = max(shares, key=lambda name: shares[name])
    won = {f"won_{name}": float(name == largest and shares[name] >= 0.5) for name in NAMES}
    return {"largest": shares[largest]} | won


def against_base(row: Mapping[str, Any]) -> dict[str, float]:
    """Whether the most common format was so in the pretrained model, and whether it was the most accurate there."""
    largest = max(NAMES, key=lambda name: row[f"share_{name}"])
    best = {by: max(NAMES, key=lambda name: np.nan_to_num(row[f"base_{by}_{name}"])) for by in ("share", "accuracy")}
    return {"was_largest": float(largest == best["share"]), "was_best": float(largest == best["accuracy"])}


def optima(base: pd.DataFrame) -> Any:
    """The shares of the KL-regularised optimum by the settings of a row: pi(y) exp(reward / beta), chain by chain.

    arXiv:2504.07912 §3.6, with the samples of the pretrained model on the held-out chains for pi. It is exact for a
    reward that is not normalised and a divergence that is summed over a trace, as in PPO.
    """
    same = [*_there(base, CORPUS), *_there(base, MODEL), "seed"]
    counts = dict(iter(base.groupby(same, dropna=False, sort=False)))

    def of(row: Mapping[str, Any]) -> dict[str, float]:
        group = counts[tuple(row[name] for name in same)]
        sampled, right = (group.pivot_table(index="chain", columns="format", values=name).reindex(
            columns=[*NAMES, "none"]) for name in ("sampled", "right_ones"))  # fmt: skip
        shares = optimum(sampled.to_numpy(float), right.to_numpy(float), float(row["kl"] or 0.0))
        return dict(zip([*NAMES, "none"], shares.tolist(), strict=True))

    return of


def kept_of(corpus: pd.DataFrame) -> Any:
    """What is kept of the corpus, by format.

    kept_*: its share of what is pretrained on; kept_over_*: over its share before pruning; kept_right_*: the share of
    its kept solutions that are right.
    """
    same = [*_there(corpus, CORPUS), *_there(corpus, MODEL), "seed"]
    groups = dict(iter(corpus.groupby(same, dropna=False, sort=False)))

    def of(row: Mapping[str, Any]) -> dict[str, float]:
        group = groups[tuple(row[name] for name in same)].set_index("format")
        over = group["kept_share"] / group["share"]
        shares = {f"kept_{name}": float(group["kept_share"][name]) for name in NAMES}
        shares |= {f"kept_right_{name}": float(group["kept_right"][name]) for name in NAMES}
        apart = float((group["kept_share"] - group["share"]).abs().max())
        return shares | {f"kept_over_{name}": float(over[name]) for name in NAMES} | {"kept_apart": apart}

    return of


def with_pretraining(found: pd.DataFrame, pretraining: pd.DataFrame) -> pd.DataFrame:
    """The rows of `runs` with what their pretraining gave.

    between_ct, between_phi: the share of the contributions' variance that is between the formats, medians over the
    first three quarters of the run. ct_*, phi_*: each format's means over them. weight_*: its share of all the weight.
    wrong_by_ct, wrong_by_phi: 1 where the largest mean is of another format than the last winner. NaN where
    metasmoothness is too low to read phi.
    """
    same, rows = [*_there(pretraining, CORPUS), *_there(pretraining, MODEL), "seed"], []
    for key, group in pretraining.groupby(same, dropna=False, sort=False):
        early = group[group["step"] <= LAST * group["step"].max()]
        smooth = float(group["metasmoothness"].iloc[0])
        row: dict[str, Any] = dict(zip(same, key, strict=True)) | {"metasmoothness": smooth}
        for measure in ("ct", "phi"):
            seen = measure == "ct" or readable(smooth)
            means = early.groupby("format")[measure].mean().reindex(list(NAMES))
            row[f"between_{measure}"] = float(early[f"between_{measure}"].median()) if seen else math.nan
            row |= {f"{measure}_{name}": float(means[name]) if seen else math.nan for name in NAMES}
        weights = group.groupby("format")["weight"].mean()
        rows.append(row | {f"weight_{name}": float(weights[name]) for name in NAMES})
    merged = found.merge(pd.DataFrame(rows), on=same, how="left")
    shares = merged[[f"share_{name}" for name in NAMES]].to_numpy()
    for measure in ("ct", "phi"):
        means = merged[[f"{measure}_{name}" for name in NAMES]].to_numpy()
        other = (means.argmax(1) != shares.argmax(1)).astype(float)
        merged[f"wrong_by_{measure}"] = np.where(np.isnan(means).any(1), np.nan, other)
    return merged


def optimum(sampled: Floats, right: Floats, beta: float) -> Floats:
    """(F,) mean over chains of each format's share under pi(y) exp(r / beta); (chains, F) samples, and right ones."""
    lost = math.exp(-1 / beta) if beta > 0 else 0.0
    weights = right + (sampled - right) * lost
    none = ~(right > 0).any(1, keepdims=True)  # nothing to prefer: the chain keeps its shares
    weights = np.where(none, sampled, weights)
    shares: Floats = (weights / weights.sum(1, keepdims=True)).mean(0)
    return shares


def settled(table: pd.DataFrame) -> pd.DataFrame:
    """With no value where an arm has none: the divergence of expert iteration, its two settings for the others."""
    if "algorithm" in table:
        iteration = table["algorithm"] == "ei"
        table = table.assign(kl=table["kl"].where(~iteration), online=table["online"].where(iteration).astype(object),
                             distinct_only=table["distinct_only"].where(iteration).astype(object))  # fmt: skip
    return table


def with_settings(table: pd.DataFrame) -> pd.DataFrame:
    """With a column `setting`, what a person calls it: the width, what its corpus has unlike the defaults, the arm.

    Any other setting of corpus, model or loss is named where it is all that tells two apart.
    """
    words = pd.Series([_setting(row) for row in table.to_dict("records")], index=table.index, dtype=object)
    for name in _there(table, [*CORPUS, *MODEL, "loss"]):
        several = table[name].groupby(words).transform("nunique") > 1
        words = words.where(~several, words + f", {name} " + table[name].astype(str))
    return table.assign(setting=words)


def _setting(row: Mapping[Any, Any]) -> str:
    corpus = corpus_words(row)
    return f"width {row['width']}" + (f", {corpus}" if corpus else "") + f"; {row['arm']}"


def _is_measure(name: str) -> bool:
    starts = ("share_", "accuracy", "greedy_", "pass_")
    return name.startswith(starts) or name in (
        "majority", "format_entropy", "distinct", "kl_divergence", "length", "unvaried", "unended",
    )  # fmt: skip


def _there(table: pd.DataFrame, names: list[str]) -> list[str]:
    return [name for name in names if name in table]


def _foretold(rollouts: pd.DataFrame, same: list[str]) -> pd.DataFrame:
    """When one format dominates, and from when on shares and contributions name the last rollout's winner."""
    rows = []
    for key, group in rollouts.groupby(same, dropna=False, sort=False):
        own = group.sort_values("rollout")
        shares = own[[f"share_{name}" for name in NAMES]].to_numpy()
        dominant = own["rollout"].to_numpy()[shares.max(1) >= DOMINANT]
        row: dict[str, Any] = dict(zip(same, key, strict=True))
        row["dominant_after"] = float(dominant[0]) if len(dominant) else math.nan
        if "contribution_prog" in own and own["contribution_prog"].notna().all():
            sums = own[[f"contribution_{name}" for name in NAMES]].to_numpy().cumsum(0)
            last = int(shares[-1].argmax())
            row["lead"] = named_from(shares, last) - named_from(sums, last)
            row |= {f"wrong_by_{by}": wrong(values, shares) for by, values in (("meter", sums), ("shares", shares))}
        rows.append(row)
    return pd.DataFrame(rows)


def named_from(values: Floats, winner: int) -> float:
    """The first rollout from which on this column of (R, F) is the largest; R + 1 where it is not so at the end."""
    other = np.flatnonzero(values.argmax(1) != winner)
    return float(other[-1] + 2 if len(other) else 1)


def wrong(values: Floats, shares: Floats, rollout: int = EARLY) -> float:
    """1 where the largest of the columns (R, F) at an early rollout is not the format with the last, largest share."""
    return float(values[min(rollout, len(values)) - 1].argmax() != shares[-1].argmax())


# ---- words -----------------------------------------------------------------------------------------------------------

SHOWN = ["share_prog", "share_expr", "share_words", "largest", "base_accuracy", "accuracy", "gained_pass_16",
         "majority", "format_entropy", "kl_divergence", "apart"]  # fmt: skip


def by_seed(own: pd.DataFrame, name: str) -> Interval:
    """The mean over streams of each seed, and its interval over seeds."""
    share = "accuracy" if name.startswith(("accuracy", "base", "majority", "kept")) else name
    return interval_of(own.groupby("seed")[name].mean(), share)


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and intervals over seeds, a row for each setting and measure."""
    rows = []
    most = [name for name in runs if str(name).startswith("pass_") and runs[name].notna().any()]
    for setting, own in runs.groupby("setting", sort=False):
        shown = [name for name in SHOWN if name in own] + ([most[-1], f"base_{most[-1]}"] if most else [])
        shown += [f"kept_right_{name}" for name in NAMES] if "keep" in own and (own["keep"] < 1).all() else []
        for name in shown:
            over = by_seed(own, str(name))
            rows.append({"setting": setting, "measure": name, "seeds": own["seed"].nunique(), "mean": over.value,
                         "low": over.low, "high": over.high})  # fmt: skip
    return pd.DataFrame(rows)


def verdict(runs: pd.DataFrame) -> str:
    """Which format has most of the samples after the last rollout of GRPO, by width and learning rate."""
    own = usual(runs[runs["algorithm"] == "grpo"])
    parts = []
    for (width, rate), group in own.groupby(["width", "rate"], sort=True):
        means = {name: by_seed(group, f"share_{name}") for name in NAMES}
        best = max(means, key=lambda name: means[name].value)
        value, low, high = (100 * getattr(means[best], end) for end in ("value", "low", "high"))
        parts.append(f"width {width}, rate {rate:g}: {best} {worded(value, low, high, '.0f')} %")
    if not parts:
        return "No arm of these runs is GRPO on the usual corpus."
    winners = "; ".join(parts)
    return (
        f"The most common format after the last rollout of GRPO, and its share of the sampled solutions: {winners}."
        + _pruned_verdict(runs) + _policy_verdict(runs)
    )  # fmt: skip


def _pruned_verdict(runs: pd.DataFrame) -> str:
    """Of the format whose share pruning changes most: its share of what is kept, and of the samples after RL."""
    pruned = runs[runs["keep"] < 1] if "keep" in runs else runs[:0]
    if pruned.empty:
        return ""
    pruned = pruned[(pruned["keep"] == pruned["keep"].max()) & (pruned["balance"] == 0)]
    scored = pruned.loc[pruned["rule"] != "random", "scorer.name"]
    pruned = pruned[(pruned["rule"] == "random") | (pruned["scorer.name"] == scored.iloc[0])] if len(scored) else pruned
    name = max(NAMES, key=lambda name: float(np.ptp(pruned.groupby("rule")[f"kept_{name}"].mean())))
    parts = []
    for _, group in pruned.groupby("rule", sort=False):
        after, kept = by_seed(group, f"share_{name}"), 100 * group[f"kept_{name}"].mean()
        sampled = worded(100 * after.value, 100 * after.low, 100 * after.high, ".0f")
        parts.append(f"{kept_words(group.iloc[0].to_dict())} {kept:.0f} %, then {sampled} %")
    corpus = 100 * (pruned[f"kept_{name}"] / pruned[f"kept_over_{name}"]).mean()
    return f" Share of {name}, {corpus:.0f} % of the corpus, in what is kept, then after GRPO: {'; '.join(parts)}."


def _policy_verdict(runs: pd.DataFrame) -> str:
    """The largest share after RL under each way in which examples weighed in pretraining."""
    if "policy.name" not in runs or runs["policy.name"].nunique() < 2:
        return ""
    parts = []
    for policy, group in runs.groupby("policy.name", sort=False):
        over = by_seed(group, "largest")
        parts.append(f"{policy} {worded(100 * over.value, 100 * over.low, 100 * over.high, '.0f')} %")
    return f" The largest share, by how examples weighed in pretraining: {', '.join(parts)}."


def caveat(tables: Tables) -> str:
    looks = tables["looks"]
    return (
        "Toy models and corpora; that formats differ in their errors is planted. Shares are of "
        f"{looks['samples'].max()} samples at temperature 1 of each of {looks['tested'].max()} held-out chains. A seed "
        f"is a corpus and a pretraining; {looks['seed'].nunique()} seeds, up to {looks['repeat'].nunique()} streams of "
        "reinforcement each; 95 % t intervals over seeds, of the means of their streams."
    )


def usual(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of the most common corpus and, of these, of the most common strength of the divergence."""
    runs = of_corpus(runs)
    for name in ("kl", "loss"):
        runs = runs[runs[name] == runs[name].mode().iloc[0]] if len(runs) else runs
    return runs


def of_corpus(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of the default corpus under uniform weights; where there are none, of the most common one."""
    if runs.empty:
        return runs
    words = pd.Series([corpus_words(row) for row in runs.to_dict("records")], index=runs.index)
    return runs[words == ("" if (words == "").any() else words.mode().iloc[0])]


def corpus_words(row: Mapping[Any, Any]) -> str:
    """What a corpus, or the weight of its examples, has unlike the study's defaults; empty where it has nothing."""
    from . import Formats

    usual = {name: field.default for name, field in Formats.model_fields.items()}
    operands = (row.get("least", usual["least"]), row.get("most", usual["most"]))
    parts = [] if operands == (usual["least"], usual["most"]) else ["{} to {} operands".format(*operands)]
    for name in ("examples", "shares", "repeats", "errors", "gaps"):
        default = usual[name]
        text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        value = str(row.get(name, text))
        if value != text:
            parts.append(f"no {name}" if set(value.split(",")) <= {"", "0.0"} else f"{name} {value}".replace("0.", "."))
    if row.get("keep", 1) < 1:
        parts.append(kept_words(row))
    if (policy := row.get("policy.name", "uniform")) != "uniform":
        parts.append(str(policy))
    return ", ".join(parts)


def kept_words(row: Mapping[Any, Any]) -> str:
    """How the corpus of a run is pruned."""
    if row.get("keep", 1) == 1:
        return "everything"
    by = "" if row["rule"] == "random" else f" by {row.get('scorer.name', 'loss')}"
    return f"{row['keep']:g} {row['rule']}{by}" + (", quotas" if row.get("balance") else "")
