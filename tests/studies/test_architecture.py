"""The study of a GPT's shape: what is trained and timed, the law of all runs, and the choice."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from prune_lab.cli import compose
from prune_lab.experiments import choices
from prune_lab.experiments.contracts import StudyChoice
from prune_lab.experiments.errors import RunFailed
from prune_lab.experiments.laws import conditional
from prune_lab.experiments.models.cost import parameters
from prune_lab.experiments.models.networks.gpt import gpt
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.studies.architecture import Architecture, choosing, fits, forms, measuring
from prune_lab.experiments.studies.architecture.figures import caveat, figures, verdict

TINY: dict[str, Any] = {
    "parameters": 4096, "width": 16, "heads": 2, "depth": 2, "head_size": 4, "tokens_per_parameter": 4.0, "texts": 2,
    "context": 64, "task": {"name": "digits_as_text", "documents": 60, "vocabulary": 257},
}  # fmt: skip


def study(**changes: Any) -> Architecture:
    found = choices.get("study", "architecture").model_validate(TINY | changes)
    assert isinstance(found, Architecture)
    return found


def measured(seed: int = 1, **changes: Any) -> dict[str, float]:
    work: Any = SimpleNamespace(seed=seed, run=SimpleNamespace(device="cpu"), on=lambda _: torch.device("cpu"),
                                decide=lambda _: None, notify=lambda *_: None)  # fmt: skip
    tables, metrics = study(**changes).simplified().measure(work)
    assert not tables
    return dict(metrics)


def test_a_shape_is_trained_on_d_tokens_and_its_loss_is_that_of_its_seed() -> None:
    found = measured()
    assert found["tokens"] == 4 * 4096
    assert found["body"] == pytest.approx(4096, rel=0.005)
    assert found["x"] == pytest.approx(16 / 64)
    assert found["r"] == pytest.approx(parameters(study().model, 0, 0).ratio)
    assert found["diverged"] == 0
    assert found["loss"] < 5.2 < math.log(257)
    assert measured() == found
    assert measured(seed=2)["loss"] != found["loss"]


def test_all_shapes_of_a_seed_read_the_same_batches_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[int]] = []
    train = measuring.train

    def watched(*given: Any, **named: Any) -> Any:
        read.append([])
        for step in train(*given, **named):
            read[-1] += step.batch.index.tolist()
            yield step

    monkeypatch.setattr(measuring, "train", watched)
    for shape in ({}, {"heads": 4}):
        measured(**shape)
    measured(seed=2)
    assert read[0] == read[1] != read[2]


def test_a_run_that_diverges_has_no_loss_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RunFailed("the loss became nan")

    monkeypatch.setattr(measuring, "train", broken)
    found = measured()
    assert math.isnan(found["loss"])
    assert found["diverged"] == 1
    table = losses()
    table.loc[0, "loss"] = np.nan
    assert "1 of which diverged" in caveat(table)
    assert len(fits.trained_alike(table)) == 3 * 3 * len(SHAPES) - 1


def test_the_rate_of_a_matrix_falls_with_its_inputs_and_only_matrices_decay() -> None:
    model = gpt(torch_stream(0, "init"), vocabulary=20, context=8, width=32, depth=1, heads=2, positions="rotary",
                tied=True, head_size=8, mlp="swiglu", mlp_ratio=4.0)  # fmt: skip
    names = {id(weight): name for name, weight in model.named_parameters()}
    rates = {
        names[id(weight)]: (group["lr"], group["weight_decay"])
        for group in measuring.adamw(study(learning_rate=0.01), model).param_groups
        for weight in group["params"]
    }
    assert set(rates) == set(names.values())
    assert rates["embedding.weight"] == (0.01, 0)
    assert rates["layers.0.attention_norm.weight"] == (0.01, 0)
    assert rates["layers.0.attention.projections.weight"] == (pytest.approx(0.02), 0.05)
    assert rates["layers.0.attention.out.weight"] == (pytest.approx(0.04), 0.05)
    assert rates["layers.0.feedforward.out.weight"] == (pytest.approx(0.005), 0.05)


def test_decoding_is_timed_by_its_fastest_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(question="throughput")
    assert found["speed"] > 0
    assert found["speed"] == pytest.approx(2 * 1000 / found["milliseconds"])
    times = itertools.chain([0, 9, 0, 5, 0, 7, 0, 6, 0, 8])
    assert measuring.fastest(lambda: None, lambda: float(next(times))) == 5


def test_a_key_depends_on_what_the_question_reads() -> None:
    loss, speed = study(), study(question="throughput")
    assert loss.simplified().fingerprint
    assert loss.simplified() == study(texts=7, context=99).simplified() != study(learning_rate=0.1).simplified()
    assert speed.simplified() == study(question="throughput", learning_rate=0.1, task={"name": "pydoc"}).simplified()
    assert speed.simplified() != study(question="throughput", texts=7).simplified()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"parameters": 700}, "attention alone has more"),
        ({"parameters": 4200, "width": 24}, r"within 0.5 % \(.* with an MLP of"),
        ({"heads": 4, "kv_heads": 3}, "must be a multiple of model.kv_heads=3"),
        ({"head_size": 5}, "must be even"),
        ({"task": {"name": "digits"}}, "a GPT reads text"),
        ({"task": {"name": "nothing"}}, "study.task names no task"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        study(**changes)


# ---- all runs together -----------------------------------------------------------------------------------------------


def phi(u: Any) -> Any:
    return np.log(u) + 1 / u - 1


SHAPES = [(32, 4, 3.0), (32, 8, 1.0), (48, 2, 4.3), (48, 4, 1.7), (64, 2, 3.0), (64, 4, 1.0), (64, 6, 0.3),
          (64, 8, 0.6), (96, 2, 1.7), (96, 4, 0.3), (128, 2, 1.0)]  # fmt: skip


def losses(spread: float = 0.001) -> pd.DataFrame:
    """A table of runs of a known law: x* .18, r* .9, both kappas; three sizes, three seeds."""
    draw, rows = np.random.default_rng(0), []
    for size, seed, (width, heads, r) in itertools.product((49152, 98304, 196608), (0, 1, 2), SHAPES):
        x = width / size**0.5
        loss = 2 * (size / 49152) ** -0.1 * (1 + 0.12 * phi(x / 0.18)) * (1 + 0.03 * phi(r / 0.9))
        loss *= 1 + spread * draw.standard_normal() + 0.01 * seed
        rows.append({"parameters": size, "seed": seed, "width": width, "heads": heads, "keys": heads / 2, "x": x,
                     "r": r, "loss": loss})  # fmt: skip
    table = pd.DataFrame(rows).assign(question="loss", depth=4, learning_rate=0.006, batch_size=8, weight_decay=0.05)
    other = table[(table["width"] == 64) & (table["heads"] == 4)].assign(learning_rate=0.003, loss=9.0)
    fewer = table[(table["parameters"] == 196608) & (table["width"] == 64) & (table["heads"] == 8)]
    fewer = pd.concat([fewer.assign(keys=2.0, r=1.2, loss=fewer["loss"] * 0.99),
                       fewer.assign(keys=1.0, r=1.4, loss=fewer["loss"] * 1.2)])  # fmt: skip
    table = pd.concat([table, fewer])
    timed = table[table["parameters"] == 196608].assign(question="throughput", loss=np.nan)
    timed["speed"] = 8000 / timed["keys"] * (1 + 0.001 * timed["seed"])
    table = pd.concat([table, other, timed], ignore_index=True)
    return table.assign(tokens_per_parameter=20.0, precision="float32", texts=32, context=512)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return Architecture.runs({"runs": losses()})


def values(rows: pd.DataFrame, measure: str, size: int | None = None) -> Any:
    own = rows[rows["measure"] == measure]
    return (own if size is None else own[own["parameters"] == size])["value"].to_numpy()


def test_the_laws_of_each_size_have_a_row_a_seed(rows: pd.DataFrame) -> None:
    for size in (49152, 98304):
        assert np.exp(values(rows, "ln_x_star", size).mean()) == pytest.approx(0.18, rel=0.03)
        assert np.exp(values(rows, "ln_r_star", size).mean()) == pytest.approx(0.9, rel=0.1)
        assert len(values(rows, "ln_kappa_x", size)) == 3
    assert abs(values(rows, "change_of_ln_kappa_x", 98304).mean()) < 0.3
    assert values(rows, "rank", 196608).mean() > 0.9
    assert values(rows, "ln_error", 196608).mean() < -1
    whole = losses()
    law = fits.law_of(fits.trained_alike(whole[whole["parameters"] == 98304]))
    assert values(rows, "ln_x_star", 98304).mean() == pytest.approx(math.log(law.x_star), rel=1e-6)
    assert len(values(rows, "loss")) == 3 * 3 * len(SHAPES)  # those of another learning rate are no part of the law
    assert set(rows[rows["measure"] == "loss_at_rate"]["learning_rate"]) == {0.003, 0.006}


def test_seeds_that_do_not_determine_the_law_have_a_row_without_a_value() -> None:
    table = losses()
    few = table[table["width"].isin([48, 64]) & (table["question"] == "loss")]
    found = fits.rows(few[few["parameters"] == 49152])
    assert np.isnan(values(found, "ln_x_star")).all()
    assert len(values(found, "ln_x_star")) == 3
    assert verdict(found) == "The runs do not enclose the best shape."


def test_the_fastest_of_the_shapes_that_are_as_good_is_chosen(rows: pd.DataFrame) -> None:
    predicted, speeds = np.array([1.0, 1.004, 1.02, 0.99]), np.array([10.0, 30, 90, 5])
    found = choosing.choose(predicted, speeds, 0, 0.005)
    assert (found.chosen, found.best) == (1, 3)
    assert choosing.choose(predicted, speeds, 0, 0.0).chosen == 0
    assert values(rows, "ln_speed_of_chosen").mean() > 0.5
    assert values(rows, "loss_of_chosen").max() < 0.01
    assert len(values(rows, "ln_speed_of_best")) == 3


def test_heads_of_keys_are_reduced_until_a_trained_shape_is_worse() -> None:
    keys, speeds, error = np.array([8.0, 1, 4, 2]), np.array([99.0, 40, 10, 20]), np.full(4, 0.01)

    def found(loss: list[float]) -> int:
        return choosing.search(keys, speeds, np.array(loss), error, first=2)

    assert found([0, 0.005, 0, 0.005]) == 1
    assert found([0, 0.02, 0, 0.005]) == 3
    assert found([0, 0.005, 0, 0.02]) == 2  # 1 is not tried where 2 is worse, and more than the first never are
    assert found([0, 0.005, 0, math.nan]) == 2
    table = losses()
    table = table[~table["heads"].isin([2, 6])]
    same = (table["heads"] == 4) & (table["question"] == "throughput")  # the reference alone is fast: it is chosen
    table.loc[same, "speed"] = 1.0
    choice = choosing.choice_of(table)
    assert choice is not None
    assert choice.shapes["keys"].tolist() == (choice.shapes["heads"] / 2).tolist()  # the law's, of one query group
    assert choice.by_keys["keys"].tolist() == [1, 2, 4]
    assert choice.last["keys"] == 2
    own = Architecture.runs({"runs": table})
    assert values(own, "loss_of_chosen").mean() == pytest.approx(0)
    assert values(own, "loss_of_searched").mean() == pytest.approx(math.log(0.99))
    assert values(own, "ln_speed_of_searched").mean() == pytest.approx(math.log(2))
    by_keys = own[own["measure"] == "ln_loss_by_keys"]
    assert by_keys.groupby("keys").size().to_dict() == {1: 3, 2: 3, 4: 3}


def test_the_forms_of_the_law_are_judged_on_the_largest_size_beside_one_loss(rows: pd.DataFrame) -> None:
    found = rows[rows["measure"].isin(forms.MEASURES)].groupby(["measure", "form"])["value"].mean()
    error = np.exp(found["form_ln_error"])
    assert set(error.index) == {"multiplicative", "additive", "joint", "one loss"}
    assert error["multiplicative"] < 0.005 < error["one loss"]
    assert found["form_ln_error"]["multiplicative"] - found["form_ln_error"]["one loss"] == pytest.approx(
        values(rows, "ln_error").mean()
    )
    assert found["form_rank"]["multiplicative"] == pytest.approx(values(rows, "rank").mean())
    assert "one loss" not in found["form_rank"]
    table = fits.trained_alike(losses())
    law = fits.law_of(fits.smaller(table[table["depth"] == fits.usual_depth(table)]))
    baseline = conditional.aicc_of_means(law.shapes)
    assert law.aicc is not None
    assert baseline is not None
    compared = forms._compared("multiplicative", table[table["depth"] == fits.usual_depth(table)])
    assert compared["form_aicc"] == pytest.approx(law.aicc - baseline)
    assert found["form_aicc"]["multiplicative"] < -20  # of a law that is there
    assert forms.rows(table[table["parameters"] == 98304]).empty
    few = table[(table["parameters"] == 196608) | table["heads"].isin([2, 4])]  # too few of the smaller sizes
    few = few[(few["parameters"] > 49152) | few["width"].eq(64)]
    own = forms.rows(few[few["parameters"] != 49152]).groupby("form")["value"].count()
    assert own["multiplicative"] == 9
    assert own["joint"] == 0


def test_the_page_says_where_the_best_shape_is_and_draws_it(rows: pd.DataFrame) -> None:
    assert "parameters and 4 layers the lowest loss is at d/√N = 0.18 [0.1" in verdict(rows)
    drawn = list(figures(losses()))
    assert [one.name for one in drawn] == ["shapes", "optima", "forms", "pareto"]
    from matplotlib.figure import Figure

    for one in drawn:
        for drawing in one.drawings:
            assert drawing is not None
            drawing.draw(Figure().subplots())
    table = fits.points(rows)
    assert {"value", "low", "high", "seeds"} < set(table)


@pytest.mark.parametrize("size", ["cpu", "smoke", "paper"])
def test_every_claim_of_the_experiment_is_of_runs_that_it_makes(size: str) -> None:
    experiment, runs = compose.experiment(["experiment=architecture", f"experiment.size={size}"])
    shapes = {(one.study.parameters, one.study.width, one.study.heads) for one in runs}
    assert all(isinstance(one.study, StudyChoice) for one in runs)
    for claim in experiment.chosen.expect:
        for point in filter(None, (claim.point, claim.versus)):
            wanted = [point.where.get(name) for name in ("parameters", "width", "heads")]
            assert any(all(w in (None, h) for w, h in zip(wanted, have, strict=True)) for have in shapes), point
