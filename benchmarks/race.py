"""A race: the laps of both sides in turn, so that a busy minute slows both; the median of each, and the ratio."""

from __future__ import annotations

import statistics
import time

import torch

from .contest import DEVICE, Comparison, Contest, compare, settle
from .side import Side

SIZE = 2048  # rows and columns of the matrices that show a machine's rate


def race(contest: Contest, quick: bool) -> Comparison:
    """Compare the sides' units a second, or the seconds that the contest's amount of them takes."""
    rates: dict[str, list[float]] = {"ours": [], "baseline": []}
    with Side(contest.name, "ours", quick) as ours, Side(contest.name, "baseline", quick) as baseline:
        for _ in range(contest.repeats):
            for name, side in (("ours", ours), ("baseline", baseline)):
                lap = side.lap()
                rates[name].append(lap.done / lap.seconds)
    fast, plain = (statistics.median(rates[name]) for name in ("ours", "baseline"))
    note, bound = f"median of {contest.repeats}; {contest.note}", None
    if contest.arithmetic is not None:
        needed = contest.arithmetic(contest.prepare())
        flops = rate(needed.precision)
        bound = flops / needed.flops / plain
        precision = str(needed.precision).removeprefix("torch.")
        note += (
            f"; {needed.flops / 1e6:.3g} million FLOPs a unit at the {flops / 1e9:.0f} GFLOP/s that {precision} "
            f"matrices reach here allow {bound:.1f}x"
        )
    if contest.amount is not None:
        fast, plain = contest.amount / fast, contest.amount / plain
    return compare(
        contest.name,
        fast,
        plain,
        contest.unit,
        target=contest.target,
        note=note,
        more_is_better=contest.amount is None,
        bound=bound,
    )


def rate(precision: torch.dtype) -> float:
    """FLOPs a second of a large matrix product, the best of five."""
    matrix = torch.randn(SIZE, SIZE, device=DEVICE).to(precision)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        matrix @ matrix
        settle()
        seconds.append(time.perf_counter() - begin)
    return float(2 * SIZE**3 / min(seconds))
