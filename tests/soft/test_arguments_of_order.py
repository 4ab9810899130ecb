"""Soft argsort, weights of quantiles, fractions of k, log-masks, and dim=None."""

# mypy: disable-error-code="no-untyped-call"
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from combdiff import (
    SoftRankFenchelYoungLoss,
    SpearmanLoss,
    TrimmedLoss,
    soft_argmax,
    soft_argquantile,
    soft_argsort,
    soft_median,
    soft_permutation,
    soft_quantile,
    soft_rank,
    soft_sort,
    soft_topk,
    soft_topk_log_mask,
    soft_topk_mask,
)
from combdiff.soft import stochastic
from tests.derivatives import check_derivatives

MATRICES = ["neuralsort", "softsort", "sinkhorn", "lapsum", "network", "network_cauchy", "bitonic", "bitonic_optimal"]
each = pytest.mark.parametrize("method", MATRICES)


def sample(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@each
def test_argsort_is_the_mean_index(method: str) -> None:
    x = sample(3, 6)
    matrix, index = soft_permutation(x, 0.4, method=method), torch.arange(6.0).double()
    torch.testing.assert_close(soft_argsort(x, 0.4, method=method), (matrix * index).sum(-1))
    for down in (False, True):
        hard = soft_argsort(x, 0.0, descending=down, method=method)
        torch.testing.assert_close(hard, x.argsort(-1, descending=down).double())
    moved = soft_argsort(x.T, 0.4, dim=0, method=method)
    torch.testing.assert_close(moved, soft_argsort(x, 0.4, method=method).T)
    mask = torch.tensor([True, False, True, True, False, True])
    masked = soft_argsort(torch.where(mask, x, torch.nan), 0.0, mask=mask, method=method)
    alone = torch.arange(6)[mask][x[:, mask].argsort(-1)].double()
    torch.testing.assert_close(masked, torch.nn.functional.pad(alone, (0, 2)))
    own = lambda v: soft_argsort(v, 0.4, method=method)  # noqa: E731
    check_derivatives(own, (x,), lambda v: own(v).sin())


@each
def test_weights_of_a_quantile(method: str) -> None:
    """They sum to 1, take the quantile of the values themselves, and are the matrix' rows."""
    x = sample(3, 4, 6)
    mask = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(2)) < 0.7
    for dim in (0, 1, -1):
        for valid in (None, mask):
            weights = soft_argquantile(x, 0.3, 0.4, dim=dim, mask=valid, method=method)
            assert weights.shape == x.shape
            counts = torch.ones_like(mask) if valid is None else mask
            some = counts.any(dim)
            torch.testing.assert_close(weights.sum(dim), some.double())
            assert (weights[~counts] == 0).all()
            if not method.startswith("bitonic"):
                found = soft_quantile(x, 0.3, regularization_strength=0.4, dim=dim, mask=valid, method=method)
                torch.testing.assert_close((weights * x).sum(dim)[some], found[some])
    hard = soft_argquantile(x, 0.0, 0.0, method=method)
    torch.testing.assert_close(hard, torch.nn.functional.one_hot(x.argmin(-1), 6).double())
    points = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    several = soft_argquantile(x, points, 0.4, dim=1, method=method)
    for at, q in enumerate((0.0, 0.5, 1.0)):
        torch.testing.assert_close(several[at], soft_argquantile(x, q, 0.4, dim=1, method=method))
    check_derivatives(lambda v: soft_argquantile(v, 0.3, 0.4, method=method), (x[0, :2],))


def test_bad_quantiles() -> None:
    with pytest.raises(ValueError, match="no entries"):
        soft_argquantile(torch.zeros(2, 0), 0.5)
    with pytest.raises(ValueError, match=r"q=1\.5"):
        soft_argquantile(torch.zeros(2), 1.5)


def shares_by_bisection(x: Tensor, k: float, eps: float) -> Tensor:
    low, high = x.min() - 1e3, x.max() + 1e3
    for _ in range(200):
        level = 0.5 * (low + high)
        t = (x - level) / eps
        share = torch.where(t > 0, 1 - 0.5 * torch.exp(-t.abs()), 0.5 * torch.exp(-t.abs()))
        low, high = (level, high) if share.sum() > k else (low, level)
    return share


