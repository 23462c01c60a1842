"""The page on runs that search nothing: metasmoothness by setting, and where contributions cannot be read."""

from __future__ import annotations

import pandas as pd

from prune_lab.experiments.report.equality import smoothness


def test_where_one_run_is_below_the_bound_phi_cannot_be_read() -> None:
    groups = {
        ("smooth", "unpruned"): pd.DataFrame({"constant_metasmoothness": [0.99, 0.9, 0.95]}),
        ("rough", "unpruned"): pd.DataFrame({"constant_metasmoothness": [0.9, 0.79, 0.9]}),
    }
    assert smoothness.summary(groups) == (
        "Nothing was searched. Metasmoothness under uniform weights is 0.86 to 0.95 over 2 settings; φ cannot be read "
        "in 1 of them: rough."
    )
    table = str(smoothness.section(groups).parts[1])
    assert (
        table.index(">rough<")
        < table.index(">cannot be read<")
        < table.index(">smooth<")
        < table.index(">can be read<")
    )
