"""The corpus pruned by the lab's own scores and rules, before anything is pretrained on it.

The proxies are networks of this study's size, pretrained on the whole corpus for `proxy_steps`; what a score reads of
them, and what a rule keeps, is the lab's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...contracts import Floats, Indices, Proxy, Work
from ...pruning.by_proxies import Shown, scores
from ...pruning.select import select
from ...pruning.shares import shares
from ...seeds import derive
from .choosing import rule_of, scorer_of
from .corpus import Corpus
from .task import FORMATS

if TYPE_CHECKING:
    from ...data.task import DeviceTask
    from . import Formats

LOW, HIGH = 0.5, 2.0  # times its share of the corpus, beyond which a format's share of what is kept is said aloud


def kept(study: Formats, made: Corpus, task: DeviceTask, work: Work, share: float) -> Indices | None:
    """Rows of the corpus that are kept, sorted; None where all are. What happens to the formats is said."""
    if study.keep == 1:
        return None
    rule = rule_of(study)
    values = _scores(study, task, work, share) if rule.scored else None
    rows = select(
        values, study.keep, rule=rule, labels=None, groups=made.formats, ids=task.examples("train").ids,
        seed=work.seed, balance=study.balance,
    )  # fmt: skip
    before, after = (
        np.bincount(some, minlength=len(FORMATS)) / len(some) for some in (made.formats, made.formats[rows])
    )
    work.decide(shares(FORMATS, made.formats, made.formats[rows]))
    for name, own, left in zip(FORMATS, before, after, strict=True):
        if left == 0:
            work.decide(f"warning: every example of the format {name} was dropped: the model will never write it")
        elif not LOW <= left / own <= HIGH:
            work.decide(f"warning: {name} has {left / own:.2f} times its share of the corpus in what is kept")
    return rows


def _scores(study: Formats, task: DeviceTask, work: Work, share: float) -> Floats:
    """(N,) the mean over the proxies that the score asks for."""
    from .pretraining import pretrained

    scorer, proxies = scorer_of(study), []
    asked = scorer.evidence(None)
    plain = study.model_copy(update={"steps": study.proxy_steps, "policy": {"name": "uniform"}})
    for number, one in enumerate(asked):
        model = pretrained(
            plain, task, work, share / len(asked), name=f"proxy_{number}",
            seed=derive(work.seed, "proxy", one.asks["number"]), stop=one.asks.get("share"),
        )  # fmt: skip
        proxies.append(Proxy(model, {}))
    return scores(scorer, Shown(task, proxies, work.seed, work.decide))
