"""What is likely wrong with a data set: labels, copies, classes of one example. Tables, of scores and of the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ...contracts import Data, Floats, Indices
from ...data.copies import SPLITS, components, listed, places
from ...pruning.appearance import features
from ...pruning.distribution import NEAR

BLOCK = 1024  # rows of cosines at once
MOST = 100_000  # examples that are compared with each other for near copies: of more, the exact ones alone are found


def label_errors(data: Data, scored: pd.DataFrame) -> pd.DataFrame:
    """Every training example, what is likely wrong first: row id label predicted, probabilities, agreement, likely.

    Suspicion is one minus the mean probability of the given label over the proxies that judge the example: means of
    probabilities rank wrong labels better than means of losses, in which one proxy that is sure counts for all.
    `scored` is the table of scorer=loss with its predictions. A label is called likely wrong where all proxies that
    judge the example predict one other class, and find it as probable as they find it on average in the examples that
    are labelled so: the threshold of confident learning (arXiv:1911.00068).
    """
    labels, predicted = scored["label"].to_numpy(np.int64), scored["predicted"].to_numpy(np.int64)
    number = np.bincount(labels, minlength=len(data.classes))
    total = np.bincount(labels, scored["label_probability"], minlength=len(data.classes))
    usual = np.divide(total, number, out=np.ones(len(number)), where=number > 0)  # (C,)
    sure = (scored["agreement"] > 1 - 1e-9) & (scored["predicted_probability"] >= usual[predicted])
    names = np.array(data.classes)
    table = pd.DataFrame({
        "row": np.arange(len(labels)), "id": scored["id"], "label": names[labels], "predicted": names[predicted],
        "label_probability": scored["label_probability"], "predicted_probability": scored["predicted_probability"],
        "agreement": scored["agreement"], "suspicion": 1 - scored["label_probability"],
        "likely": sure & (predicted != labels),
    })  # fmt: skip
    if (noisy := data.splits["train"].noisy) is not None:
        table["known_wrong"] = noisy
    return table.sort_values(["likely", "suspicion"], ascending=False, kind="stable", ignore_index=True)


def copies(data: Data) -> pd.DataFrame:
    """Examples that are there twice: split row id label, the same of what it is a copy of, kind, cosine.

    Exact: the same bytes. Near: a cosine above NEAR to an earlier example, in what examples look like
    (pruning/appearance.py). Of several that an example is a copy of, the first, or the nearest.
    """
    found = [(one, earlier, "exact", 1.0) for one, earlier in listed(data.splits, data.kind)]
    exact, every = {one for one, *_ in found}, places(data.splits)
    if len(every) <= MOST:
        content = "targets" if data.kind == "text" else "inputs"
        rows = {split: [row for other, row in every if other == split] for split in SPLITS}
        shown = [getattr(data.splits[split], content)[rows[split]] for split in SPLITS if rows[split]]
        for one, earlier, cosine in zip(*nearest_earlier(features(np.concatenate(shown), data.kind)), strict=True):
            if every[one] not in exact:
                found.append((every[one], every[earlier], "near", float(cosine)))
    table = [_named(data, one) | _named(data, of, "of_") | {"kind": kind, "cosine": c} for one, of, kind, c in found]
    columns = [*_named(data, every[0]), *_named(data, every[0], "of_"), "kind", "cosine"]
    return pd.DataFrame(table, columns=columns)


def cleaning(data: Data, labels: pd.DataFrame | None, copied: pd.DataFrame) -> pd.DataFrame:
    """Every training example, id score reason: a score of 1 to leave it out, 0 to keep it.

    Left out are labels that are likely wrong, and of the copies of one another (within train) all but the first whose
    label is not among those. Of copies with different labels that are all likely wrong (proxies that judge the one were
    trained on the other) the least suspicious is kept.
    """
    ids = data.splits["train"].ids
    wrong = np.zeros(len(ids), bool)
    if labels is not None:
        wrong[labels.loc[labels["likely"], "row"]] = True
    own = copied[(copied["split"] == "train") & (copied["of_split"] == "train")]
    pairs = own[["row", "of_row"]].to_numpy(np.int64).reshape(-1, 2)
    group = components(pairs, len(ids))
    right = np.flatnonzero(~wrong)
    kept = np.zeros(len(ids), bool)
    kept[right[np.unique(group[right], return_index=True)[1]]] = True
    if labels is not None:
        doubted = labels.assign(group=group[labels["row"]]).sort_values("suspicion", kind="stable")
        doubted = doubted[~doubted["group"].isin(group[right])]
        differ = doubted.groupby("group")["label"].transform("nunique") > 1
        kept[doubted[differ].drop_duplicates("group")["row"]] = True
    wrong &= ~kept
    reason = np.where(wrong, "the label is likely wrong", np.where(kept, "", "a copy of one that is kept"))
    return pd.DataFrame({"id": ids, "score": np.where(kept, 0, 1), "reason": reason})


def nearest_earlier(looks: Any) -> tuple[Indices, Indices, Floats]:
    """The rows of looks (N, D) that an earlier one is nearer to than NEAR: (M,) rows, the nearest of those, cosines."""
    length = np.linalg.norm(looks, axis=1, keepdims=True)
    units = np.divide(looks, length, out=np.zeros_like(looks), where=length > 0)
    nearest, cosine = np.zeros(len(units), np.int64), np.zeros(len(units))
    for start in range(0, len(units), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(units)))
        like = units[rows] @ units[: rows[-1] + 1].T
        like[np.arange(rows[-1] + 1) >= rows[:, None]] = -1  # itself, and what comes after
        nearest[rows], cosine[rows] = like.argmax(1), like.max(1)
    near = np.flatnonzero(cosine > NEAR)
    return near, nearest[near], cosine[near]


def classes(data: Data) -> pd.DataFrame:
    """How many examples each class has in each split; no rows for text."""
    if not data.classes:
        return pd.DataFrame()
    counts = {split: np.bincount(data.splits[split].targets, minlength=len(data.classes)) for split in SPLITS}
    return pd.DataFrame({"class": data.classes} | counts)


def auc(table: pd.DataFrame) -> float:
    """The probability that a label known to be wrong scores above another, ties half; of a table of `label_errors`."""
    from scipy.stats import rankdata

    wrong = table["known_wrong"].to_numpy(bool)
    ranks, number = rankdata(table["suspicion"])[wrong].sum(), int(wrong.sum())
    return float((ranks - number * (number + 1) / 2) / (number * (len(wrong) - number)))


def _named(data: Data, place: tuple[Any, int], prefix: str = "") -> dict[str, Any]:
    split, row = place
    examples = data.splits[split]
    label = data.classes[int(examples.targets[row])] if data.classes else ""
    return {
        f"{prefix}split": split,
        f"{prefix}row": row,
        f"{prefix}id": str(examples.ids[row]),
        f"{prefix}label": label,
    }
