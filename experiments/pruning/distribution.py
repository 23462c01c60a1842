"""What a selection does to the distribution: the kept examples against their pool and against random subsets.

Every measure is taken of the pool, of what is kept, and of DRAWS random subsets of the same size: without these last a
number says little. Distances are between the model-free features of `appearance`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..contracts import Examples, Floats, Indices, Kind
from ..data.groups import groups_of
from ..seeds import numpy_stream
from .appearance import Features, features

DRAWS = 200  # random subsets
LEVEL = 0.95  # share of them that is in the interval given
LARGEST = 50_000  # examples whose features are looked at: a fixed random part of a larger pool
ANCHORS = 2_000  # pool examples, drawn once, whose neighbourhood is looked at
EXPECTED = 20  # a neighbourhood is so large that a random subset keeps this many of it
WIDEST = 1_000  # examples of a neighbourhood at most
NOTHING = 0.1  # "nearly nothing": at most this share of what a random subset keeps
FEW = 6  # groups named in one sentence
NEAR = 0.99  # cosine above which two examples are near duplicates; of CIFAR-10's pairs above it most are the same photo
BLOCK = 256  # rows compared at once: memory is a few times BLOCK * LARGEST numbers
SAMPLE, PERMUTATIONS = 2_000, 299  # examples a side of the two-sample test, and its permutations
WORTH_SAYING = 0.01  # p of the two-sample test below which the shift is reported

Masks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a selection. From `low` to `high` lie 95 of 100 random subsets of the same size."""

    measure: str
    of: str  # the class or source that is counted, else nothing
    pool: float
    kept: float
    random: float  # mean over random subsets; of mmd2 the 95th percentile of its permutations
    low: float
    high: float
    p: float = math.nan  # of mmd2's permutation test


def compare(train: Examples, kept: Indices, *, kind: Kind, classes: Sequence[str]) -> tuple[list[Measure], list[str]]:
    """Every measure that the data allow of a selection `kept` (n,), and sentences on what it silently deletes."""
    draw = numpy_stream(0, "distribution")
    masks = selections(len(train.ids), kept, draw)
    found: list[Measure] = []
    said: list[str] = []
    names, groups = groups_of(train, kind, classes)
    if groups is not None:
        counts = np.stack([np.bincount(groups[mask], minlength=len(names)) for mask in masks])  # (S, C)
        found += [_measure("count", counts[:, place], of=name) for place, name in enumerate(names)]
        found += [_measure("divergence", divergence(counts)), _measure("smallest_share", smallest_share(counts))]
        word = "" if train.named is not None else "source " if kind == "text" else "class "
        said += _changed_groups(names, counts, word)
    if train.noisy is not None:
        found.append(_measure("noisy_labels", masks[:, train.noisy].sum(1) / masks.sum(1)))
    with threadpool_limits(1):  # threads that wait for each other on a busy machine: up to ten times
        seen, heard = _by_appearance(train, masks, draw, kind, classes)
    return found + seen, said + heard


def _by_appearance(
    train: Examples, masks: Masks, draw: np.random.Generator, kind: Kind, classes: Sequence[str]
) -> tuple[list[Measure], list[str]]:
    """The measures that need features, of all examples or of LARGEST of them."""
    size, keep = masks.shape[1], float(masks[1].mean())
    rows = np.arange(size) if size <= LARGEST else np.sort(draw.choice(size, LARGEST, replace=False))
    masks = masks[:, rows]
    content = (train.targets if kind == "text" else train.inputs)[rows]  # a window's own tokens are its targets
    looks = features(content, kind)
    said = [] if size == len(rows) else [f"distribution: measured on {len(rows):,} of {size:,} examples, drawn once"]

    anchors = np.sort(draw.permutation(len(rows))[:ANCHORS])
    width = min(math.ceil(EXPECTED / keep), WIDEST, len(rows))
    near, distances = neighbours(looks, anchors, width)
    mean, tail = coverage(looks, anchors, near, distances, masks)
    found = [_measure("coverage_mean", mean), _measure("coverage_p95", tail)]
    if keep * width >= EXPECTED and width <= len(rows) / 4:
        lost = np.stack([mask[near].sum(1) for mask in masks]) <= NOTHING * keep * width  # (S, A)
        found.append(_measure("lost_regions", lost.mean(1)))
        said += _deleted_regions(train, rows[anchors], rows[near], lost[1], keep, kind, classes)

    value, chance, p = discrepancy(looks, masks[1], draw)
    found.append(Measure("mmd2", "", 0.0, value, chance, math.nan, chance, p))
    if p < WORTH_SAYING and mean[2:].any():
        said.append(
            f"what is kept is distributed unlike the pool: MMD² {value:.2g} where chance reaches {chance:.2g} "
            f"(p = {p:.2g}); what was dropped lies {mean[1] / mean[2:].mean():.2f} times as far from what was kept as "
            "under a random choice"
        )
    copies, alike = duplicates(content, masks), near_duplicates(looks, masks)
    return [*found, _measure("duplicates", copies), _measure("near_duplicates", alike)], said


