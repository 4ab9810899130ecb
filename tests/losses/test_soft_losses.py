"""Losses made of the soft operators: their hard limits, masks and gradients."""

# mypy: disable-error-code="no-untyped-call"
from functools import partial

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from combdiff import PairwiseLoss, SoftNDCGLoss, SoftTopKLoss, SpearmanLoss, TrimmedLoss
from combdiff.losses.soft_ndcg import Gain
from tests.derivatives import check_derivatives


def sample(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_spearman_is_one_minus_rho() -> None:
    from scipy.stats import spearmanr

    x, t = sample(6, 9), sample(6, 9, seed=1).round()
    loss = SpearmanLoss(regularization_strength=1e-9, reduction="none")(x, t)
    truth = [1 - spearmanr(a, b).statistic for a, b in zip(x.numpy(), t.numpy(), strict=True)]
    np.testing.assert_allclose(loss.numpy(), truth, atol=1e-9)
    constant = SpearmanLoss()(x.clone().requires_grad_(), torch.zeros_like(x))
    assert float(constant) == 1.0
    mask = torch.arange(9) < 5
    torch.testing.assert_close(SpearmanLoss()(x, t, mask=mask), SpearmanLoss()(x[:, :5], t[:, :5]))
    kl = SpearmanLoss("kl", reduction="none")
    check_derivatives(lambda v: kl(v, t.expand(v.shape)), (x,))


@pytest.mark.parametrize("method", ["pav", "lapsum", "neuralsort", "network"])
@pytest.mark.parametrize("k", [None, 3])
def test_ndcg_limit_and_ragged_lists(method: str, k: int | None) -> None:
    from sklearn.metrics import ndcg_score

    scores, relevance = sample(4, 7), torch.randint(0, 4, (4, 7), generator=torch.Generator().manual_seed(2)).double()
    loss = SoftNDCGLoss(regularization_strength=1e-7, method=method, k=k, gain="linear", reduction="none")
    truth = [1 - ndcg_score(r[None], s[None], k=k) for r, s in zip(relevance.numpy(), scores.numpy(), strict=True)]
    np.testing.assert_allclose(loss(scores, relevance).numpy(), truth, atol=1e-6)
    mask = torch.arange(7) < torch.tensor([7, 4, 2, 0])[:, None]
    soft = SoftNDCGLoss(regularization_strength=0.5, method=method, k=k, reduction="none")
    ragged = soft(torch.where(mask, scores, 1e9), relevance, mask)
    torch.testing.assert_close(ragged[1], soft(scores[1:2, :4], relevance[1:2, :4])[0])
    assert float(ragged[3]) == 0.0
    check_derivatives(lambda v: soft(v, relevance.expand(v.shape), mask.expand(v.shape)), (scores,))


def neural_ndcg(scores: np.ndarray, gains: np.ndarray, temperature: float, cut: int) -> float:
    """NDCG of one list as published (Pobrotyn & Białobrzeski 2021): NeuralSort, then Sinkhorn scaling, in NumPy.

    Columns and rows are divided by their sums in turn, at most 50 times, until all sums are within 1e-6 of 1.
    """
    n = len(scores)
    distances = np.abs(scores[:, None] - scores[None, :]).sum(1)
    logits = ((n + 1 - 2 * np.arange(1, n + 1))[:, None] * scores[None, :] - distances[None, :]) / temperature
    matrix = np.exp(logits - logits.max(1, keepdims=True))
    matrix /= matrix.sum(1, keepdims=True)
    for _ in range(50):
        matrix = matrix / np.maximum(matrix.sum(0, keepdims=True), 1e-10)
        matrix = matrix / np.maximum(matrix.sum(1, keepdims=True), 1e-10)
        if max(np.abs(matrix.sum(0) - 1).max(), np.abs(matrix.sum(1) - 1).max()) < 1e-6:
            break
    discount = 1 / np.log2(np.arange(n) + 2.0)
    ideal = (np.sort(gains)[::-1] * discount)[:cut].sum()
    return float(((matrix @ gains) * discount)[:cut].sum() / ideal) if ideal > 0 else float("nan")


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("gain", ["exponential", "linear"])
@pytest.mark.parametrize("k", [None, 3])
def test_neural_ndcg_is_the_published_one(k: int | None, gain: Gain, temperature: float) -> None:
    lengths = [9, 9, 6, 2, 9]
    scores, relevance = sample(5, 9), torch.randint(0, 5, (5, 9), generator=torch.Generator().manual_seed(4)).double()
    relevance[4] = 0.0  # a list without a relevant document
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    make = partial(SoftNDCGLoss, regularization_strength=temperature, method="neuralsort", k=k, gain=gain)
    found = make(reduction="none")(torch.where(mask, scores, torch.nan), relevance, mask)
    gains = 2**relevance - 1 if gain == "exponential" else relevance
    truth = np.array(
        [
            1 - neural_ndcg(s[:n], g[:n], temperature, k or 9)
            for s, g, n in zip(scores.numpy(), gains.numpy(), lengths, strict=True)
        ]
    )
    np.testing.assert_allclose(found[:4], truth[:4], atol=2e-6)
    assert float(found[4]) == 0.0
    mean = make(reduction="mean_relevant")(scores, relevance, mask)
    assert float(mean) == pytest.approx(np.nanmean(truth), abs=2e-6)
    assert float(make()(scores, relevance, mask)) == pytest.approx(truth[:4].sum() / 5, abs=2e-6)
    empty = make(reduction="mean_relevant")(scores, torch.zeros_like(relevance), mask)
    assert float(empty) == 0.0
    check_derivatives(lambda v: make(reduction="none")(v, relevance.expand(v.shape), mask.expand(v.shape)), (scores,))


LOSSES = {
    "Spearman": lambda x: SpearmanLoss(regularization_strength=0.3)(x, target_of(x)),
    "pairs": lambda x: PairwiseLoss(0.3, method="optimal", pairs="adjacent")(x, target_of(x)),
    "NDCG": lambda x: SoftNDCGLoss(regularization_strength=0.3, k=4)(x, target_of(x).abs()),
    "NeuralNDCG": lambda x: SoftNDCGLoss(regularization_strength=0.3, method="neuralsort")(x, target_of(x).abs()),
    "Sinkhorn NDCG": lambda x: SoftNDCGLoss(regularization_strength=0.3, method="sinkhorn")(x, target_of(x).abs()),
    "top-k": lambda x: SoftTopKLoss({1: 0.5, 3: 0.5}, regularization_strength=0.3)(x, torch.arange(4)),
    "top-k by SoftSort": lambda x: SoftTopKLoss(2, method="softsort")(x, torch.arange(4)),
    "trimmed": lambda x: TrimmedLoss(0.3, regularization_strength=0.3)(x.square()),
    "trimmed by SoftSort": lambda x: TrimmedLoss(0.3, method="softsort")(x.square()),
}


def target_of(x: torch.Tensor) -> torch.Tensor:
    return sample(*x.shape, seed=9).to(x)


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_and_half_precision_cost_a_loss_no_digits(name: str) -> None:
    """The loss of bfloat16 scores is that of the same numbers in float32, in autocast and without."""
    wide = sample(4, 8).bfloat16().float()
    truth = LOSSES[name](wide.double())
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        leaf = wide.to(dtype).requires_grad_()
        for autocast in (True, False):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss = LOSSES[name](leaf)
            assert loss.dtype == torch.promote_types(dtype, torch.float32)
            if dtype != torch.bfloat16:  # whose targets and squares are rounded, too
                torch.testing.assert_close(loss.double(), truth, atol=1e-5, rtol=1e-5)
            (gradient,) = torch.autograd.grad(loss, leaf)
            assert gradient.dtype == dtype
            assert gradient.isfinite().all()


@pytest.mark.parametrize("method", ["pav", "lapsum", "neuralsort", "sinkhorn", "network"])
def test_a_nan_score_makes_the_loss_nan(method: str) -> None:
    scores = sample(3, 5)
    scores[1, 2] = torch.nan
    assert SoftTopKLoss(2, method=method)(scores, torch.tensor([0, 1, 2])).isnan()
    assert SpearmanLoss(method=method)(scores, sample(3, 5, seed=1)).isnan()
    assert SoftNDCGLoss(method=method, k=3)(scores, torch.ones(3, 5).double()).isnan()
    assert TrimmedLoss(0.2, method=method)(scores).isnan()


def test_topk_loss() -> None:
    scores, target = sample(5, 8).requires_grad_(), torch.tensor([0, 1, 2, 3, 4])
    cross = torch.nn.functional.cross_entropy(scores / 0.5, target)
    torch.testing.assert_close(SoftTopKLoss(1, "kl", 0.5, method="pav")(scores, target), cross)
    mixed = SoftTopKLoss({1: 0.5, 3: 0.5}, regularization_strength=0.5)
    assert float(mixed(scores, target)) < float(SoftTopKLoss(1, regularization_strength=0.5)(scores, target))
    assert gradcheck(lambda v: mixed(v, target), (scores,))
    with pytest.raises(ValueError, match="sum to 1"):
        SoftTopKLoss({1: 0.5})


def test_trimmed_loss_goes_from_least_trimmed_to_all() -> None:
    losses = sample(20).square()
    hard = losses.sort().values[:16].mean()
    torch.testing.assert_close(TrimmedLoss(0.2, regularization_strength=1e-6)(losses), hard)
    torch.testing.assert_close(TrimmedLoss(0.2, regularization_strength=1e9)(losses), losses.mean())
    mask = torch.arange(20) < 10
    torch.testing.assert_close(TrimmedLoss(0.2)(losses, mask), TrimmedLoss(0.2)(losses[:10]))
    assert gradcheck(TrimmedLoss(0.2), (losses.requires_grad_(),))
    with pytest.raises(ValueError, match="trim=1"):
        TrimmedLoss(1.0)


@pytest.mark.parametrize("loss", [SpearmanLoss, SoftNDCGLoss, SoftTopKLoss, TrimmedLoss])
def test_bad_values_are_refused_when_a_loss_is_made(loss: type) -> None:
    wrong = "torchsort" if loss is SoftTopKLoss else "quick" if loss is SoftNDCGLoss else "bitonic"
    for name, bad in (("regularization", "l3"), ("method", wrong), ("regularization_strength", -1.0)):
        with pytest.raises(ValueError, match=f"{name}={bad!r}"):
            loss(**{name: bad})
    for method in ("pav", "sinkhorn", *(["bitonic"] if loss is SoftNDCGLoss else [])):
        assert loss(method=method).method == method
