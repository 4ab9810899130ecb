"""The laws of soft sort and soft rank: what the projection is, whatever computes it."""

# mypy: disable-error-code="no-untyped-call"
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import soft_rank, soft_sort
from tests.soft.reference import brute_rank, brute_sort, lse

OPERATORS = [(soft_rank, "l2"), (soft_sort, "l2"), (soft_rank, "kl"), (soft_sort, "kl")]
each_operator = pytest.mark.parametrize(("operator", "reg"), OPERATORS, ids=lambda v: getattr(v, "__name__", v))
STRENGTHS = [1e-3, 0.1, 1.0, 7.0]


def rows(n: int, count: int = 40, ties: bool = True) -> Tensor:
    """Random rows, a third of them on a coarse grid, so with ties."""
    x = torch.randn(count, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    if ties:
        x[: count // 3] = (2 * x[: count // 3]).round() / 2
    return x


@pytest.mark.parametrize("n", [1, 2, 3, 6])
@pytest.mark.parametrize("eps", STRENGTHS)
@each_operator
def test_brute_force_over_every_partition_into_blocks(operator, reg, eps, n):  # type: ignore[no-untyped-def]
    x = rows(n, 12)
    truth = brute_rank if operator is soft_rank else brute_sort
    expected = np.stack([truth(row, eps, reg == "kl") for row in x.numpy()])
    np.testing.assert_allclose(operator(x, reg, eps).numpy(), expected, rtol=1e-10, atol=1e-10 / min(eps, 1))


def test_kl_blocks_reach_across_windows_of_exponentials() -> None:
    """Two close values on the two sides of the edge where a kernel starts its exponentials anew."""
    x = torch.tensor([0.0, -299.9999, -300.0001, -600.0, -600.2], dtype=torch.float64)
    np.testing.assert_allclose(soft_rank(x, "kl", 1.0).numpy(), brute_rank(x.numpy(), 1.0, True), rtol=1e-10)
    np.testing.assert_allclose(soft_sort(x, "kl", 1.0).numpy(), brute_sort(x.numpy(), 1.0, True), rtol=1e-10)


@pytest.mark.parametrize("n", [2, 5, 17, 100, 600, 5000])
@pytest.mark.parametrize("eps", STRENGTHS)
@each_operator
def test_agrees_with_torchsort(operator, reg, eps, n):  # type: ignore[no-untyped-def]
    peer = pytest.importorskip("torchsort", reason="torchsort has to be compiled; brute force covers n <= 6 without it")
    x = rows(n, 9)
    leaf, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours, theirs = operator(leaf, reg, eps), getattr(peer, operator.__name__)(other, reg, eps)
    scale = theirs.detach().abs().max()  # z = ρ/ε is large, and only torchsort subtracts such numbers
    noise = 1e-10 if operator is soft_rank else 1e-13 * n / eps
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=max(1e-10, noise, 1e-13 * float(scale)))
    if eps >= 0.1 and n <= 600:  # below, torchsort finds other blocks in its backward than in its forward
        weights = torch.linspace(-1, 1, n, dtype=torch.float64).sin()
        (ours * weights).sum().backward()
        (theirs * weights).sum().backward()
        assert leaf.grad is not None
        assert other.grad is not None
        distinct = slice(3, None) if operator is soft_sort else slice(None)  # a tie may be cut either way
        torch.testing.assert_close(leaf.grad[distinct], other.grad[distinct], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("eps", STRENGTHS)
@pytest.mark.parametrize("reg", ["l2", "kl"])
def test_kkt_of_the_dual(reg: str, eps: float) -> None:
    """v = z − projection is constant on blocks, non-increasing, and solves each block alone."""
    x = rows(40)
    z = x.sort(-1, descending=True).values / eps
    ranks = soft_rank(x, reg, eps).gather(-1, x.argsort(-1, descending=True))
    w = torch.arange(40, 0, -1.0, dtype=torch.float64)
    if reg == "kl":
        ranks, w = ranks.log(), w.log()
    v = z - ranks
    assert (v.diff(dim=-1) <= 1e-9 / eps).all()
    for row in range(len(x)):
        edges = [0, *(torch.nonzero(v[row].diff() < -1e-7).flatten() + 1).tolist(), 40]
        for a, b in itertools.pairwise(edges):
            zs, ws = z[row, a:b].numpy(), w[a:b].numpy()
            level = lse(zs) - lse(ws) if reg == "kl" else (zs - ws).mean()
            np.testing.assert_allclose(v[row, a:b].numpy(), level, atol=1e-9 / eps)


@pytest.mark.parametrize("eps", [0.0, *STRENGTHS])
@pytest.mark.parametrize("n", [3, 30, 700])
@pytest.mark.parametrize("reg", ["l2", "kl"])
def test_ranks_are_in_the_permutahedron(reg: str, n: int, eps: float) -> None:
    x = rows(n)
    ranks = soft_rank(x, reg, eps)
    torch.testing.assert_close(ranks.sum(-1), torch.full((40,), n * (n + 1) / 2, dtype=torch.float64))
    top = ranks.sort(-1, descending=True).values.cumsum(-1)
    most = torch.arange(n, 0, -1.0, dtype=torch.float64).cumsum(-1)
    assert (top <= most + 1e-8).all()
    order = x.argsort(dim=-1, stable=True)
    assert (ranks.gather(-1, order).diff(dim=-1) >= -1e-9).all(), "order-preserving"
    same = x.gather(-1, order).diff(dim=-1) == 0
    assert (ranks.gather(-1, order).diff(dim=-1)[same].abs() < 1e-9).all(), "ties have equal ranks"


@pytest.mark.parametrize("eps", STRENGTHS)
def test_l2_sort_is_majorised_by_the_values(eps: float) -> None:
    x = rows(50)
    ordered, hard = soft_sort(x, "l2", eps, descending=True), x.sort(-1, descending=True).values
    torch.testing.assert_close(ordered.sum(-1), x.sum(-1))
    assert (ordered.cumsum(-1) <= hard.cumsum(-1) + 1e-9).all()
    torch.testing.assert_close(soft_sort(x, "l2", eps), -soft_sort(-x, "l2", eps).flip(-1))
    torch.testing.assert_close(soft_sort(x, "l2", eps, descending=True), soft_sort(x, "l2", eps).flip(-1))
    again = soft_sort(soft_sort(x, "l2", eps), "l2", eps)  # projecting ρ/ε onto a smaller set that holds the projection
    torch.testing.assert_close(again, soft_sort(x, "l2", eps))


@pytest.mark.parametrize("eps", STRENGTHS)
@each_operator
def test_equivariance_and_shifts(operator, reg, eps):  # type: ignore[no-untyped-def]
    x = rows(60, ties=False)
    permutation = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    y, moved = operator(x, reg, eps), operator(x[:, permutation], reg, eps)
    torch.testing.assert_close(moved, y[:, permutation] if operator is soft_rank else y)
    shifted = operator(x + 2.0, reg, eps)
    torch.testing.assert_close(shifted, y if operator is soft_rank else y + 2.0)
    scaled = operator(4.0 * x, reg, 4.0 * eps)
    if operator is soft_rank:
        torch.testing.assert_close(scaled, y)
    down = operator(x, reg, eps, descending=True)
    torch.testing.assert_close(down, operator(-x, reg, eps) if operator is soft_rank else -operator(-x, reg, eps))


@pytest.mark.parametrize("eps", [0.0, 1e-300, 1e-12])
@pytest.mark.parametrize("reg", ["l2", "kl"])
def test_small_strengths_are_exact(reg: str, eps: float) -> None:
    x = rows(200, ties=False)
    hard = x.argsort(-1).argsort(-1) + 1.0
    assert torch.equal(soft_rank(x, reg, eps), hard.double())
    assert torch.equal(soft_sort(x, reg, eps), x.sort(-1).values)
    assert torch.equal(soft_sort(x.float(), reg, eps), x.float().sort(-1).values)


def test_hard_ranks_of_ties_are_their_mean() -> None:
    from scipy.stats import rankdata

    x = rows(31)
    for reg in ("l2", "kl"):
        for eps in (0.0, 1e-9):
            np.testing.assert_allclose(soft_rank(x, reg, eps).numpy(), rankdata(x.numpy(), axis=-1), rtol=1e-12)


def test_large_strengths() -> None:
    x = rows(21)
    for eps in (1e8, float("inf")):
        for reg in ("l2", "kl"):
            torch.testing.assert_close(soft_rank(x, reg, eps), torch.full_like(x, 11.0), atol=1e-6, rtol=0)
        mean = x.mean(-1, keepdim=True).expand_as(x)
        torch.testing.assert_close(soft_sort(x, "l2", eps), mean, atol=1e-6, rtol=0)


@pytest.mark.parametrize("offset", [1e8, -1e8])
@each_operator
def test_large_offsets_cost_nothing(operator, reg, offset):  # type: ignore[no-untyped-def]
    x = rows(100).mul(1024).round() / 1024  # exact beside the offset
    y, moved = operator(x, reg, 0.3), operator(x + offset, reg, 0.3)
    torch.testing.assert_close(moved - (offset if operator is soft_sort else 0.0), y, atol=1e-7, rtol=0)
    single = torch.tensor([3.0, 1.0, 2.0, 0.0]) * 8 + 1e8  # neighbouring float32 numbers
    assert soft_rank(single, reg, 1.0).tolist() == [4.0, 2.0, 3.0, 1.0]


@each_operator
def test_float32_is_close_to_float64(operator, reg):  # type: ignore[no-untyped-def]
    for n in (16, 100, 511, 4000, 100_000):
        x = torch.randn(2, n, generator=torch.Generator().manual_seed(n))
        for eps in (1e-3, 1.0):
            y, truth = operator(x, reg, eps), operator(x.double(), reg, eps)
            assert y.dtype == torch.float32
            bound = 0.01 if operator is soft_rank else 1e-6 * max(1.0, float(truth.abs().max()))
            assert (y - truth).abs().max() <= bound


@pytest.mark.parametrize("scale", [50.0, 1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kl_gradients_at_large_scales(dtype: torch.dtype, scale: float) -> None:
    x = (torch.randn(4, 30, generator=torch.Generator().manual_seed(1)).double() * scale).to(dtype).requires_grad_()
    weights = torch.linspace(-1, 3, 30).to(dtype)  # of sum 30: of sum 0 one block alone would have no gradient
    for operator in (soft_rank, soft_sort):
        for eps in (1.0, scale):
            (gradient,) = torch.autograd.grad((operator(x, "kl", eps) * weights).sum(), x)
            assert gradient.isfinite().all()
            step = 1e-6 * scale
            direction = torch.randn(4, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
            wide = x.detach().double()
            up, down = (operator(wide + sign * step * direction, "kl", eps) for sign in (1, -1))
            numeric = ((up - down) * weights).sum() / (2 * step)
            exact = (gradient.double() * direction).sum()
            torch.testing.assert_close(exact, numeric, rtol=1e-4, atol=1e-4 * float(numeric.abs()) + 1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@each_operator
def test_half_precision_at_a_hundred_thousand(operator, reg, dtype):  # type: ignore[no-untyped-def]
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(3)).to(dtype).requires_grad_()
    if dtype == torch.float16 and operator is soft_rank:
        with pytest.warns(UserWarning, match="65504"):
            y = operator(x, reg)
        expected = soft_rank(x.float(), reg).clamp(max=65504)
    else:
        y, expected = operator(x, reg), operator(x.float(), reg)
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), expected, rtol=torch.finfo(dtype).eps, atol=1e-2)
    y.float().square().mean().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_infinite_values_are_hard() -> None:
    inf, x = float("inf"), torch.tensor([1.0, 1.5, float("inf"), -float("inf"), float("inf"), 1.2], dtype=torch.float64)
    for reg in ("l2", "kl"):
        leaf = x.clone().requires_grad_()
        ranks = soft_rank(leaf, reg)
        inner = soft_rank(x[[0, 1, 5]], reg) if reg == "l2" else ranks.detach()[[0, 1, 5]] - 1
        torch.testing.assert_close(ranks[[0, 1, 5]].detach(), inner + 1)
        assert ranks[[2, 4, 3]].tolist() == [5.5, 5.5, 1.0]
        ranks.square().sum().backward()
        assert leaf.grad is not None
        assert leaf.grad[[2, 3, 4]].tolist() == [0.0, 0.0, 0.0]
        assert leaf.grad.isfinite().all()
        ordered = soft_sort(x, reg)
        assert ordered[[0, 4, 5]].tolist() == [-inf, inf, inf]
        torch.testing.assert_close(ordered[1:4], soft_sort(x[[0, 1, 5]], reg))


@each_operator
def test_a_nan_poisons_its_row_only(operator, reg):  # type: ignore[no-untyped-def]
    x = rows(20, 3).requires_grad_()
    spoilt = torch.where(torch.arange(60).reshape(3, 20) == 25, torch.nan, x)
    y = operator(spoilt, reg)
    assert y[1].isnan().all()
    torch.testing.assert_close(y[[0, 2]], operator(x[[0, 2]], reg))
    (gradient,) = torch.autograd.grad(y[[0, 2]].square().sum(), x)
    assert gradient[[0, 2]].isfinite().all()


@pytest.mark.parametrize("n", [2, 5, 7, 8, 40])
@each_operator
def test_rows_do_not_know_each_other(operator, reg, n):  # type: ignore[no-untyped-def]
    """Whatever the batch: a row has the result and the gradient that it has alone, with its own strength."""
    x = rows(n, 300, ties=False)  # which of two equal float64 comes first may depend on the batch
    x[7, 1], x[8, 0], x[9, n - 1] = torch.nan, torch.inf, -torch.inf
    x[10] *= 1e4  # its exponentials need several windows
    strengths = torch.tensor([0.0, 1e-3, 0.3, 1.0, 50.0, torch.inf], dtype=torch.float64).repeat(50)[:, None]
    weights = torch.linspace(-1, 1, n, dtype=torch.float64).sin()

    def both(values: Tensor, eps: Tensor | float) -> tuple[Tensor, Tensor]:
        leaf = values.clone().requires_grad_()
        y = operator(leaf, reg, eps)
        return y.detach(), torch.autograd.grad((y * weights).sum(), leaf)[0]

    y, gradient = both(x, strengths)
    for row in [*range(40), 298, 299]:
        alone = both(x[row], float(strengths[row]))
        torch.testing.assert_close((y[row], gradient[row]), alone, equal_nan=True, rtol=1e-12, atol=1e-12)


def test_zero_has_no_sign() -> None:
    y = soft_sort(torch.tensor([[1.0, 0.0, -1.0]]), regularization_strength=1e-3)
    assert y[0, 1] == 0
    assert not y[0, 1].signbit()
