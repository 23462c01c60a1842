"""Cross-fitting: each example is judged by proxies that were not trained on it, whatever the score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prune_lab.cli import compose
from prune_lab.experiments import choices
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.scoring.folds import asked

from ..command_line import TINY, call
from ..scores import score
from .test_scoring import NAN, proxy, three


def test_a_proxy_says_nothing_of_what_it_was_trained_on_and_means_are_alike() -> None:
    task = three()
    held_out = [[True, False, False], [False, True, True]]
    plain = score("loss", task, [proxy()])[0]
    found = score("loss", task, [proxy(held_out=one) for one in held_out], folds=2)
    assert np.array_equal(np.isnan(found), ~np.array(held_out))
    mean = (plain[0] + plain[1:].mean()) / 2
    np.testing.assert_allclose(found, [[mean, NAN, NAN], [NAN, *(plain[1:] - plain[1:].mean() + mean)]])


def test_an_ensemble_is_compared_with_those_of_its_own_fold() -> None:
    """Proxies of a fold come every second: the two of fold 0 agree, and so do those of fold 1."""
    held_out = [[True, False, False], [False, True, True]] * 2
    found = score("ensemble_disagreement", three(), [proxy(held_out=one) for one in held_out], folds=2)
    assert found.shape == (4, 3)
    assert np.nanmax(np.abs(found)) < 1e-6


def test_every_score_of_a_trained_model_can_be_cross_fitted_and_others_are_refused() -> None:
    have = {one.registered for one in choices.every("scorer") if "folds" in one.model_fields}
    assert have >= {"el2n", "loss", "margin", "entropy", "grand", "prototypes", "moderate", "perplexity", "tracin"}
    (run,) = compose.runs("score", ["scorer=el2n", "scorer.folds=3", "scorer.proxies=2"])
    asks = [dict(one.asks) for one in asked(run.scorer, run)]
    assert [(one["number"], one["fold"], one["folds"]) for one in asks] == [(n, n % 3, 3) for n in range(6)]
    assert len(job_of("score", run).inputs) == 6
    (run,) = compose.runs("score", ["scorer=el2n", "scorer.folds=3", "scorer.convention=ccs"])
    with pytest.raises(ConfigError, match=r"while they are trained on.*\n?.*scorer\.folds=null"):
        job_of("score", run)
    with pytest.raises(ConfigError, match="folds"):
        compose.runs("score", ["scorer=aum", "scorer.folds=3"])


def test_a_cross_fitted_score_end_to_end(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [*TINY, "scorer=loss", "scorer.folds=2", "scorer.proxies=1", f"results={tmp_path}", "--json"]
    answer = call(capsys, "score", *words)
    assert "shifted to one mean" in answer.err
    assert "3 epochs of 100 examples" in answer.err  # each proxy sees one half
    scores = pd.read_parquet(Path(answer.objects[0]["path"]) / "scores.parquet")
    assert scores["score"].notna().all()
