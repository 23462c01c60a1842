"""The verb inspect: scores that find what is wrong with a data set, and a page on what they find."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from prune_lab.experiments.choices import loaded
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases.plan import job_of, one_look
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.store.folders import Store, key_of

from . import compose, effects
from .run import run
from .show import Show, exit_code
from .track import track

CLASSED = {"labels": ["scorer=loss", "scorer.folds=3", "scorer.predictions=true"]}  # what it is for -> a scorer
TEXT = {"difficulty": ["scorer=perplexity"]}
BOTH = {"nearest": ["scorer=duplicates", "scorer.nearest=true"]}
PLACES = ("results", "launcher", "device", "title", "hydra", "track")  # words that change no result


def inspect(words: Sequence[str], *, dry_run: bool, as_json: bool, browse: bool = False) -> int:
    """Score, and a page; a second call finds the scores in the store."""
    show = Show(as_json=as_json, browse=browse)
    own = [word for word in words if _key(word).split(".")[0] == "scorer"]
    others = [word for word in words if word not in own]
    if named := next((word for word in words if _key(word) == "export"), None):
        raise ConfigError(f"{named}: inspect writes its tables beside the page", "the command that the page suggests")
    (plain, *more) = compose.runs("score", others)
    if more:
        what = f"inspect looks at one set of data, and these words span {1 + len(more)} runs"
        raise ConfigError(what, "one value for each setting")
    show.note(effects.said("score", others, compose.grid(others)))
    wanted = _scorers(own, text=plain.task.reads == "text")
    runs = {use: compose.runs("score", [*others, *scorer]) for use, scorer in wanted.items()}
    if any(len(one) > 1 for one in runs.values()):
        raise ConfigError(f"inspect takes one more scorer, and these are several: {' '.join(own)}", "one of them")
    if said := _apart(plain):
        show.note(said)
    outcomes = run("score", [one for (one,) in runs.values()], show, dry_run=dry_run)
    if dry_run or exit_code(outcomes):
        return exit_code(outcomes)
    with one_look():
        keys = {use: job_of("score", one).key for use, (one,) in runs.items()}
    keys.setdefault("difficulty", keys.get("labels", ""))
    return _page(plain, keys, words, others, show)


def _apart(plain: Run) -> str:
    """What to say of examples that are set apart although all could be judged; empty where there are none."""
    from prune_lab.experiments.data.load import load_data

    data = load_data(plain.task)
    if not any(note.startswith("no test part") for note in data.notes):
        return ""
    number = {split: len(part.ids) for split, part in data.splits.items()}
    apart = len(set(data.splits["dev"].ids) - set(data.splits["train"].ids)) + number["test"]
    of = f"{apart:,} of {number['train'] + apart:,} examples are in dev or test"
    return f"{of}, and not judged: task.test=0 task.dev=0 judges all" if apart else ""


def _scorers(own: Sequence[str], *, text: bool) -> dict[str, list[str]]:
    """The words of each scorer. The user's are of the one that they name, or else of the one that judges labels."""
    found = {use: list(scorer) for use, scorer in ((TEXT if text else CLASSED) | BOTH).items()}
    first = next(iter(found))
    name = next((word for word in own if _key(word) == "scorer"), found[first][0])
    use = next((use for use, scorer in found.items() if scorer[0] == name), "difficulty")
    keys = {_key(word) for word in own}
    kept = found.get(use, []) if found.get(use, [""])[0] == name else []
    return found | {use: [*(word for word in kept if _key(word) not in keys), *own] if own else found[use]}


def _page(plain: Run, keys: dict[str, str], words: Sequence[str], others: Sequence[str], show: Show) -> int:
    from prune_lab.experiments.report.inspection import build

    store = Store(plain.results)
    plugins = [word for plugin in loaded() for word in ("--plugin", os.path.relpath(plugin))]
    placed = [word for word in words if _key(word).split(".")[0] not in PLACES]
    name = key_of({"inspect": sorted(keys.items())})
    path = store.path("report", name) / "index.html"
    with store.page(name) as folder:
        metrics = build.build(
            store, keys, folder, task=plain.task,
            words=[*others, *plugins],
            cleaning=os.path.relpath(path.with_name("cleaning.csv")),
            title=plain.title,
            command=shlex.join(["prune-lab", "inspect", *placed, *plugins]),
        )  # fmt: skip
    if show.as_json:
        show.data({"phase": "inspect", "key": name, "path": str(path.parent), "status": "done", "metrics": metrics})
    said = [*(f"warning: {one}" for one in metrics["warnings"]), *metrics["summary"]]
    show.say("\n".join([*said, *(f"next: {one}" for one in metrics["commands"]), f"the page: {path}"]))
    track(
        plain.track, store, "score", dict.fromkeys(keys.values()), show, page=(path.parent, metrics["title"], metrics)
    )
    show.page(path)
    return 0


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0].removesuffix(".name")
