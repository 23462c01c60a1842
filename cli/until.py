"""`--until-decided`: further seeds of the runs that an undecided claim compares, until it is decided."""

from __future__ import annotations

from collections.abc import Sequence

from prune_lab.experiments.laws.expectations import Expectation
from prune_lab.experiments.phases.launch import Outcome
from prune_lab.experiments.phases.plan import job_of, one_look
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.store.folders import Store

from .run import Check, run
from .show import Show, exit_code


def decided(
    phase: str, claims: Sequence[Expectation], runs: Sequence[Run], most: int, show: Show, check: Check
) -> tuple[list[Run], list[Outcome]]:
    """The runs with those of further seeds, at most so many in all, and what became of the last ones."""
    from prune_lab.experiments.report import judged

    every = list(runs)
    while True:
        outcomes = run(phase, every, show, dry_run=False, check=check)
        if exit_code(outcomes):
            return every, outcomes
        with one_look():
            made = {job_of(phase, one).key: one for one in every}
        undecided = judged.undecided(Store(every[0].results), phase, list(made), claims)
        further: dict[str, Run] = {}
        for claim, keys in undecided.items():
            own = [made[key] for key in keys]
            seed = max(one.seed for one in own) + 1
            if len({one.seed for one in own}) < most:
                show.say(f"undecided after {len({one.seed for one in own})} seeds: {claim}; seed {seed} is added")
                more = [one.model_copy(update={"seed": seed}) for one in own]
                further |= {repr(one): one for one in more if one not in every}
        if not further:
            return every, outcomes
        every += further.values()