@pytest.mark.parametrize("k", [0.01, 0.5, 1.0, 2.0, 2.7, 5.99])
def test_fractional_k_is_its_definition(k: float) -> None:
    for seed, eps in ((0, 0.3), (1, 2.0), (2, 0.05)):
        x = sample(6, seed=seed)
        found = soft_topk_mask(x, k, regularization_strength=eps, method="lapsum")
        torch.testing.assert_close(found, shares_by_bisection(x, k, eps), atol=1e-9, rtol=1e-9)
        tensor = torch.tensor(k, dtype=torch.float64)
        assert torch.equal(found, soft_topk_mask(x, tensor, regularization_strength=eps, method="lapsum"))
        if k == int(k):
            kernel = soft_topk_mask(x, int(k), regularization_strength=eps, method="lapsum")
            torch.testing.assert_close(found, kernel)
        small = soft_topk_mask(x, k, regularization_strength=eps, largest=False, method="lapsum")
        torch.testing.assert_close(small, soft_topk_mask(-x, k, regularization_strength=eps, method="lapsum"))


@pytest.mark.parametrize("values", [[0.7, 2.4], [1.0, 3.0]])
def test_gradients_of_k(values: list[float]) -> None:
    """Whole numbers too, where the closed form of the level has no slope of its own."""
    x = sample(2, 5).requires_grad_()
    k = torch.tensor(values, dtype=torch.float64)[:, None].requires_grad_()
    eps = torch.tensor([[0.5], [0.9]], dtype=torch.float64, requires_grad=True)

    def mask(v: Tensor, k: Tensor, e: Tensor) -> Tensor:
        return soft_topk_mask(v, k, "l2", e, method="lapsum")

    check_derivatives(mask, (x, k, eps), lambda *parts: mask(*parts).sin())
    (slope,) = torch.autograd.grad(mask(x, k, eps).sum(), k)
    torch.testing.assert_close(slope, torch.ones_like(slope), msg="the mask sums to k")
    valid = torch.tensor([True, True, False, True, True])
    assert gradcheck(lambda v, k: soft_topk_mask(v, k, mask=valid, method="lapsum"), (x, k))


def test_a_number_of_places_can_be_learnt() -> None:
    x, k = sample(4, 9), torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    wanted = soft_topk_mask(x, 2, regularization_strength=0.5, method="lapsum")
    for _ in range(300):
        mask = soft_topk_mask(x, k, regularization_strength=0.5, method="lapsum")
        (slope,) = torch.autograd.grad((mask - wanted).square().sum(), k)
        k = (k - 0.2 * slope).detach().requires_grad_()
    assert float(k.detach()) == pytest.approx(2.0, abs=1e-4)


def test_fractional_k_at_the_edges() -> None:
    x = sample(3, 5)
    x[1, 2], x[1, 0], x[2, 4] = torch.inf, -torch.inf, torch.nan
    k = torch.tensor([[0.0], [2.5], [1.5]], dtype=torch.float64, requires_grad=True)
    found = soft_topk_mask(x, k, regularization_strength=0.4, method="lapsum")
    assert found[0].tolist() == [0.0] * 5
    assert found[1, [2, 0]].tolist() == [1.0, 0.0]
    assert float(found[1].detach().sum()) == pytest.approx(2.5)
    assert found[2].isnan().all()
    (slope,) = torch.autograd.grad(found[:2].square().sum(), k)
    assert slope.isfinite().all()
    assert soft_topk_mask(x[:1], 5.0, method="lapsum").tolist() == [[1.0] * 5]
    far = torch.tensor([0.0, 1e6, 2e6], dtype=torch.float64, requires_grad=True)
    shares = soft_topk_mask(far, torch.tensor([1.25]).double().requires_grad_(), method="lapsum")
    assert shares.tolist() == pytest.approx([0.0, 0.25, 1.0])
    half = soft_topk_mask(sample(5).bfloat16(), 1.5, method="lapsum")
    assert half.dtype == torch.bfloat16
    assert soft_topk_mask(torch.zeros(2, 0), 0.0, method="lapsum").shape == (2, 0)


