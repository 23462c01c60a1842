"""Documents of which it is known what is noise and what is there twice, and what every score for text finds in them.

`python -m tests.planted_text` prints the ranges over four draws that experiments/scoring/README.md shows.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata

from prune_lab.experiments.contracts import IGNORED, Floats, Indices, Proxy
from prune_lab.experiments.data import text
from prune_lab.experiments.data.splits import fold_of
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.models.networks.gpt import gpt
from prune_lab.experiments.seeds import numpy_stream, torch_stream
from prune_lab.experiments.training.loop import State
from prune_lab.experiments.training.optimizers import optimizers, schedulers
from prune_lab.experiments.training.policies.uniform import Uniform
from prune_lab.experiments.training.recipes import plan
from prune_lab.experiments.training.run import fit

from .scores import score

PLAIN, GARBAGE, COPIED, COPIES, EPOCHS = 120, 20, 10, 4, 20
KINDS = ("garbage", "copied")
SUBJECTS = ["the dog", "a cat", "my neighbour", "the old king", "her sister", "a sailor", "the teacher", "one child"]
VERBS = ["sees", "finds", "follows", "paints", "remembers", "sells", "hides", "borrows"]
OBJECTS = [
    "the garden", "a red boat", "two letters", "the bridge", "an apple", "every song", "the last train", "a lamp",
]  # fmt: skip
ENDS = ["in the morning", "after dinner", "near the sea", "without a word", "once a year", "for a friend"]


@dataclass(frozen=True)
class PlantedText:
    """`garbage` are words of letters at random, `copied` are documents that are there four times."""

    task: DeviceTask
    texts: Sequence[str]  # of each training window
    kinds: Sequence[str]  # of each training window: garbage, copied or plain
    trained: Sequence[Proxy]  # to the end, with their trajectories
    early: Sequence[Proxy]  # for a tenth of the schedule
    crossed: Sequence[Proxy]  # one a fold, which did not see the documents of that fold

    def auroc(self, scores: Floats, kind: str) -> float:
        """Probability that one of this kind scores higher than a plain window, ties half; `scores` (proxies, N)."""
        mean = np.nanmean(scores, axis=0)
        ours, plain = (mean[[found == name for found in self.kinds]] for name in (kind, "plain"))
        ranks = rankdata(np.concatenate([ours, plain]))
        return float((ranks[: len(ours)].sum() - len(ours) * (len(ours) + 1) / 2) / (len(ours) * len(plain)))


SCORES: dict[str, Callable[[PlantedText], Floats]] = {  # as the settings have them by default, with fewer proxies
    "el2n": lambda p: score("el2n", p.task, p.early),
    "grand": lambda p: score("grand", p.task, p.early),
    "margin": lambda p: score("margin", p.task, p.trained),
    "aum": lambda p: score("aum", p.task, p.trained),
    "loss": lambda p: score("loss", p.task, p.trained),
    "entropy": lambda p: score("entropy", p.task, p.trained),
    "prototypes": lambda p: score("prototypes", p.task, p.trained[:1]),
    "d2": lambda p: score("d2", p.task, p.trained[:1]),
    "ensemble_disagreement": lambda p: score("ensemble_disagreement", p.task, p.trained),
    "tracin": lambda p: score("tracin", p.task, [*p.early, p.trained[0]]),
    "perplexity": lambda p: score("perplexity", p.task, p.crossed),
    "continuation": lambda p: score("continuation", p.task, p.trained[:1]),
    "ngram_importance": lambda p: score("ngram_importance", p.task),
    "duplicates": lambda p: score("duplicates", p.task, p.trained[:1]),
}


def plant(folder: Path, *, seed: int = 0) -> PlantedText:
    """About 400 windows of 16 tokens, and proxies of each kind. The dev split holds its share of all of them."""
    draw = numpy_stream(seed, "planted text")

    def sentences(number: int) -> str:
        parts = [[str(draw.choice(words)) for words in (SUBJECTS, VERBS, OBJECTS, ENDS)] for _ in range(number)]
        return " ".join(f"{' '.join(words)}." for words in parts)

    def noise() -> str:
        return " ".join("".join(draw.choice(list("abcdefghijklmnopqrstuvwxyz"), 5)) for _ in range(6))

    for number in range(PLAIN):
        _write(folder / "plain" / f"{number}.txt", sentences(4))
    for number in range(GARBAGE):
        _write(folder / "garbage" / f"{number}.txt", noise())
    for number in range(COPIED):
        content = sentences(4)
        for copy in range(COPIES):
            _write(folder / "copied" / f"{number}_{copy}.txt", content)
    data = text.load("text", str(folder), dev=0.1, test=0.1, vocabulary=360, context=16)
    decode = data.decode
    assert decode is not None
    texts = [decode(row[row != IGNORED].tolist()) for row in data.splits["train"].targets]
    kinds = [str(name).split("/")[0] for name in data.splits["train"].ids]

    def architecture(examples: torch.Tensor, init: torch.Generator) -> torch.nn.Module:
        return gpt(
            init, vocabulary=data.vocabulary, context=16, width=32, depth=1, heads=2, positions="rotary", tied=True
        )

    task = DeviceTask(data, architecture, device=torch.device("cpu"))
    folds = fold_of(data.splits["train"], 2, seed=0)
    return PlantedText(
        task, texts, kinds,
        trained=[_proxy(task, 100 * seed + number, EPOCHS) for number in range(2)],
        early=[_proxy(task, 100 * seed + 2, EPOCHS // 10)],
        crossed=[_proxy(task, 100 * seed + 3 + fold, EPOCHS // 2, folds == fold) for fold in range(2)],
    )  # fmt: skip


def _write(file: Path, content: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


def _proxy(task: DeviceTask, number: int, epochs: int, held_out: np.ndarray | None = None) -> Proxy:
    support: Indices | None = None if held_out is None else np.flatnonzero(~held_out)
    size = task.size("train") if support is None else len(support)
    model = task.model(torch_stream(number, "init"))
    duration = plan(size, size, batch_size=32, budget="epochs", epochs=EPOCHS, stop_epoch=epochs)
    made = optimizers(model, "adamw", learning_rate=3e-3, momentum=0.9, weight_decay=0.1)
    state = State(model, made, schedulers(made, "cosine", steps=duration.steps, warmup=0.05))
    result = fit(
        task, state, Uniform(support), duration, seed=number, batch_size=32, precision=torch.float32, clip=1.0,
        checkpoint=Path("none"), notify=lambda sentence, share: None, observe=held_out is None,
        checkpoint_seconds=math.inf,
    )  # fmt: skip
    recorded = {name: values.astype(np.float64) for name, values in result.trajectory.items()}
    return Proxy(model.eval(), recorded, held_out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        draws = [plant(Path(folder) / str(seed), seed=seed) for seed in range(4)]
    print(len(draws[0].kinds), {kind: draws[0].kinds.count(kind) for kind in (*KINDS, "plain")})
    for name, scored in SCORES.items():
        found = [[planted.auroc(scores, kind) for kind in KINDS] for planted in draws for scores in [scored(planted)]]
        low, high = np.min(found, axis=0), np.max(found, axis=0)
        print(name, *(f"| {kind} {a:.2f} to {b:.2f}" for kind, a, b in zip(KINDS, low, high, strict=True)))