def selections(size: int, kept: Indices, draw: np.random.Generator) -> Masks:
    """(S, N) the pool itself, what is kept, and DRAWS random subsets of as many."""
    masks = np.zeros((2 + DRAWS, size), bool)
    masks[0] = True
    masks[1, kept] = True
    for mask in masks[2:]:
        mask[draw.permutation(size)[: len(kept)]] = True
    return masks


def _measure(name: str, values: Floats | Indices, *, of: str = "") -> Measure:
    """From (S,) values of the selections."""
    pool, kept, control = float(values[0]), float(values[1]), values[2:]
    low, high = np.quantile(control, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Measure(name, of, pool, kept, float(control.mean()), float(low), float(high))


# ---- measures --------------------------------------------------------------------------------------------------------


def divergence(counts: Indices) -> Floats:
    """(S,) Kullback-Leibler divergence in nats of each row of (S, C) counts from the first row, the pool."""
    shares = counts / counts.sum(1, keepdims=True)
    ratio = np.divide(shares, shares[0], out=np.ones(shares.shape), where=shares > 0)
    divergences: Floats = (shares * np.log(ratio)).sum(1)
    return divergences


def smallest_share(counts: Indices) -> Floats:
    """(S,) what the worst served class keeps, as a share of its proportional part: 1 keeps all in proportion."""
    counts = counts[:, counts[0] > 0]
    least: Floats = ((counts / counts[0]).min(1)) * counts[0].sum() / counts.sum(1)
    return least


def neighbours(looks: Features, anchors: Indices, width: int) -> tuple[Indices, Features]:
    """(A, width) rows nearest to each anchor, itself among them, and their distances."""
    from sklearn.neighbors import NearestNeighbors

    distances, near = NearestNeighbors(n_neighbors=width, algorithm="brute").fit(looks).kneighbors(looks[anchors])
    return near, distances


def coverage(
    looks: Features, anchors: Indices, near: Indices, distances: Features, masks: Masks
) -> tuple[Floats, Floats]:
    """(S,) mean and 95th percentile of the distance from an anchor that was dropped to the nearest kept example.

    Kept anchors would add as many zeros to both sides of a comparison: of means they change no ratio.
    `near` and `distances` (A, K) are the anchors' neighbours; where none of them is kept, all that is kept is searched.
    """
    from sklearn.metrics import pairwise_distances_argmin_min

    mean, tail = np.zeros(len(masks)), np.zeros(len(masks))
    for place, mask in enumerate(masks):
        dropped = ~mask[anchors]
        if not dropped.any():
            continue
        hit = mask[near[dropped]]
        nearest = distances[dropped, hit.argmax(1)]
        far = np.flatnonzero(~hit.any(1))
        if len(far):
            nearest[far] = pairwise_distances_argmin_min(looks[anchors[dropped][far]], looks[mask])[1]
        mean[place], tail[place] = nearest.mean(), np.quantile(nearest, 0.95)
    return mean, tail


def discrepancy(looks: Features, kept: Masks, draw: np.random.Generator) -> tuple[float, float, float]:
    """MMD² between what is kept and the pool, the 95th percentile under permutation, and p (Gretton et al. 2012).

    The pool is a mixture of kept and dropped, so MMD(kept, pool) = (share dropped) * MMD(kept, dropped): SAMPLE of each
    are compared, no example stands on both sides, and the test is exact for a random choice. Gaussian kernel, its
    variance the median squared distance.
    """
    sides = [draw.permutation(np.flatnonzero(kept == side))[:SAMPLE] for side in (True, False)]
    if min(map(len, sides)) < 2:
        return 0.0, 0.0, 1.0
    points = looks[np.concatenate(sides)]
    squares = np.einsum("nd,nd->n", points, points)
    squared = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    middle = np.median(squared[:: len(points) // 500 + 1]) or squared.mean() or 1.0
    kernel = np.exp(-squared / (2 * middle))
    member = np.arange(len(points)) < len(sides[0])
    members = draw.permuted(np.tile(member, (1 + PERMUTATIONS, 1)), axis=1)
    members[0] = member
    values = mmd2(kernel, members) * (1 - kept.mean()) ** 2
    p = float((values >= values[0] - 1e-12).mean())
    return float(values[0]), float(np.quantile(values[1:], 0.95)), p


def mmd2(kernel: NDArray[Any], members: Masks) -> Floats:
    """(P,) unbiased MMD² (Gretton et al. 2012, eq. 3) for each division of n points, from their (n, n) kernel.

    `members` (P, n) says who is of the first sample; a division costs one product with the kernel, all in one call.
    """
    kernel = kernel - kernel.mean()  # changes nothing but the rounding errors
    np.fill_diagonal(kernel, 0)
    first = members.astype(kernel.dtype)
    n, m = members.sum(1), (~members).sum(1)
    rows = kernel.sum(1, dtype=np.float64)
    within = np.einsum("pn,pn->p", first @ kernel, first, dtype=np.float64)
    across = members @ rows - within
    rest = rows.sum() - within - 2 * across
    values: Floats = within / (n * (n - 1)) + rest / (m * (m - 1)) - 2 * across / (n * m)
    return values


def duplicates(content: NDArray[Any], masks: Masks) -> Floats:
    """(S,) share of the examples of each selection that have an exact copy in it (equal bytes)."""
    digests = [hashlib.blake2b(one.tobytes(), digest_size=8).digest() for one in content]
    _, same, number = np.unique(np.array(digests, "V8"), return_inverse=True, return_counts=True)
    repeated = number[same] > 1
    same, among = same[repeated], masks[:, repeated]
    copies = [np.count_nonzero(np.bincount(same[mask])[same[mask]] > 1) for mask in among]
    share: Floats = np.array(copies) / masks.sum(1)
    return share


def near_duplicates(looks: Features, masks: Masks) -> Floats:
    """(S,) share of the examples of each selection that have another one at a cosine above NEAR in it.

    A product of float32 matrices a block: NearestNeighbors, which computes in float64, takes four times as long.
    """
    from scipy.sparse import csr_matrix

    length = np.linalg.norm(looks, axis=1)
    units = looks[length > 0] / length[length > 0, None]
    chosen = masks[:, length > 0].T.astype(np.float32)  # (N, S)
    found = np.zeros(len(masks))
    for first in range(0, len(units), BLOCK):
        block = slice(first, first + BLOCK)
        pair = divmod(np.flatnonzero(units[block] @ units.T > NEAR), len(units))  # many times as fast as nonzero
        close = csr_matrix((np.ones(len(pair[0]), np.float32), pair), (len(chosen[block]), len(units)))
        found += (chosen[block] * (close @ chosen > 1)).sum(0)  # more than itself
    share: Floats = found / masks.sum(1)
    return share


# ---- what was deleted ------------------------------------------------------------------------------------------------


def _changed_groups(names: Sequence[str], counts: Indices, word: str) -> list[str]:
    """Groups whose share changed by a factor of two, and those of which next to nothing is left.

    Only groups of which a random choice keeps EXPECTED or more: of fewer, chance alone halves or doubles some.
    That a class or a group of task.group is gone altogether the phase says itself.
    """
    said, changed, size, number = [], [], int(counts[0].sum()), int(counts[1].sum())
    for name, pool, kept, random in zip(names, counts[0], counts[1], counts[2:].mean(0), strict=True):
        if random < EXPECTED or (kept == 0 and word != "source "):
            continue
        if kept <= NOTHING * random:
            said.append(f"{word}{name} nearly vanished: {kept} of {pool} are kept, a random choice keeps {random:.0f}")
        elif not random / 2 <= kept <= 2 * random:
            changed.append(f"{word}{name} is {kept / number:.1%} of what is kept and {pool / size:.1%} of the pool")
    if changed:
        mend = "; task.group=folder balance=1" if word == "source " else "; balance=1"
        more = f", and {len(changed) - FEW} more" if len(changed) > FEW else ""
        said.append(f"shares halved or doubled: {'; '.join(changed[:FEW])}{more}{mend} would keep those of the pool")
    return said


def _deleted_regions(
    train: Examples,
    anchors: Indices,
    near: Indices,
    lost: Masks,
    keep: float,
    kind: Kind,
    classes: Sequence[str],
) -> list[str]:
    """One sentence on the neighbourhoods that are (nearly) gone, with one of them by name."""
    if not lost.any():
        return []
    centre, around = anchors[lost][0], near[lost][0]
    mostly = ""
    if kind != "text":
        mostly = f" (mostly {classes[int(np.bincount(train.targets[around]).argmax())]})"
    return [
        f"regions vanished: {lost.mean():.1%} of the pool lies where at most {NOTHING:.0%} of a random choice's share "
        f"is kept; a random choice keeps {keep * len(around):.0f} of the {len(around)} most alike around "
        f"{train.ids[centre]}{mostly}"
    ]
