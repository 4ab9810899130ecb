"""Average precision, recall, ApproxNDCG and the variants of NeuralNDCG: hard limits, published forms, masks."""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from combdiff import SoftMAPLoss, SoftNDCGLoss, SoftRecallLoss, soft_permutation
from combdiff.losses.soft_ndcg import _scaled
from combdiff.soft import gumbel_perturbed
from tests.derivatives import check_derivatives

MAP_METHODS = ["pav", "lapsum", "sigmoid", "neuralsort", "network_cauchy"]
RECALL_METHODS = ["pav", "lapsum", "softsort", "bitonic_optimal"]
MADE: dict[str, Callable[..., Any]] = {
    **{f"MAP {m}": lambda m=m, **words: SoftMAPLoss(method=m, **words) for m in MAP_METHODS},
    **{f"recall {m}": lambda m=m, **words: SoftRecallLoss(3, method=m, **words) for m in RECALL_METHODS},
    "ApproxNDCG": lambda **words: SoftNDCGLoss(method="sigmoid", **words),
}


def lists() -> tuple[Tensor, Tensor, Tensor]:
    """Five lists of up to 8 documents; the last one has none that is relevant."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 8, dtype=torch.float64, generator=generator)
    relevance = torch.randint(0, 3, (5, 8), generator=generator).double()
    mask = torch.arange(8) < torch.tensor([8, 5, 3, 8, 8])[:, None]
    relevance[4] = 0.0
    relevance[:4, 0] = 1.0
    return scores, relevance, mask


def hard_average_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    """By its definition: the mean precision at the relevant documents."""
    found = relevant[np.argsort(-scores)]
    return float((found.cumsum() / np.arange(1, len(found) + 1))[found].mean())


def test_hard_limits() -> None:
    from sklearn.metrics import average_precision_score

    scores, relevance, mask = lists()
    for method in MAP_METHODS:
        if method != "network_cauchy":
            words = {"regularization_strength": 1e-7, "method": method, "reduction": "none"}
            found = SoftMAPLoss(**words)(scores, relevance, mask)  # type: ignore[arg-type]
            for row in range(4):
                s, r = scores[row][mask[row]].numpy(), (relevance[row] > 0)[mask[row]].numpy()
                assert 1 - float(found[row]) == pytest.approx(hard_average_precision(s, r), abs=1e-5)
                assert 1 - float(found[row]) == pytest.approx(average_precision_score(r, s), abs=1e-5)
            assert float(found[4]) == 0.0
    for method in RECALL_METHODS:
        for k in (1, 3, 20):
            loss = SoftRecallLoss(k, regularization_strength=1e-9, method=method, reduction="none")
            found = loss(scores, relevance, mask)
            for row in range(4):
                s, r = scores[row][mask[row]].numpy(), (relevance[row] > 0)[mask[row]].numpy()
                assert 1 - float(found[row]) == pytest.approx(r[np.argsort(-s)][:k].sum() / r.sum(), abs=1e-6)
            assert float(found[4]) == 0.0


@pytest.mark.parametrize("name", MADE)
def test_masks_reductions_and_derivatives(name: str) -> None:
    scores, relevance, mask = lists()
    words = {"regularization_strength": 0.5}
    each = MADE[name](reduction="none", **words)(torch.where(mask, scores, torch.nan), relevance, mask)
    for row in range(5):
        kept = mask[row]
        alone = MADE[name](**words)(scores[row][kept], relevance[row][kept])
        torch.testing.assert_close(each[row], alone)
    assert ((each >= -1e-9) & (each <= 1.0)).all()
    assert float(each[4]) == 0.0
    for reduction, expected in (("sum", each.sum()), ("mean", each.mean()), ("mean_relevant", each[:4].mean())):
        torch.testing.assert_close(MADE[name](reduction=reduction, **words)(scores, relevance, mask), expected)

    def loss(v: Tensor) -> Tensor:
        return MADE[name](reduction="none", **words)(v, relevance.expand(v.shape), mask.expand(v.shape))

    check_derivatives(loss, (scores,), loss)
    half = MADE[name](**words)(scores.bfloat16(), relevance, mask)
    assert half.dtype == torch.float32
    assert MADE[name](**words)(torch.where(mask, scores, torch.nan), relevance).isnan()
    if name != "ApproxNDCG":
        whole = MADE[name](**words)(scores, relevance.long(), mask)
        torch.testing.assert_close(whole, MADE[name](**words)(scores, relevance, mask))


def test_smooth_average_precision_is_the_published_one() -> None:
    """Smooth-AP (Brown et al. 2020, equation 6), in NumPy."""
    scores, relevance, _ = lists()
    found = SoftMAPLoss(regularization_strength=0.3, method="sigmoid", reduction="none")(scores, relevance)
    for row in range(4):
        s, r = scores[row].numpy(), relevance[row].numpy() > 0
        above = 1 / (1 + np.exp(-(s[None, :] - s[:, None]) / 0.3)) * (1 - np.eye(8))
        ratio = (1 + above[:, r].sum(1)) / (1 + above.sum(1))
        assert 1 - float(found[row]) == pytest.approx(ratio[r].mean())


def test_approximate_ndcg_is_the_published_one() -> None:
    """Qin et al. (2010), equations 11 and 15, in NumPy; allRank's `approxNDCGLoss` is its negative."""
    scores, relevance, mask = lists()
    found = SoftNDCGLoss(regularization_strength=0.3, method="sigmoid", reduction="none")(scores, relevance, mask)
    for row in range(4):
        s, g = scores[row][mask[row]].numpy(), 2 ** relevance[row][mask[row]].numpy() - 1
        place = 1 + (1 / (1 + np.exp((s[:, None] - s[None, :]) / 0.3)) * (1 - np.eye(len(s)))).sum(1)
        ideal = (np.sort(g)[::-1] / np.log2(np.arange(len(g)) + 2)).sum()
        assert 1 - float(found[row]) == pytest.approx((g / np.log2(1 + place)).sum() / ideal)


