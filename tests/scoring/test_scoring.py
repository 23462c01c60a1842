from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from prune_lab.experiments.contracts import IGNORED, Proxy
from prune_lab.experiments.contribution import norms
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.models import features
from prune_lab.experiments.scoring.folds import centred

from ..scores import score
from ..training.test_evaluation import MemoryTask, logs

NAN = math.nan


def proxy(model: nn.Module | None = None, held_out: list[bool] | None = None, **recorded: list[list[float]]) -> Proxy:
    return Proxy(
        (model or nn.Identity()).eval(),
        {name: np.array(rows, dtype=np.float64) for name, rows in recorded.items()},
        None if held_out is None else np.array(held_out),
    )


def three() -> MemoryTask:
    """Three rows whose softmax under the identity is written here."""
    return MemoryTask(logs([0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.8, 0.1, 0.1]), torch.tensor([0, 2, 0]))


class Scale(nn.Module):
    """Inputs times a constant: another proxy, sharper or flatter."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor


# ---- outputs ---------------------------------------------------------------------------------------------------------

DISTANCES = [math.sqrt(0.25 + 2 / 16), math.sqrt(0.25 + 1 / 16 + 9 / 16), math.sqrt(0.04 + 0.02)]


def test_el2n_data_diet_is_the_norm_for_each_proxy() -> None:
    scores = score("el2n", three(), [proxy(), proxy(Scale(0.0))])
    assert scores.shape == (2, 3)
    assert scores[0].tolist() == pytest.approx(DISTANCES)
    assert scores[1].tolist() == pytest.approx([math.sqrt(4 / 9 + 2 / 9)] * 3)  # uniform predictions


def test_el2n_single_is_data_diet_with_one_proxy() -> None:
    assert score("el2n", three(), [proxy()]).tolist() == [pytest.approx(DISTANCES)]


def test_el2n_squared() -> None:
    scores = score("el2n", three(), [proxy()], convention="squared")
    assert scores.tolist() == [pytest.approx([d * d for d in DISTANCES])]


def test_el2n_ccs_sums_the_recorded_errors_of_ten_epochs() -> None:
    errors = [[0.1 * e, 1.0, 0.0] for e in range(12)]
    assert score("el2n", three(), [proxy(error=errors)], convention="ccs").tolist() == [pytest.approx([4.5, 10.0, 0.0])]
    short = score("el2n", three(), [proxy(error=errors[:3])], convention="ccs")
    assert short.tolist() == [pytest.approx([0.3, 3.0, 0.0])]
    errors[3] = [NAN, 0.5, NAN]  # recipe.epochs=3.5: the last epoch shows a part of the examples
    cut = score("el2n", three(), [proxy(error=errors[:4])], convention="ccs")
    assert cut.tolist() == short.tolist()
    with pytest.raises(ConfigError, match=r"recipe\.epochs=1"):
        score("el2n", three(), [proxy(error=errors[3:4])], convention="ccs")


def test_loss_entropy_and_margin_point_upwards_with_difficulty() -> None:
    task, proxies = three(), [proxy()]
    assert score("loss", task, proxies)[0].tolist() == pytest.approx([math.log(2), math.log(4), -math.log(0.8)])
    three_way = 0.8 * math.log(1.25) + 0.2 * math.log(10)
    assert score("entropy", task, proxies)[0].tolist() == pytest.approx([1.5 * math.log(2)] * 2 + [three_way])
    assert score("margin", task, proxies)[0].tolist() == pytest.approx([-math.log(2), math.log(2), -math.log(8)])
    by_probability = score("margin", task, proxies, measure="probabilities")
    assert by_probability[0].tolist() == pytest.approx([-0.25, 0.25, -0.7])


def text(length: int = 2) -> MemoryTask:
    """Two windows over three tokens."""
    rows = [[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]][:length]
    return MemoryTask(torch.stack([logs(*rows), logs(*rows)]), torch.tensor([[0, 0], [2, IGNORED]]), "text")


def test_perplexity_is_the_token_mean_and_nan_where_trained_on() -> None:
    scores = score("perplexity", text(), [proxy(held_out=[True, True])])
    np.testing.assert_allclose(scores, [[1.5 * math.log(2), 2 * math.log(2)]], rtol=1e-6)
    scores = score("perplexity", text(), [proxy(held_out=[True, False]), proxy(held_out=[False, True])])
    np.testing.assert_allclose(scores, [[1.75 * math.log(2), NAN], [NAN, 1.75 * math.log(2)]], rtol=1e-6)


def test_perplexity_is_free_of_how_good_a_folds_proxies_are() -> None:
    """Two proxies a fold, each better or worse on the whole: the order of windows is that of the truth all the same."""
    draw = np.random.default_rng(0)
    half = draw.normal(5, 0.2, 100)
    truth, fold = np.concatenate([half, half]), np.repeat([0, 1], 100)
    offsets = np.array([0.3, -0.1, 0.2, 0.0])
    losses = np.where(fold == np.array([[0], [1], [0], [1]]), truth + offsets[:, None], NAN)
    scores = np.nanmean(centred(losses), 0)
    np.testing.assert_allclose(scores, truth + offsets.mean())
    assert np.array_equal(np.isnan(centred(losses)), np.isnan(losses))


def test_el2n_of_text_averages_over_tokens() -> None:
    second = math.sqrt(1 / 16 + 1 / 4 + 9 / 16)
    expected = [(DISTANCES[0] + second) / 2, DISTANCES[1]]
    assert score("el2n", text(), [proxy()])[0].tolist() == pytest.approx(expected)


class Flip(nn.Module):
    """Gives every class the opposite one's logit: a proxy that contradicts the identity."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flip(-1)


