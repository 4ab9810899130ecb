"""The kernel of top-k masks against the torch operations that stand for it elsewhere, and against dense formulas."""

# mypy: disable-error-code="no-untyped-call"
import pytest
import torch
from torch import Tensor

from combdiff import soft_rank, soft_sort, soft_topk, soft_topk_mask
from combdiff.soft.operators.top_shares import _by_torch, top_shares
from combdiff.soft.permutahedron.kinds import TOP_KL, TOP_L2, TOP_LAPLACE

KINDS = [TOP_L2, TOP_KL, TOP_LAPLACE]


def rows(n: int, seed: int, ties: bool) -> Tensor:
    """Five rows: usual values, two clusters, an outlier, infinite values, a NaN."""
    x = torch.randn(5, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = (2 * x).round() / 2 if ties else x
    x[1, ::2] += 1000.0
    x[2, 0] = 1e17
    x[3, : n // 3] = torch.inf
    x[3, n - n // 4 :] = -torch.inf
    x[4, n // 2] = torch.nan
    return x


@pytest.mark.parametrize("n", [1, 2, 5, 9, 40, 700])
@pytest.mark.parametrize("kind", KINDS)
def test_kernel_and_torch_agree(kind: int, n: int) -> None:
    """Values and first gradients, with masks, ties, every k of short rows and strengths from 0 to infinity."""
    generator = torch.Generator().manual_seed(n)
    weights = torch.randn(5, n, dtype=torch.float64, generator=generator)
    strengths = torch.tensor([0.0, 1e-3, 0.4, 1.0, 30.0, torch.inf], dtype=torch.float64)
    for trial in range(12):
        x, eps = rows(n, trial, ties=trial % 3 == 0), strengths.roll(trial)[:5, None]
        mask = None if trial % 2 else torch.rand(5, n, generator=generator) < 0.7
        for k in range(1, n + 1) if n < 10 else (1, n // 2, n - 1):
            found, leaves = [], []
            for shares in (top_shares, _by_torch):
                leaf, strength = x.clone().requires_grad_(), eps.clone().requires_grad_()
                y = shares(leaf, k, strength, mask, kind)
                found.append(y)
                leaves.append(torch.autograd.grad((y * weights).sum(), (leaf, strength)))
            torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9, equal_nan=True)
            ours, theirs = leaves
            assert all(gradient.isfinite().all() for gradient in (*ours, *theirs))
            if trial % 3:  # at a tie of l2 the gradient is one of several
                unit = eps.clamp(max=100.0)
                torch.testing.assert_close(unit * ours[0], unit * theirs[0], rtol=1e-6, atol=1e-8)
                torch.testing.assert_close(unit * ours[1], unit * theirs[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", ["pav", "lapsum"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_other_precisions(dtype: torch.dtype, method: str) -> None:
    x = torch.randn(300, 30, generator=torch.Generator().manual_seed(2)).to(dtype).requires_grad_()
    mask = soft_topk_mask(x, 4, regularization_strength=0.5, method=method)
    assert mask.dtype == dtype
    torch.testing.assert_close(mask, soft_topk_mask(x.double(), 4, "l2", 0.5, method=method).to(dtype))
    assert torch.equal(mask, soft_topk(x, 4, regularization_strength=0.5, method=method).mask)
    (gradient,) = torch.autograd.grad(mask.square().sum(), x)
    assert gradient.dtype == dtype
    assert gradient.isfinite().all()


def test_the_shares_of_lapsum_stay_apart_from_zero() -> None:
    """A label far below the others still has a gradient: slopes are not taken from rounded shares."""
    x = torch.tensor([[0.0, 25.0, 60.0, 90.0]], requires_grad=True)
    shares = soft_topk_mask(x, 2, method="lapsum")
    (gradient,) = torch.autograd.grad(shares[0, 0].log(), x)
    wide = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(soft_topk_mask(wide, 2, method="lapsum")[0, 0].log(), wide)
    torch.testing.assert_close(gradient, expected.float())
    assert float(gradient[0, 0]) == pytest.approx(1.0, abs=0.01)


def dense_levels(x: Tensor, eps: float) -> Tensor:
    """The levels b_1 ... b_{n−1} of one row, by bisection of N."""
    n = len(x)
    low, high = (x.min() - 99 * eps).expand(n - 1), (x.max() + 99 * eps).expand(n - 1)
    for _ in range(200):
        middle = 0.5 * (low + high)
        count = laplace((middle[:, None] - x) / eps).sum(-1)
        below = count < torch.arange(1, n)
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def laplace(u: Tensor) -> Tensor:
    return torch.where(u <= 0, 0.5 * u.clamp(max=0).exp(), 1 - 0.5 * (-u.clamp(min=0)).exp())


@pytest.mark.parametrize("eps", [0.05, 0.4, 3.0])
def test_a_lapsum_sort_is_its_matrix_times_the_values(eps: float) -> None:
    """Not the levels themselves, which LapSum's own package calls a soft sort: those leave the range of the values."""
    x = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    levels = dense_levels(x, eps)
    shares = laplace((levels[:, None] - x) / eps)
    shares = torch.cat([torch.zeros(1, 9), shares, torch.ones(1, 9)]).double().diff(dim=0)
    torch.testing.assert_close(shares.sum(0), torch.ones(9).double())
    ordered = soft_sort(x, regularization_strength=eps, method="lapsum")
    torch.testing.assert_close(ordered, shares @ x)
    assert x.min() <= ordered.min() <= ordered.max() <= x.max()
    k = 4
    mask = soft_topk_mask(x, k, regularization_strength=eps, method="lapsum")
    torch.testing.assert_close(mask, laplace((x - levels[9 - k - 1]) / eps))
    ranks = soft_rank(x, regularization_strength=eps, method="lapsum")
    torch.testing.assert_close(ranks, laplace((x[:, None] - x) / eps).sum(-1) + 0.5)
