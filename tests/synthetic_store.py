"""A store of made-up results with the shape of real ones, for tests of the report alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from prune_lab.experiments.store.folders import Store, key_of

MACHINE = {"system": "Linux", "processor": "a processor", "cores": 2, "memory_gib": 8.0, "torch": "2.11.0"}
CODE = {"version": "0.1.0", "commit": "0123456789abcdef", "dirty": False}
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TEXT = ("once upon a time there was", "the <b>film</b> is a & b", "a plot that nobody follows", "bits and bytes")


def publish(store: Store, phase: str, recipe: dict[str, Any], inputs: dict[str, str], metrics: dict[str, Any]) -> Path:
    """A folder with its record; files are added by the caller. A folder that exists is left as it is."""
    key = key_of({"phase": phase, "recipe": recipe, "inputs": inputs})
    record = {
        "phase": phase, "key": key, "recipe": recipe, "inputs": inputs, "derived": ["device=cpu: there is no GPU"],
        "code": CODE, "machine": MACHINE, "seconds": 12.5, "created": "2030-01-01T00:00:00Z", "metrics": metrics,
    }  # fmt: skip
    if store.find(phase, key) is None:
        with store.draft(phase, key, record):
            pass
    return store.path(phase, key)


def build(
    root: Path,
    *,
    task: str = "cifar10",
    model: str = "convnet",
    width: float | None = 0.25,
    pools: Sequence[int] = (2000, 4000, 8000, 16_000, 32_000),
    keeps: Sequence[float] = (0.8, 0.5, 0.2),
    rules: Sequence[str] = ("random", "hard", "easy"),
    budgets: Sequence[str] = ("epochs", "steps"),
    seeds: int = 3,
    scorer: str = "el2n",
    noise: float = 0.02,
    data: str = "",
    file: str = "",
) -> Store:
    """A run: error falls as a power law unpruned; hard-keeping helps large pools and hurts small ones.

    `data` is the fingerprint: two calls with different ones are runs on two data sets. `file`: a score file's name.
    """
    store = Store(root)
    text = task in ("imdb", "pydoc")
    for pool in pools:
        task_recipe: dict[str, Any] = {"name": task, "examples": pool, "dev": 0.1, "label_noise": 0.0}
        shared: dict[str, Any] = {"task": task_recipe, "fingerprint": data or f"data of {task}"}
        training: dict[str, Any] = shared | {
            "model": {"name": model} | ({} if width is None else {"width": width}),
            "recipe": {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 128, "epochs": 12.0, "steps": None},
        }
        scoring = shared | {"scorer": {"name": "file", "fingerprint": file} if file else {"name": scorer, "proxies": 3}}
        called = {"called": file} if file else {}
        score = publish(store, "score", scoring, {}, {"examples": pool} | called).name
        for seed in range(seeds):
            _run(store, training, {}, text, pool, 1.0, "none", None, seed, noise)
        for rule in rules:
            for keep in keeps:
                recipe = shared | {"keep": keep, "rule": rule, "balance": 0.0, "drop_hardest": 0.0}
                inputs = {} if rule == "random" else {"score": score}
                prune = publish(store, "prune", recipe, inputs, {"kept": round(keep * pool), "pool": pool})
                _prune_files(prune, pool, keep, rule, text)
                for budget in budgets:
                    for seed in range(seeds):
                        own = file if rule != "random" else ""
                        _run(store, training, {"prune": prune.name}, text, pool, keep, rule, budget, seed, noise, own)
    return store


def with_examples(store: Store, number: int = 24) -> Store:
    """The store with tables of some examples: the scores of every score, and what every prune kept."""
    for folder in store.folders("score"):
        draw = np.random.default_rng(folder.record["recipe"]["task"]["examples"])
        ids, labels = [f"{folder.key}/{place}" for place in range(number)], np.arange(number) % 10
        scores = {"index": range(number), "id": ids, "score": draw.random(number), "label": labels, "spread": 0.1}
        pd.DataFrame(scores).to_parquet(folder.path / "scores.parquet", index=False)
    for folder in store.folders("prune"):
        keep, key = round(number * folder.record["recipe"]["keep"]), folder.record["inputs"].get("score")
        places = np.arange(keep)
        if key is not None:
            scored = pd.read_parquet(store.path("score", key) / "scores.parquet")["score"]
            places = np.sort(np.argsort(-scored if folder.record["recipe"]["rule"] == "hard" else scored)[:keep])
        kept = {
            "index": places,
            "id": [f"{key}/{place}" for place in places],
        }  # of random selection the pool is not said
        pd.DataFrame(kept).to_parquet(folder.path / "kept.parquet", index=False)
    return store


def error_of(pool: int, keep: float, rule: str, budget: str | None, text: bool) -> float:
    """The law that the made-up runs follow."""
    kept = keep * pool
    base = 4.0 * kept**-0.35 if not text else 1.2 + 6.0 * kept**-0.3
    gain = {"hard": 0.35 * (1 - keep) * np.log(kept / 2500), "easy": -0.25 * (1 - keep) * np.log(kept / 2500)}
    longer = 0.06 * (1 - keep) if budget == "steps" else 0.0
    return float(base * np.exp(-(gain.get(rule, 0.0) * (0.15 if text else 1.0)) - longer))


def _run(
    store: Store, training: dict[str, Any], inputs: dict[str, str], text: bool, pool: int, keep: float, rule: str,
    budget: str | None, seed: int, noise: float, file: str = "",
) -> None:  # fmt: skip
    draw = np.random.default_rng([pool, round(100 * keep), len(rule), len(budget or ""), seed, *file.encode()])
    error = min(0.9 if not text else 8.0, error_of(pool, keep, rule, budget, text) * np.exp(noise * draw.normal()))
    recipe = training | {"seed": seed} | ({} if budget is None else {"budget": budget})
    steps = round(12 * pool / 128 * (keep if budget == "epochs" else 1))
    metrics = {
        "examples": round(keep * pool), "pool": pool, "steps": steps, "epochs": 12 if budget != "steps" else 12 / keep,
        "examples_seen": steps * 128, "dev_accuracy_last": 1 - error, "dev_accuracy_best": 1 - 0.99 * error,
        "dev_loss_last": 2 * error,
    }  # fmt: skip
    train = publish(store, "train", recipe, inputs, metrics)
    measured: dict[str, Any] = {"accuracy": 1 - error, "error": error, "loss": 2.1 * error}
    measured |= {"accuracy_best": 1 - 0.98 * error, "error_best": 0.98 * error, "worst_class_accuracy": 1 - 1.3 * error}
    if text:
        measured = {"loss": error, "bits_per_byte": error, "accuracy": 0.3, "perplexity": float(np.exp(error))}
    publish(store, "evaluate", {"split": "test"}, {"train": train.name}, measured)


def _prune_files(folder: Path, pool: int, keep: float, rule: str, text: bool) -> None:
    draw = np.random.default_rng(pool)
    rows = []
    for place in range(24):
        content = {"png": None if text else picture(draw), "text": TEXT[place % 4] if text else None}
        label = place % 10
        rows.append(
            {"index": place, "id": f"{pool}/{place}", "label": label, "name": "" if text else NAMES[label],
             "score": None if rule == "random" else float(draw.random()), "kept": place < 12} | content
        )  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "gallery.parquet")
    if not text:
        tilt = np.linspace(-0.6, 0.6, 10) * (0 if rule == "random" else 1 if rule == "hard" else -1) * (1 - keep)
        kept = np.round(pool / 10 * keep * (1 + tilt)).astype(int)
        classes = {"label": range(10), "name": NAMES, "pool": [pool // 10] * 10, "kept": kept}
        pd.DataFrame(classes).to_parquet(folder / "classes.parquet")


def picture(draw: np.random.Generator) -> bytes:
    """A PNG of 32 x 32 pixels, a coloured blob."""
    from PIL import Image

    y, x = np.mgrid[0:32, 0:32]
    blob = np.exp(-((x - draw.uniform(8, 24)) ** 2 + (y - draw.uniform(8, 24)) ** 2) / draw.uniform(30, 120))
    colours = draw.uniform(60, 255, 3), draw.uniform(0, 160, 3)
    pixels = (blob[..., None] * colours[0] + (1 - blob[..., None]) * colours[1]).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()
