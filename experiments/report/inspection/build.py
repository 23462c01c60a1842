"""The page of prune-lab inspect: labels that are likely wrong, copies, the hardest and easiest examples, classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from ...contracts import Data, Indices, TaskChoice
from ...data.load import load_data
from ...pruning.gallery import shown
from ...store.folders import Store
from .. import page
from ..parts import Section, box, cells, code, count, definitions, details, examples, heading, note
from ..provenance import origin
from ..pruning.gallery import example
from ..table import cell, differing
from . import issues
from .found import Found, look, measures, scorer, sentences, suggested, warnings

SHOWN = 24  # pictures of a kind
WRONG = 60  # pictures of labels that are likely wrong
TEXTS = 6  # of a kind
ROWS = 100  # of a table on the page; the csv has all
LIKELY = (
    "Most suspicious first: given label → predicted label, how many proxies agree, and the probability of their "
    "prediction. Likely wrong: all proxies that were not trained on the example predict the same other class, with at "
    "least the probability that they give to the examples of that class on average (confident learning, "
    "arXiv:1911.00068). label_errors.csv has every example."
)
COPIES = (
    "Exact copies have the same bytes. Near copies have a cosine above 0.99 to an earlier example, in what examples "
    "look like (the average colours of an 8 x 8 grid; of text its words). All are in copies.csv."
)


def build(
    store: Store,
    keys: Mapping[str, str],
    folder: Path,
    *,
    task: TaskChoice,
    words: Sequence[str],
    cleaning: str,
    title: str | None,
    command: str,
) -> dict[str, Any]:
    """The page on the score folders of these keys: `labels` (not of text), `difficulty` and `nearest`; what came out.

    `words` are those of the command that say which data and how proxies train; `cleaning` is where the table of what to
    leave out will be.
    """
    data = load_data(task)
    scores = {use: store.get("score", key) for use, key in keys.items()}
    found = look(store, scores, task, data)
    warned = list(warnings(found))
    commands = list(suggested(found, words, cleaning))
    tables = {"copies.csv": found.copies, "classes.csv": issues.classes(data), "scores.csv": _scores(found)}
    tables["cleaning.csv"] = found.cleaning
    tables |= {} if found.labels is None else {"label_errors.csv": found.labels}
    records: list[Mapping[str, Any]] = [one.record for one in scores.values()]
    records += [record for own in found.proxies.values() for record in own]
    sections = [_next(commands), _labels(found), _copies(found), _ends(found), _classes(found), _used(found)]
    title = title or named(task, data)
    page.write(
        folder, sections, (), title=title, verdict=" ".join(sentences(found)), caveat=_judged(found), warnings=warned,
        tables={name: table for name, table in tables.items() if len(table.columns)},
        origin=origin(list({record["key"]: record for record in records}.values()), command),
        runs=len(scores), points=0,
    )  # fmt: skip
    said = {
        "title": title,
        "summary": list(sentences(found)),
        "warnings": warned,
        "commands": [command for _, command in commands],
    }
    return measures(found) | said


def _next(commands: Sequence[tuple[str, str]]) -> Section:
    return Section("What to do next", [part for why, command in commands for part in (note(why), code(command))])


def _labels(found: Found) -> Section | None:
    if found.labels is None:
        return None
    wrong, judges = found.wrong, found.scores["labels"].record["recipe"]["scorer"]["proxies"]
    if wrong.empty:
        return Section("Labels that are likely wrong", [note(LIKELY), note("None.", "")])
    top = wrong.head(WRONG)
    pairs = [f"{label} → {predicted}" for label, predicted in zip(top["label"], top["predicted"], strict=True)]
    sure = [f"{judges} of {judges}, {probability:.0%}" for probability in top["predicted_probability"]]
    columns = ["id", "label", "predicted", "label_probability", "predicted_probability", "agreement"]
    listing = details(f"Table of {count(len(wrong), 'label')}", _table(wrong[columns]))
    pictures = _look(found, "", top["row"], list(zip(pairs, sure, strict=True)))
    more = [note(f"The first {WRONG} of {len(wrong)}; the table below goes on.")] if len(wrong) > WRONG else []
    return Section("Labels that are likely wrong", [note(LIKELY), *pictures, *more, listing])


def _copies(found: Found) -> Section:
    parts = [note(COPIES)]
    if found.copies.empty:
        parts.append(note("None.", ""))
    else:
        order = (found.copies["split"] == found.copies["of_split"]).to_numpy()
        columns = ["kind", "split", "id", "label", "of_split", "of_id", "of_label", "cosine"]
        first = found.copies.iloc[np.argsort(order, kind="stable")]
        names = columns if found.data.classes else [name for name in columns if not name.endswith("label")]
        parts += _pairs(found, first)
        parts.append(
            details(f"Table of {count(len(first), 'copy', 'copies')}", _table(first[names]), opened=len(first) <= 10)
        )
    ids = found.data.splits["train"].ids
    alike = pd.DataFrame({
        "id": ids[found.alike["row"]], "nearest": ids[found.alike["nearest"]], "distance": found.alike["distance"],
    }).head(SHOWN)  # fmt: skip
    if len(alike):
        said = "By the features of a proxy (scorer=duplicates): what is most alike, whether copies or not"
        parts.append(details(said, _table(alike)))
    return Section("Copies", parts)


def _ends(found: Found) -> Section:
    """The hardest and the easiest."""
    order = np.argsort(-found.difficulty, kind="stable")
    hard = order[~np.isin(order, found.wrong["row"])] if len(found.wrong) else order
    number = TEXTS if found.data.decode is not None else SHOWN // 2
    left_out = " Labels that are likely wrong are left out of the hardest." if len(found.wrong) else ""
    sides = [_look(found, name, rows) for name, rows in (("hardest", hard[:number]), ("easiest", order[::-1][:number]))]
    said = f"By {scorer(found.scores['difficulty'])}: higher is harder. All scores are in scores.csv.{left_out}"
    both = box("pair", *(part for side in sides for part in side))
    return Section("The hardest and the easiest examples", [note(said), both])


def _classes(found: Found) -> Section | None:
    table = issues.classes(found.data)
    if table.empty:
        return None
    train = table["train"]
    said = f"The largest class has {train.max():,} training examples, the smallest {train.min():,}."
    shares = table.assign(share=[f"{value:.1%}" for value in train / train.sum()])
    return Section("Classes", [note(said), _table(shares.sort_values("train", ascending=False, kind="stable"))])


def _used(found: Found) -> Section:
    """Which scores, their proxies, and how good those are on dev."""
    rows, seen = list[tuple[str, str]](), set[str]()
    for use, folder in found.scores.items():
        if folder.key in seen:
            continue
        seen.add(folder.key)
        measured = [one["metrics"].get("dev_accuracy_last") for one in found.proxies[use]]
        accuracies = [one for one in measured if one is not None]
        recipe = folder.record["recipe"]["scorer"]
        changed = differing("scorer", recipe["name"], recipe).items()
        settings = [f"{name}={cell(value)}" for name, value in changed if name not in ("name", "version")]
        uses = sorted(other for other, one in found.scores.items() if one.key == folder.key)
        proxies = count(int(folder.record["metrics"]["proxies"]), "proxy", "proxies")
        right = f", right about {np.mean(accuracies):.1%} of dev" if accuracies and found.labels is not None else ""
        said = [f"for {' and '.join(uses)}", " ".join(settings), proxies + right, f"in score/{folder.key}"]
        rows.append((scorer(folder), "; ".join(filter(None, said))))
    parts = [definitions(rows)]
    if found.right is not None:
        parts.append(
            note(
                f"Of the examples that they were not trained on, the proxies are right about {found.right:.1%}; "
                f"guessing the largest class is right about {found.guessing[0]:.1%}."
            )
        )
    return Section("Scores that were used", parts)


def named(task: TaskChoice, data: Data) -> str:
    """As in `photos: 820 images in 10 classes`."""
    path = getattr(task, "path", None)
    number = len({one for part in data.splits.values() for one in part.ids.tolist()})
    what = {"images": "images", "text": "windows of text"}.get(data.kind, "examples")
    classes = f" in {count(len(data.classes), 'class', 'classes')}" if data.classes else ""
    return f"{Path(path).name if path else task.name}: {number:,} {what}{classes}"


def _judged(found: Found) -> str:
    """Which examples were judged."""
    sizes = {split: len(part.ids) for split, part in found.data.splits.items()}
    known = set(found.data.splits["train"].ids.tolist())
    sizes |= {split: len(set(found.data.splits[split].ids.tolist()) - known) for split in sizes if split != "train"}
    apart = [f"{number:,} of {split}" for split, number in sizes.items() if split != "train" and number]
    if not apart:
        return f"All {sizes['train']:,} examples were judged."
    said = f"The {sizes['train']:,} training examples were judged"
    return f"{said}; {' and '.join(apart)} were not, and were looked through for copies."


def _look(
    found: Found, name: str, rows: Sequence[int] | Indices | pd.Series[Any], words: Sequence[tuple[str, str]] = ()
) -> list[Markup]:
    """Pictures, texts, or a table of training examples; `words`: two lines under each."""
    if found.data.kind == "vectors":
        ids = found.data.splits["train"].ids[np.asarray(rows)]
        return [heading(name), _table(pd.DataFrame({"id": ids, "score": found.difficulty[np.asarray(rows)]}))]
    cards = [example(shown(found.data, int(row), found.difficulty)) for row in rows]
    for card, said in zip(cards, words, strict=False):
        card |= {"name": said[0], "score": said[1], "words": f"{' · '.join(said)} · {card['words']}"}
    return [examples(name, cards, text=found.data.decode is not None)]


def _pairs(found: Found, copies: pd.DataFrame) -> list[Markup]:
    """Some copies, each beside what it is a copy of."""
    if found.data.kind == "vectors":
        return []
    cards, text = [], found.data.decode is not None
    for one in copies.head(TEXTS // 2 if text else SHOWN // 2).to_dict("records"):
        for prefix, what in (("", one["kind"]), ("of_", "of")):
            split = one[f"{prefix}split"]
            card = example(shown(found.data, one[f"{prefix}row"], None, split=split))
            cards.append(card | {"score": f"{what}: {split}", "words": f"{what}: {split} · {card['words']}"})
    return [examples("each copy, and what it is a copy of", cards, text=text, pairs=True)]


def _table(rows: pd.DataFrame) -> Markup:
    first = rows.head(ROWS).to_dict("records")
    body = cells([{str(name): cell(value, "{:.4g}") for name, value in row.items()} for row in first])
    return body if len(rows) <= ROWS else Markup("{}{}").format(body, note(f"and {len(rows) - ROWS:,} more in the csv"))


def _scores(found: Found) -> pd.DataFrame:
    train = found.data.splits["train"]
    table = pd.DataFrame({"id": train.ids, "score": found.difficulty})
    if found.data.classes:
        table["label"] = np.array(found.data.classes)[train.targets]
    return table.sort_values("score", ascending=False, kind="stable")