def test_disagreement_is_the_mutual_information_in_two_halves() -> None:
    """Of (.9, .1) against (.1, .9): ln 2 less the entropy of either; none where both say the same."""
    task = MemoryTask(logs([0.9, 0.1], [0.5, 0.5]), torch.tensor([0, 1]))
    scores = score("ensemble_disagreement", task, [proxy(), proxy(Flip())])
    information = math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)
    np.testing.assert_allclose(scores, [[information, 0]] * 2, atol=1e-6)
    by_token = MemoryTask(logs([0.9, 0.1], [0.5, 0.5]).repeat(2, 1, 1), torch.tensor([[0, 0], [1, IGNORED]]), "text")
    scores = score("ensemble_disagreement", by_token, [proxy(), proxy(Flip())])
    np.testing.assert_allclose(scores.mean(0), [information / 2, information], atol=1e-6)


def test_ddd_is_the_share_of_proxies_that_are_wrong() -> None:
    scores = score("ddd", three(), [proxy(), proxy(Scale(-1.0))])
    assert scores.mean(0).tolist() == [0.5, 1.0, 0.5]


def test_class_error_is_that_of_the_dev_split() -> None:
    """Class 0 is always right there, class 2 always wrong, and class 1 is not there: a third of all were wrong."""
    task = three()
    in_train = {"train": np.array([0, 2, 1]), "dev": np.array([0, 2, 0])}
    task.labels = in_train.__getitem__  # type: ignore[method-assign, assignment]
    assert score("class_error", task, [proxy()]).tolist() == [pytest.approx([0, 1, 1 / 3])]


# ---- trajectory ------------------------------------------------------------------------------------------------------

RIGHT = [  # by example: learned and kept, forgotten twice, never learned; forgotten across a gap, never presented
    [0, 1, 0, 1, NAN],
    [1, 0, 0, NAN, NAN],
    [1, 1, 0, 0, NAN],
    [1, 0, 0, 0, NAN],
]


def five() -> MemoryTask:
    return MemoryTask(torch.zeros(5, 2), torch.tensor([0, 1, 0, 1, 0]))


def test_forgetting_conventions() -> None:
    most = score("forgetting", five(), [proxy(correct=RIGHT)])
    np.testing.assert_array_equal(most, [[0, 2, 4, 1, NAN]])
    zero = score("forgetting", five(), [proxy(correct=RIGHT)], never_learned="zero")
    np.testing.assert_array_equal(zero, [[0, 2, 0, 1, NAN]])


def test_forgetting_refuses_text_and_other_data_sets() -> None:
    with pytest.raises(ConfigError, match="text windows are neither"):
        score("forgetting", text(), [proxy(correct=[[1, 0]])])
    with pytest.raises(AssertionError, match="of 5 examples"):
        score("forgetting", three(), [proxy(correct=RIGHT)])
    with pytest.raises(AssertionError, match="has no margin, only correct"):
        score("aum", five(), [proxy(correct=RIGHT)])


def test_aum_is_minus_the_mean_margin() -> None:
    margins = [[1.0, -2.0, NAN, 4.0, NAN], [3.0, -4.0, 5.0, 0.0, NAN]]
    recorded = proxy(margin=margins, margin_probability=[[0.5] * 5, [0.1] * 5])
    np.testing.assert_allclose(score("aum", five(), [recorded]), [[-2, 3, -5, -2, NAN]])
    np.testing.assert_allclose(score("aum", five(), [recorded], measure="probabilities"), [[-0.3] * 5])