@pytest.mark.parametrize("k", [None, 3])
def test_transposed_neural_ndcg_is_the_same_number(k: int | None) -> None:
    """Σ_j g_j Σ_i P_ij d_i, the transposed form of Pobrotyn & Białobrzeski (2021), with the scaled matrix."""
    scores, relevance, mask = lists()
    words: dict[str, Any] = {"regularization_strength": 0.7, "method": "neuralsort", "k": k, "reduction": "none"}
    found = SoftNDCGLoss(**words)(scores, relevance, mask)
    matrix = _scaled(soft_permutation(scores, 0.7, descending=True, mask=mask))
    discount = 1 / torch.log2(torch.arange(8.0).double() + 2) * (torch.arange(8) < (k or 8))
    gains = torch.where(mask, torch.exp2(relevance) - 1, 0.0)
    transposed = (gains * (matrix.transpose(-1, -2) @ discount)).sum(-1)
    ideal = (gains.sort(-1, descending=True).values * discount).sum(-1)
    torch.testing.assert_close(1 - found[:4], (transposed / ideal)[:4])


@pytest.mark.parametrize("method", ["neuralsort", "pav"])
def test_stochastic_ndcg_is_the_mean_over_noise(method: str) -> None:
    scores, relevance, mask = lists()
    words: dict[str, Any] = {"regularization_strength": 0.7, "method": method, "k": 4}
    generator = torch.Generator().manual_seed(3)
    loss = SoftNDCGLoss(**words, samples=6, scale=0.5, generator=generator, reduction="none")
    found = loss(scores, relevance, mask)
    noisy = gumbel_perturbed(scores, 6, 0.5, torch.Generator().manual_seed(3))
    one = SoftNDCGLoss(**words, reduction="none")
    torch.testing.assert_close(found, torch.stack([one(copy, relevance, mask) for copy in noisy]).mean(0))
    leaf = scores.requires_grad_()

    def seeded(v: Tensor) -> Tensor:
        fixed = torch.Generator().manual_seed(3)
        return SoftNDCGLoss(**words, samples=2, generator=fixed, reduction="mean_relevant")(v, relevance, mask)

    assert gradcheck(seeded, (leaf,))
    quiet = SoftNDCGLoss(**words, samples=3, scale=1e-12)(scores, relevance, mask)
    torch.testing.assert_close(quiet, SoftNDCGLoss(**words)(scores, relevance, mask))


@pytest.mark.parametrize("form", ["neuralNDCG", "neuralNDCG_transposed", "stochastic", "approxNDCGLoss"])
def test_figures_of_allrank(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: Any = pytest.importorskip("allrank.models.losses", reason="a peer that need not be installed")
    scores, relevance, mask = (part[:4] for part in lists())
    scores, relevance = scores.float(), relevance.float()
    words: dict[str, Any] = {"regularization_strength": 0.7, "method": "neuralsort", "k": 3}
    if form == "approxNDCGLoss":
        found = SoftNDCGLoss(regularization_strength=0.7, method="sigmoid")(scores, relevance, mask)
        theirs = losses.approxNDCGLoss(scores, relevance.masked_fill(~mask, -1.0), alpha=1 / 0.7)
    elif form == "stochastic":  # its masks are in another order than its samples: whole lists
        generator = torch.Generator().manual_seed(3)
        noise = (gumbel_perturbed(scores, 5, 0.1, generator) - scores) / 0.1
        sampler = "allrank.models.losses.loss_utils.sample_gumbel"
        monkeypatch.setattr(sampler, lambda shape, device: noise.reshape(shape))
        same = torch.Generator().manual_seed(3)
        found = SoftNDCGLoss(**words, samples=5, generator=same)(scores, relevance)
        more = {"stochastic": True, "n_samples": 5, "log_scores": False}
        theirs = losses.neuralNDCG(scores, relevance, temperature=0.7, k=3, **more)
    else:
        found = SoftNDCGLoss(**words)(scores, relevance, mask)
        padded = relevance.masked_fill(~mask, -1.0)
        theirs = getattr(losses, form)(scores, padded, temperature=0.7, k=3)
    torch.testing.assert_close(1 - found, -theirs, atol=1e-5, rtol=0)


def test_bad_arguments() -> None:
    scores, relevance, _ = lists()
    for made, words in (
        (lambda: SoftRecallLoss(0), "k=0"),
        (lambda: SoftRecallLoss(1, method="sigmoid"), "method='sigmoid'"),
        (lambda: SoftMAPLoss(method="bitonic"), "method='bitonic'"),
        (lambda: SoftMAPLoss(reduction="max"), "reduction='max'"),  # type: ignore[arg-type]
        (lambda: SoftNDCGLoss(samples=-1), "samples=-1"),
        (lambda: SoftMAPLoss()(scores, relevance[:, :3]), "must agree"),
        (lambda: SoftRecallLoss(1)(scores, relevance[:2]), "must agree"),
    ):
        with pytest.raises(ValueError, match=words):
            made()
