"""Infinite values, NaN, outliers and strengths out of range: every method keeps what the documentation says."""

# mypy: disable-error-code="no-untyped-call"
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, jvp, vmap

from combdiff import (
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
from combdiff.soft import straight_through
from combdiff.soft.operators.permutation import MATRICES
from combdiff.soft.operators.rank import METHODS as ALL_METHODS
from tests.derivatives import check_derivatives

INF, NAN, LOW = float("inf"), float("nan"), -1e9
METHODS = [name for name in ALL_METHODS if name != "torchsort"]
EPS = 0.3
each_method = pytest.mark.parametrize("method", METHODS)
each_direction = pytest.mark.parametrize("down", [False, True])


def rows() -> tuple[Tensor, Tensor]:
    """Rows with infinite values, and a mask that leaves some of them out."""
    x = torch.randn(6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    x[1, 2], x[2, 5] = INF, -INF
    x[3, 0] = x[3, 4] = INF
    x[3, 1] = x[3, 6] = x[3, 7] = -INF
    x[4], x[4, :3] = INF, -INF
    x[5, 0], x[5, 7] = INF, -INF
    mask = torch.ones(6, 8, dtype=torch.bool)
    mask[1, 0] = mask[3, 1] = mask[5, 7] = mask[2, 3] = False
    return x, mask


def parts(x: Tensor, mask: Tensor, down: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Which entries of a row come first, between and last."""
    low, high = mask & (x == -INF), mask & (x == INF)
    return (high if down else low), mask & x.isfinite(), (low if down else high)


@each_direction
@each_method
def test_infinite_values_have_hard_ranks(method: str, down: bool) -> None:
    x, mask = rows()
    leaf = x.clone().requires_grad_()
    ranks = soft_rank(leaf, regularization_strength=EPS, descending=down, mask=mask, method=method)
    for row in range(len(x)):
        first, middle, last = parts(x[row], mask[row], down)
        before, k = int(first.sum()), int(mask[row].sum())
        alone = soft_rank(x[row][middle], regularization_strength=EPS, descending=down, method=method)
        torch.testing.assert_close(ranks[row][middle], alone + before)
        assert ranks[row][first].tolist() == pytest.approx([(before + 1) / 2] * before)
        after = int(last.sum())
        assert ranks[row][last].tolist() == pytest.approx([k - (after - 1) / 2] * after)
    (gradient,) = torch.autograd.grad(ranks.square().sum(), leaf)
    assert gradient.isfinite().all()
    assert (gradient[x.isinf()] == 0).all()


@each_direction
@each_method
def test_infinite_values_are_sorted_to_the_ends(method: str, down: bool) -> None:
    x, mask = rows()
    leaf = x.clone().requires_grad_()
    ordered = soft_sort(leaf, regularization_strength=EPS, descending=down, mask=mask, method=method)
    for row in range(len(x)):
        first, middle, last = parts(x[row], mask[row], down)
        alone = soft_sort(x[row][middle], regularization_strength=EPS, descending=down, method=method)
        rest = torch.zeros(int((~mask[row]).sum()), dtype=torch.float64)
        expected = torch.cat([x[row][first], alone, x[row][last], rest])
        torch.testing.assert_close(ordered[row], expected)
    total = torch.where(ordered.isfinite(), ordered, 0.0).square().sum()
    (gradient,) = torch.autograd.grad(total, leaf)
    assert gradient.isfinite().all()
    assert (gradient[x.isinf()] == 0).all()


@each_direction
@pytest.mark.parametrize("method", MATRICES)
def test_infinite_values_share_the_rows_of_their_positions(method: str, down: bool) -> None:
    x, mask = rows()
    matrix = soft_permutation(x, EPS, descending=down, mask=mask, method=method)
    for row in range(len(x)):
        first, middle, last = parts(x[row], mask[row], down)
        sizes = [int(part.sum()) for part in (first, middle, last)]
        alone = soft_permutation(x[row][middle], EPS, descending=down, method=method)
        blocks = [torch.full((sizes[0], sizes[0]), 1 / max(sizes[0], 1)).double(), alone]
        blocks.append(torch.full((sizes[2], sizes[2]), 1 / max(sizes[2], 1)).double())
        columns = torch.cat([part.nonzero().flatten() for part in (first, middle, last)])
        size = sum(sizes)
        torch.testing.assert_close(matrix[row][:size][:, columns], torch.block_diag(*blocks))
        assert (matrix[row][size:] == 0).all()


@pytest.mark.parametrize("k", [1, 2, 4, 7])
@pytest.mark.parametrize("reg", ["l2", "kl"])
@each_method
def test_infinite_values_take_the_first_places(method: str, reg: str, k: int) -> None:
    x, mask = rows()
    for largest in (True, False):
        leaf = x.clone().requires_grad_()
        values, shares = soft_topk(leaf, k, reg, EPS, largest=largest, mask=mask, method=method)
        assert torch.equal(shares, soft_topk_mask(x, k, reg, EPS, largest=largest, mask=mask, method=method))
        hard = soft_sort(x, reg, EPS, descending=largest, mask=mask, method=method)[..., :k]
        torch.testing.assert_close(values, hard)
        torch.testing.assert_close(shares.sum(-1), mask.sum(-1).clamp(max=k).double())
        for row in range(len(x)):
            first, middle, last = parts(x[row], mask[row], largest)
            before, between, after = (int(part.sum()) for part in (first, middle, last))
            assert shares[row][first].tolist() == pytest.approx([min(k / max(before, 1), 1.0)] * before)
            left = min(max(k - before, 0), between)
            alone = soft_topk_mask(x[row][middle], left, reg, EPS, largest=largest, method=method)
            torch.testing.assert_close(shares[row][middle], alone)
            rest = max(k - before - between, 0)
            assert shares[row][last].tolist() == pytest.approx([min(rest / max(after, 1), 1.0)] * after)
        (gradient,) = torch.autograd.grad(shares.square().sum(), leaf)
        assert gradient.isfinite().all()


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "rank": lambda x, e=EPS, **more: soft_rank(x, "l2", e, **more),
    "sort": lambda x, e=EPS, **more: soft_sort(x, "l2", e, **more),
    "topk": lambda x, e=EPS, **more: soft_topk(x, 2, "l2", e, **more).values,
    "topk mask": lambda x, e=EPS, **more: soft_topk_mask(x, 2, "l2", e, **more),
    "topk mask kl": lambda x, e=EPS, **more: soft_topk_mask(x, 2, "kl", e, **more),
    "argmax": lambda x, e=EPS, **more: soft_argmax(x, "l2", e, **more)[..., None],
    "median": lambda x, e=EPS, **more: soft_median(x, "l2", e, **more)[..., None],
}
OWN: dict[str, Callable[..., Tensor]] = {  # those that do not take every method
    "rank sigmoid": lambda x, e=EPS, **more: soft_rank(x, "l2", e, method="sigmoid", **more),
    "argsort": lambda x, e=EPS, **more: soft_argsort(x, e, method="bitonic_cauchy", **more),
    "argquantile": lambda x, e=EPS, **more: soft_argquantile(x, 0.3, e, method="sinkhorn", **more),
    "mask of a fraction": lambda x, e=EPS, **more: soft_topk_mask(x, 2.5, "l2", e, method="lapsum", **more),
    "log mask": lambda x, e=EPS, **more: soft_topk_log_mask(x, 2, e, **more).clamp(min=LOW),
    "log mask of a fraction": lambda x, e=EPS, **more: soft_topk_log_mask(x, 2.5, e, **more).clamp(min=LOW),
    "straight-through rank": lambda x, e=EPS, **more: straight_through(soft_rank)(
        x, regularization_strength=e, method="lapsum", **more
    ),
}
each_call = pytest.mark.parametrize(
    ("name", "method"), [*itertools.product(OPERATORS, METHODS), *((name, "own") for name in OWN)]
)


def call(name: str, method: str, x: Tensor, *strength: Any, **more: Any) -> Tensor:
    """An operator by a method, or one of `OWN`."""
    return OWN[name](x, *strength, **more) if method == "own" else OPERATORS[name](x, *strength, method=method, **more)


@each_call
def test_a_nan_makes_its_row_nan_and_no_other(name: str, method: str) -> None:
    x = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    spoilt = x.clone()
    spoilt[1, 4] = NAN
    found = call(name, method, spoilt)
    assert found[1].isnan().all()
    torch.testing.assert_close(found[[0, 2]], call(name, method, x)[[0, 2]])
    found = vmap(lambda row: call(name, method, row))(spoilt)
    assert found[1].isnan().all()
    torch.testing.assert_close(found[[0, 2]], call(name, method, x)[[0, 2]])


@each_call
def test_transforms_know_infinite_values(name: str, method: str) -> None:
    x, _ = rows()
    f = lambda v: call(name, method, v)  # noqa: E731
    torch.testing.assert_close(vmap(f)(x), f(x))
    if name in ("rank", "topk mask"):
        leaf = x.clone().requires_grad_()
        (expected,) = torch.autograd.grad(f(leaf).square().sum(), leaf)
        torch.testing.assert_close(grad(lambda v: f(v).square().sum())(x), expected)
        assert jvp(f, (x,), (torch.ones_like(x),))[1].isfinite().all()


@each_method
def test_quantiles_beside_infinite_values(method: str) -> None:
    for x, q, expected in (
        ([2.0, INF, 1.0], 0.5, 2.0),
        ([2.0, -INF, 5.0], 0.5, 2.0),
        ([2.0, INF, 1.0, INF], 0.5, INF),
        ([INF, INF, 1.0, INF], 0.5, INF),
        ([-INF, -INF, 1.0, INF], 1 / 3, -INF),
    ):
        leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        found = soft_quantile(leaf, q, regularization_strength=1e-9, method=method)
        assert float(found.detach()) == pytest.approx(expected)
        (gradient,) = torch.autograd.grad(found, leaf)
        assert gradient.isfinite().all()


@pytest.mark.parametrize("outlier", [INF, 1e17, 1e300])
def test_an_outlier_costs_lapsum_no_digits(outlier: float) -> None:
    x = torch.tensor([1.0, 0.0, 2.0, 3.0], dtype=torch.float64)
    for sign in (1.0, -1.0):
        wide = torch.cat([x, torch.tensor([sign * outlier], dtype=torch.float64)])
        for eps in (0.1, 1.0):
            alone = soft_sort(x, regularization_strength=eps, method="lapsum")
            found = soft_sort(wide, regularization_strength=eps, method="lapsum")
            torch.testing.assert_close(found[:4] if sign > 0 else found[1:], alone)
            assert found[4 if sign > 0 else 0] == sign * outlier
    wide = torch.tensor([1.0, outlier, 0.0, 2.0, 3.0], dtype=torch.float64)
    assert float(soft_median(wide, regularization_strength=0.1, method="lapsum")) == pytest.approx(2.0, abs=0.01)
    assert float(soft_median(wide, regularization_strength=0.0, method="lapsum")) == 2.0


@pytest.mark.parametrize("method", ["pav", "lapsum"])
@pytest.mark.parametrize("reg", ["l2", "kl"])
def test_top_k_masks_know_the_cluster_beyond_a_gap(reg: str, method: str) -> None:
    """Far above the others there are two values that share, or one that takes a place for itself."""
    for far in (1e3, 1e17):
        x = torch.tensor([far, far, 2.0, 1.0, -1.0], dtype=torch.float64)
        two = soft_topk_mask(x, 1, reg, 1.0, method=method)
        torch.testing.assert_close(two, torch.tensor([0.5, 0.5, 0.0, 0.0, 0.0]).double())
        alone = soft_topk_mask(x[2:], 1, reg, 1.0, method=method)
        found = vmap(lambda row: soft_topk_mask(row, 3, reg, 1.0, method=method))(x[None])[0]
        for shares in (soft_topk_mask(x, 3, reg, 1.0, method=method), found):
            torch.testing.assert_close(shares, torch.cat([torch.ones(2).double(), alone]))


@pytest.mark.parametrize("eps", [-1.0, NAN])
@each_call
def test_bad_strengths_in_a_tensor_are_refused(name: str, method: str, eps: float) -> None:
    x = torch.randn(3, 6, dtype=torch.float64)
    for strength in (torch.tensor(eps), torch.tensor([[1.0], [eps], [1.0]], dtype=torch.float64)):
        with pytest.raises(ValueError, match=f"regularization_strength holds {eps}"):
            call(name, method, x, strength)
    # inside a transform nobody may look at numbers: an error of the kernel, or NaN
    mapped = vmap(lambda row, e: call(name, method, row, e))
    if method == "pav" and "mask" not in name and name != "argmax":
        with pytest.raises(ValueError, match=f"regularization_strength holds {eps}"):
            mapped(x, torch.tensor([1.0, eps, 1.0]))
    else:
        found = mapped(x, torch.tensor([1.0, eps, 1.0]))
        assert found[1].isnan().all()
        assert found[[0, 2]].isfinite().all()


@pytest.mark.parametrize("method", MATRICES)
def test_bad_strengths_of_matrices_are_refused(method: str) -> None:
    with pytest.raises(ValueError, match=r"holds -0\.5"):
        soft_permutation(torch.randn(2, 3), torch.tensor(-0.5), method=method)


@each_call
def test_a_learnt_strength_beside_a_mask(name: str, method: str) -> None:
    x = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    mask = torch.tensor([[True, False, True, True, False], [True] * 4 + [False]])
    x[0, 1], x[1, 4] = INF, NAN  # nobody looks at them
    eps = torch.tensor([[0.4], [0.7]], dtype=torch.float64, requires_grad=True)

    def f(v: Tensor, e: Tensor) -> Tensor:
        return call(name, method, torch.where(mask, v, x), e, mask=mask)

    leaf = torch.where(mask, x, 0.0).requires_grad_()
    if "straight" in name:  # a gradient of something else
        assert all(g.isfinite().all() for g in torch.autograd.grad(f(leaf, eps).square().sum(), (leaf, eps)))
        return
    check_derivatives(f, (leaf, eps), lambda v, e: f(v, e).sin())


@pytest.mark.parametrize("eps", [0.0, 1e-38, 1e-30, 1e30])
@pytest.mark.parametrize("masked", [False, True])
@each_call
def test_no_strength_makes_a_gradient_nan(name: str, method: str, masked: bool, eps: float) -> None:
    x = torch.tensor([[3.0, -1.0, 7.0, 7.0, 0.5], [2.0, 2.0, 2.0, 2.0, 2.0]])
    mask = torch.tensor([[True, False, True, True, True], [True] * 5]) if masked else None
    strength, leaf = torch.tensor(eps, requires_grad=True), x.clone().requires_grad_()
    y = call(name, method, leaf, strength, mask=mask)
    assert y.isfinite().all()
    gradients = torch.autograd.grad(y.square().sum(), (leaf, strength), materialize_grads=True)
    assert not any(gradient.isnan().any() for gradient in gradients)