# ---- gradients -------------------------------------------------------------------------------------------------------


def vectors(num_examples: int = 11, classes: int = 4) -> MemoryTask:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, classes, (num_examples,), generator=generator)
    return MemoryTask(torch.randn(num_examples, 6, generator=generator), targets)


def images() -> MemoryTask:
    generator = torch.Generator().manual_seed(1)
    return MemoryTask(torch.randn(7, 3, 8, 8, generator=generator), torch.arange(7) % 3, "images")


def mlp() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 4))


def convolutional() -> nn.Module:
    torch.manual_seed(3)
    norm = nn.BatchNorm2d(5)
    norm.running_mean, norm.running_var = torch.randn(5), torch.rand(5) + 0.5
    first = nn.Conv2d(3, 5, 3)
    first.weight.requires_grad_(False)  # like a whitening stem
    return nn.Sequential(first, norm, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 3))


class Attentive(nn.Module):
    """One attention layer with tied embeddings: (B, T) tokens to (B, T, V)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.embedding = nn.Embedding(9, 8)
        self.head = nn.Linear(8, 9, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.embedding(tokens).unsqueeze(1)
        mixed = functional.scaled_dot_product_attention(hidden, hidden, hidden, is_causal=True)
        logits: Tensor = self.head(mixed.squeeze(1))
        return logits


def tokens() -> MemoryTask:
    generator = torch.Generator().manual_seed(5)
    rows = torch.randint(0, 9, (6, 5), generator=generator)
    targets = rows.roll(-1, 1)
    targets[:, -1] = IGNORED
    return MemoryTask(rows, targets, "text")


def looped(task: MemoryTask, model: nn.Module, weights: list[nn.Parameter]) -> list[float]:
    """Gradient norms one example at a time."""
    model.eval()
    norms = []
    for batch in task.batches("train", size=1):
        loss = task.losses(model, batch).sum()
        parts = torch.autograd.grad(loss, weights)
        norms.append(math.sqrt(sum(float(part.square().sum()) for part in parts)))
    return norms[::-1]  # the task serves its batches backwards


@pytest.mark.parametrize(
    ("task", "model"),
    [(vectors(), mlp()), (images(), convolutional()), (tokens(), Attentive())],
    ids=["mlp", "conv", "text"],
)
@pytest.mark.parametrize("chunk", [None, 3])
def test_grand_is_the_norm_of_each_examples_gradient(task: MemoryTask, model: nn.Module, chunk: int | None) -> None:
    scores = norms.gradient_norms(task, [proxy(model)], chunk=chunk)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    np.testing.assert_allclose(scores, [looped(task, model, weights)], rtol=1e-4)
    assert all(weight.grad is None for weight in model.parameters())


class Scaled(nn.Module):
    """A head without a bias whose outputs are not yet the logits: the closed form must see past the head."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = mlp(), nn.Linear(4, 4, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(inputs)) / 9
        return logits


@pytest.mark.parametrize("model", [mlp(), Scaled()], ids=["mlp", "scaled"])
def test_grand_of_the_last_layer_is_the_gradient_by_the_head(model: nn.Module) -> None:
    task = vectors()
    scores = norms.gradient_norms(task, [proxy(model)], gradients="last_layer", chunk=4)
    np.testing.assert_allclose(scores, [looped(task, model, list(features.head(model).parameters()))], rtol=1e-4)
    assert all(weight.requires_grad for weight in model.parameters())
    assert model(task.inputs).requires_grad  # no hook left behind


