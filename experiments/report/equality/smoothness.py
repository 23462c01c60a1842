"""Runs that search nothing measure whether contributions can be read: metasmoothness by setting."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ...contribution.settings import READABLE
from ..parts import Section, cells, note
from .marks import column, interval

NAME = "constant_metasmoothness"
WORDS = (
    "Under uniform weights; means and 95 % t intervals over seeds. φ is read where metasmoothness is at least "
    f"{READABLE:g} in every run."
)
Groups = Mapping[tuple[str, str], pd.DataFrame]


def summary(groups: Groups) -> str:
    """The range of metasmoothness over the settings, and where φ cannot be read."""
    means = {name: column(own, NAME).mean() for name, own in groups.items()}
    unread = [setup for (setup, _), own in groups.items() if (column(own, NAME) < READABLE).any()]
    return (
        f"Nothing was searched. Metasmoothness under uniform weights is {min(means.values()):.2f} to "
        f"{max(means.values()):.2f} over {len(groups)} settings; "
        + (f"φ cannot be read in {len(unread)} of them: {'; '.join(unread)}." if unread else "φ can be read in all.")
    )


def section(groups: Groups) -> Section:
    """A row for each setting, the least smooth first."""
    order = sorted(groups.items(), key=lambda one: column(one[1], NAME).min())
    rows = [
        {
            "setting": setup,
            "kept": kept,
            "metasmoothness": interval(column(own, NAME)),
            "lowest": f"{column(own, NAME).min():.3f}",
            "seeds": str(len(own)),
            "φ": "can be read" if (column(own, NAME) >= READABLE).all() else "cannot be read",
        }
        for (setup, kept), own in order
    ]
    return Section("Can contributions be read?", [note(WORDS), cells(rows)])