def test_bad_fractions_of_k() -> None:
    x = sample(3, 5)
    for method in ("pav", "softsort", "network"):
        for k in (1.5, torch.tensor(2.0)):
            with pytest.raises(TypeError, match="for fractions use method='lapsum'"):
                soft_topk_mask(x, k, method=method)
    with pytest.raises(TypeError, match="must be a whole number"):
        soft_topk(x, 1.5, method="lapsum")  # type: ignore[arg-type]
    for bad in (-0.5, 5.5, math.nan):
        for made in (bad, torch.tensor([[1.0], [bad], [2.0]])):
            with pytest.raises(ValueError, match=f"k={bad}"):
                soft_topk_mask(x, made, method="lapsum")
    with pytest.raises(ValueError, match="one k a row"):
        soft_topk_mask(x, torch.tensor([1.0, 2.0, 3.0]), method="lapsum")
    outside = torch.func.vmap(lambda k: soft_topk_mask(x[0], k, method="lapsum"))(torch.tensor([1.5, 7.0]))
    assert outside.isnan().all(-1).tolist() == [False, True]


@pytest.mark.parametrize("k", [1, 3, 2.5])
def test_log_masks(k: float) -> None:
    x = sample(3, 6)
    eps = torch.tensor(0.6, dtype=torch.float64)
    found = soft_topk_log_mask(x, k, eps)
    torch.testing.assert_close(found, soft_topk_mask(x, k, "l2", eps, method="lapsum").log())
    small = soft_topk_log_mask(x, k, eps, largest=False)
    torch.testing.assert_close(small, soft_topk_log_mask(-x, k, eps))
    leaves = x.requires_grad_(), eps.requires_grad_()
    assert gradcheck(lambda v, e: soft_topk_log_mask(v, k, e), leaves)
    assert gradgradcheck(lambda v, e: soft_topk_log_mask(v, k, e).sin(), leaves)
    valid = torch.tensor([True, False, True, True, True, False])
    masked = soft_topk_log_mask(torch.where(valid, x, torch.nan), k, eps, mask=valid)
    torch.testing.assert_close(masked[:, valid], soft_topk_log_mask(x[:, valid], k, eps))
    assert (masked[:, ~valid] == -torch.inf).all()


def test_log_masks_do_not_underflow() -> None:
    """Of n values far apart, k = 1: the level lies in the middle of the largest two, whatever their distance."""
    for scale in (10.0, 1e3, 1e5):
        x = (scale * torch.tensor([0.0, 1.0, 3.0])).requires_grad_()
        found = soft_topk_log_mask(x, 1)
        level = 2 * scale
        assert found.tolist() == pytest.approx([-math.log(2) - level, -math.log(2) - scale, 0.0], rel=1e-5, abs=1e-4)
        (gradient,) = torch.autograd.grad(found[0], x)
        assert gradient.tolist() == pytest.approx([1.0, -0.5, -0.5], abs=1e-3)
    fractions = torch.tensor([0.0, 1e4, 3e4], dtype=torch.float64)
    for k, level in ((0.25, 3e4 + math.log(2.0)), (0.75, 3e4 - math.log(2.0)), (1.25, 1e4 + math.log(2.0))):
        expected = [value - level - math.log(2) for value in (0.0, 1e4)]
        assert soft_topk_log_mask(fractions, k)[:1].tolist() == pytest.approx(expected[:1])
    edge = soft_topk_log_mask(torch.tensor([[torch.inf, 0.0, -torch.inf], [torch.nan, 0.0, 1.0]]), 1)
    assert edge[0].tolist() == [0.0, -torch.inf, -torch.inf]
    assert edge[1].isnan().all()
    assert (soft_topk_log_mask(torch.zeros(3), 0) == -torch.inf).all()
    assert (soft_topk_log_mask(torch.zeros(3), 3) == 0.0).all()


