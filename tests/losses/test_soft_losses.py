"""Losses made of the soft operators: their hard limits, masks and gradients."""

# mypy: disable-error-code="no-untyped-call"
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from combdiff import SoftNDCGLoss, SoftTopKLoss, SpearmanLoss, TrimmedLoss


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
    assert gradcheck(lambda v: SpearmanLoss("kl")(v, t), (x.requires_grad_(),))


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
    leaf = scores.clone().requires_grad_()
    assert gradcheck(lambda v: soft(v, relevance, mask), (leaf,))


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
