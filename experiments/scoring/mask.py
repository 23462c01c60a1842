"""scorer=mask: which examples a learned mask keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import Count, Evidence, Floats, ProxyRun, ScorerChoice, Work, num_batches
from ..store.files import rows
from .evidence import duration, of_classes, of_single_examples

DECIDED = 0.05  # a mask nearer than this to zero or one has decided


@choice("scorer", "mask", source="after arXiv:2503.13751 (metagradients)")
class Mask(ScorerChoice):
    """The logit of a mask learned by gradient descent through short training runs (contribution/masks.py)."""

    sees_dev = True
    higher_means = "more useful to dev"
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.5  # the fraction kept that the mask is learned for
    steps: Count = 60  # of Adam on the logits
    inner_steps: Count = 40  # of each training run that is differentiated through
    runs: Count = 2  # inner runs a step, each from a fresh initialisation; their gradients are averaged
    outer: Literal["end", "area"] = "end"  # the dev loss after an inner run, or its mean over the run
    relaxation: Literal["topk", "bernoulli"] = "topk"  # bernoulli: a mask is drawn for every run
    temperature: Annotated[float, Field(gt=0)] = 1.0  # of the sigmoid: lower is nearer to zeros and ones
    learning_rate: Annotated[float, Field(gt=0)] = 0.2  # of Adam

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)
        of_single_examples(self.name, run, "weighs examples one by one, and batch norm joins those of a batch")
        if run.recipe.optimizer != "sgd" or run.recipe.clip is not None:
            raise ValueError("scorer=mask differentiates through plain SGD: use recipe.optimizer=sgd recipe.clip=null")

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        inner = duration(steps=self.inner_steps) | {"precision": "float32"}
        return [ProxyRun({"number": 0}, inner, sections={"mask": self})]

    def score(self, evidence: Evidence) -> Floats:
        (folder,) = evidence.folders
        learned = rows(folder / "mask.parquet", evidence.data.splits["train"].ids, ["logit"])
        logits: Floats = learned["logit"].to_numpy(np.float64)  # a higher one is kept
        return logits

    def trainer(self, asks: Mapping[str, Any]) -> Callable[[Work], dict[str, Any]]:
        return self.learn

    def learn(self, work: Work) -> dict[str, Any]:
        """A mask over the pool in place of a model: the recipe squeezed into short runs, differentiated through."""
        import pandas as pd
        from torch import from_numpy

        from ..contribution.masks import learn, smoothness
        from ..contribution.settings import READABLE, readable
        from ..contribution.updates import update_of

        recipe, task = work.run.recipe, work.task
        pool, steps = task.size("train"), self.inner_steps
        epochs = steps / num_batches(pool, recipe.batch_size)
        work.decide(
            f"to learn a mask that keeps {self.keep:g} of {pool}: {self.steps} steps of Adam, each over "
            f"{self.runs} runs of {steps} steps ({epochs:g} epochs of everything), "
            f"{recipe.schedule} squeezed into them; precision float32; judged by {task.size('dev')} dev examples"
        )
        update, even = update_of(recipe, steps), from_numpy(np.full(pool, self.keep))
        smooth = smoothness(task, update, even, self.keep, batch_size=recipe.batch_size, seed=work.seed)
        work.decide(f"metasmoothness {smooth:.2f} of an inner run, before the mask moves (read from {READABLE:g} up)")
        if not readable(smooth):
            work.decide(
                "warning: the mask follows derivatives that must not be read: metasmoothness is too low "
                "(a smaller recipe.learning_rate)"
            )
        learned = learn(
            task,
            update,
            keep=self.keep,
            steps=self.steps,
            runs=self.runs,
            outer=self.outer,
            relaxation=self.relaxation,
            temperature=self.temperature,
            learning_rate=self.learning_rate,
            batch_size=recipe.batch_size,
            seed=work.seed,
            checkpoint=work.resume / "checkpoint.pt",
            notify=work.notify,
        )
        mask, logits, ids = learned.mask.numpy(), learned.logits.numpy(), task.examples("train").ids
        table = {"index": np.arange(pool), "id": ids, "logit": logits, "mask": mask}
        pd.DataFrame(table).to_parquet(work.folder / "mask.parquet", index=False)
        curve = {"step": np.arange(1, len(learned.outer) + 1), "outer": learned.outer}
        pd.DataFrame(curve).to_parquet(work.folder / "outer.parquet", index=False)
        decided = float(np.mean(np.minimum(mask, 1 - mask) < DECIDED))
        work.decide(
            f"outer loss {learned.outer[0]:.3f} at first, {learned.outer[-1]:.3f} at last; "
            f"{decided:.0%} of the mask within {DECIDED:g} of zero or one"
        )
        ends = {"outer_first": learned.outer[0], "outer_last": learned.outer[-1]}
        return {"examples": pool, "decided": decided, "metasmoothness": smooth} | ends
