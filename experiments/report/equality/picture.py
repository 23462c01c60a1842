"""What the found policy looks at, and when: weights by difficulty and time."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm

from ...contracts import Floats
from ...figures.panels import Drawing, Figures
from ...figures.style import GRID
from ..parts import Section, shown
from . import searches
from .found import Found
from .marks import MOST, left_out

WORDS = (
    "Examples ordered by their mean loss under the constant policy, in equal parts; time likewise. Means of seeds. "
    "White: as the constant policy; brown: more; violet: less."
)


def section(found: Found) -> Section:
    some = dict(list(found.named.items())[:MOST])
    means = {name: np.mean([searches.picture(one).to_numpy() for one in own], 0) for name, own in some.items()}
    most = max(1.5, max(float(np.quantile(mean, 0.99)) for mean in means.values()))  # one scale of colours for all
    drawings = [
        Drawing("Weight of examples over time", name, f"weight in the found policy by difficulty and time, {name}",
                partial(_picture, mean, most))
        for name, mean in means.items()
    ]  # fmt: skip
    words = WORDS + left_out(some, found.named)
    return shown(Figures("picture", "What the found policy looks at, and when", words, drawings))


def _picture(mean: Floats, most: float, axes: Axes) -> None:
    norm = TwoSlopeNorm(1.0, 0.0, most)
    image = axes.imshow(
        mean, origin="lower", aspect="auto", cmap="PuOr_r", norm=norm, extent=(0, 100, 0, 100), interpolation="nearest"
    )
    axes.grid(visible=False)
    axes.set_xlabel("% of training done")
    axes.set_ylabel("difficulty: 0 easiest, 100 hardest")
    bar = axes.figure.colorbar(image, ax=axes, ticks=[0, 1, most], pad=0.02)
    bar.ax.set_yticklabels(["0", "1", f"{most:.1f}+"])
    bar.set_label("weight × number of examples")
    bar.outline.set_edgecolor(GRID)