def test_grand_of_the_last_layer_golden() -> None:
    """Softmax minus one-hot, times the root of the squared features plus one: DeepCore's [bias; outer(bias, h)]."""
    model = nn.Linear(2, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    task = MemoryTask(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    scores = score("grand", task, [proxy(model)], gradients="last_layer")
    assert scores[0].tolist() == pytest.approx([math.sqrt(0.5 * 26), math.sqrt(0.5)])


def test_last_layer_gradients_are_for_classifiers_with_a_linear_head() -> None:
    with pytest.raises(ConfigError, match="for classifiers"):
        score("grand", tokens(), [proxy(Attentive())], gradients="last_layer")
    with pytest.raises(ConfigError, match="no linear layer"):
        score("grand", three(), [proxy()], gradients="last_layer")


def test_chunks_shrink_with_the_model() -> None:
    assert norms.chunk_size(nn.Linear(2, 2)) == 64
    assert norms.chunk_size(nn.Linear(4096, 1024, bias=False)) == 8
    assert norms.chunk_size(nn.Linear(10_000, 10_000, device="meta")) == 1


def test_the_input_norm_is_that_of_what_the_model_gets() -> None:
    task = MemoryTask(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    assert score("input_norm", task).tolist() == [[5.0, 0.0]]
    pictures = images()
    expected = pictures.inputs.square().sum((1, 2, 3)).sqrt()
    np.testing.assert_allclose(score("input_norm", pictures), [expected.numpy()], rtol=1e-6)


# ---- features --------------------------------------------------------------------------------------------------------


def test_supervised_prototypes_golden() -> None:
    """Class 0 lies at 0 and 90 degrees (lengths do not matter), class 1 all at 45."""
    rows = torch.tensor([[2.0, 0.0], [0.0, 7.0], [1.0, 1.0], [3.0, 3.0]])
    task = MemoryTask(rows, torch.tensor([0, 0, 1, 1]))
    scores = score("prototypes", task, [proxy(nn.Linear(2, 2))], supervised=True)
    half = 1 - math.sqrt(0.5)
    np.testing.assert_allclose(scores, [[half, half, 0, 0]], atol=1e-7)


def test_moderate_golden() -> None:
    """Distances to the medians (2, 0) and (1, 1)."""
    rows = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 4.0], [1.0, 1.0]])
    task = MemoryTask(rows, torch.tensor([0, 0, 0, 1]))
    np.testing.assert_allclose(score("moderate", task, [proxy(nn.Linear(2, 2))]), [[2, 0, 5, 0]])


def test_clustered_prototypes_find_the_odd_one_out() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.eye(3).repeat_interleave(20, 0)
    rows = torch.cat([centres + 0.01 * torch.randn(60, 3, generator=generator), torch.tensor([[1.0, 1.0, 1.0]])])
    task = MemoryTask(rows, torch.zeros(61, dtype=torch.int64))
    scores = score("prototypes", task, [proxy(nn.Linear(3, 2))], clusters=3)
    assert scores.argmax() == 60
    assert scores[0, :60].max() < 0.01
    again = score("prototypes", task, [proxy(nn.Linear(3, 2))], clusters=3)
    np.testing.assert_array_equal(scores, again)
    with pytest.raises(ConfigError, match="clusters=62"):
        score("prototypes", task, [proxy(nn.Linear(3, 2))], clusters=62)


def test_features_of_text_are_token_means_and_dead_features_are_far() -> None:
    model, task = Attentive(), tokens()
    found = features.penultimate(task, model, "train")
    hidden = model.embedding(task.inputs)
    mixed = functional.scaled_dot_product_attention(hidden, hidden, hidden, is_causal=True)
    np.testing.assert_allclose(found, mixed[:, :-1].mean(1).detach().numpy(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ConfigError, match="needs classes"):
        score("prototypes", task, [proxy(model)], supervised=True)
    dead = MemoryTask(torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0]))
    np.testing.assert_allclose(score("prototypes", dead, [proxy(nn.Linear(2, 2))], supervised=True), [[1, 0]])


# ---- planted truth ---------------------------------------------------------------------------------------------------


def test_el2n_finds_flipped_labels() -> None:
    """10 % flipped labels on three blobs: most of the top decile, for EL2N and for every other score of difficulty."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 600)
    centres = np.array([[4.0, 0.0], [-2.0, 3.5], [-2.0, -3.5]])
    flipped = generator.choice(600, 60, replace=False)
    noisy = labels.copy()
    noisy[flipped] = (labels[flipped] + generator.integers(1, 3, 60)) % 3
    rows = torch.tensor(centres[labels] + generator.normal(size=(600, 2)), dtype=torch.float32)
    task = MemoryTask(rows, torch.tensor(noisy))
    torch.manual_seed(0)
    model = nn.Linear(2, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        functional.cross_entropy(model(rows), task.targets).backward()
        optimizer.step()
    proxies = [proxy(model)]
    for scores in (
        score("el2n", task, proxies),
        score("loss", task, proxies),
        score("margin", task, proxies),
        score("grand", task, proxies),
        score("prototypes", task, proxies, supervised=True),
    ):
        hardest = np.argsort(-scores.mean(0))[:60]
        assert len(set(hardest) & set(flipped)) >= 54