FLAT: dict[str, Callable[..., Any]] = {
    "rank": soft_rank,
    "rank by sigmoids": lambda x, **words: soft_rank(x, method="sigmoid", **words),
    "mask": lambda x, **words: soft_topk_mask(x, 4, **words),
    "fraction": lambda x, **words: soft_topk_mask(x, 2.5, method="lapsum", **words),
    "top": lambda x, **words: soft_topk(x, 4, **words).mask,
    "log": lambda x, **words: soft_topk_log_mask(x, 4, **words),
    "weights": lambda x, **words: soft_argquantile(x, 0.3, **words),
    "sort": soft_sort,
    "values": lambda x, **words: soft_topk(x, 4, **words).values,
    "argsort": soft_argsort,
    "matrix": soft_permutation,
    "quantile": lambda x, **words: soft_quantile(x, torch.tensor([0.2, 0.9]).double(), **words),
    "median": soft_median,
    "argmax": soft_argmax,
}
KEEP = ("rank", "rank by sigmoids", "mask", "fraction", "top", "log", "weights")


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3, 4)])
def test_no_dimension_is_all_of_them(name: str, shape: tuple[int, ...]) -> None:
    x = sample(*shape)
    if shape != (2, 3, 4) and name in ("mask", "top", "log", "values", "fraction"):
        x = sample(2, 3)
    mask = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.9 if x.ndim else None
    operator = FLAT[name]
    for words in ({}, {"regularization_strength": torch.tensor([0.3]).double()}):
        found = operator(x, dim=None, mask=mask, **words)
        flat = operator(x.flatten(), mask=None if mask is None else mask.flatten(), **words)
        assert torch.equal(found, flat.reshape(x.shape) if name in KEEP else flat)
    if name in ("quantile", "median", "argmax"):
        kept = operator(x, dim=None, keepdim=True)
        assert kept.shape == ((2,) if name == "quantile" else ()) + x.ndim * (1,)
    if x.ndim > 1 and name != "log":
        with pytest.raises(ValueError, match="one strength a row"):
            operator(x, dim=None, regularization_strength=torch.ones(2))


def test_losses_without_a_dimension() -> None:
    x, t = sample(3, 4), sample(3, 4, seed=1)
    mask = torch.rand(3, 4, generator=torch.Generator().manual_seed(1)) < 0.7
    for made, more in ((SpearmanLoss, (t,)), (SoftRankFenchelYoungLoss, (t,))):
        for reduction in ("mean", "none"):
            found = made(dim=None, reduction=reduction)(x, *more, mask=mask)
            flat = made(reduction=reduction)(x.flatten(), *(y.flatten() for y in more), mask=mask.flatten())
            torch.testing.assert_close(found, flat)
    torch.testing.assert_close(TrimmedLoss(0.2, dim=None)(x, mask), TrimmedLoss(0.2)(x.flatten(), mask.flatten()))
    with pytest.raises(ValueError, match="would mix the samples"):
        stochastic(soft_rank, x, dim=None)


def test_ranks_by_sigmoids() -> None:
    x, eps = sample(3, 6), 0.4
    gaps = (x[..., :, None] - x[..., None, :]) / eps
    pairs = torch.sigmoid(gaps) * (1 - torch.eye(6).double())
    torch.testing.assert_close(soft_rank(x, regularization_strength=eps, method="sigmoid"), 1 + pairs.sum(-1))
    down = soft_rank(x, regularization_strength=eps, method="sigmoid", descending=True)
    torch.testing.assert_close(down, 7 - (1 + pairs.sum(-1)))
    torch.testing.assert_close(
        soft_rank(x, regularization_strength=0.0, method="sigmoid"), x.argsort(-1).argsort(-1) + 1.0, check_dtype=False
    )
    mask = torch.tensor([True, False, True, True, True, False])
    spoilt = torch.where(mask, x, torch.nan)
    masked = soft_rank(spoilt, regularization_strength=eps, method="sigmoid", mask=mask)
    torch.testing.assert_close(masked[:, mask], soft_rank(x[:, mask], regularization_strength=eps, method="sigmoid"))
    assert (masked[:, ~mask] == 0).all()
    edge = soft_rank(torch.tensor([torch.inf, 1.0, -torch.inf, torch.inf]), method="sigmoid")
    assert edge.tolist() == [3.5, 2.0, 1.0, 3.5]
    strength = torch.tensor(0.4, dtype=torch.float64)
    leaves = x.requires_grad_(), strength.requires_grad_()
    assert gradcheck(lambda v, e: soft_rank(v, "l2", e, method="sigmoid"), leaves)
    assert gradgradcheck(lambda v, e: soft_rank(v, "l2", e, method="sigmoid").sin(), leaves)
