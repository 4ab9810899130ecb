"""Comparators of sorting networks: closed forms of two values, monotonicity, bounded errors, diffsort's figures."""

# mypy: disable-error-code="no-untyped-call"
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import soft_permutation, soft_rank, soft_sort, soft_topk, soft_topk_mask
from tests.derivatives import check_derivatives

LAYOUTS = ["network", "bitonic"]
MONOTONIC = ["cauchy", "optimal"]
STEEPNESS = {"logistic": 1.0, "cauchy": math.pi / 4, "optimal": 0.25}  # of diffsort, times ε
EACH = [f"{layout}_{comparator}" for layout in LAYOUTS for comparator in MONOTONIC]
each = pytest.mark.parametrize("method", EACH)


def sample(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def sorted_by(matrix: Tensor, x: Tensor) -> Tensor:
    return (matrix * x[..., None, :]).sum(-1)


def published(name: str, t: float) -> float:
    """The comparators as Petersen et al. (2022) write them, equations 7 (logistic), 13 (Cauchy) and 15 (optimal)."""
    if name == "logistic":
        return 1 / (1 + math.exp(min(-t, 700.0)))
    if name == "cauchy":
        return math.atan(t) / math.pi + 0.5
    return -1 / (16 * t) if t < -0.25 else 1 - 1 / (16 * t) if t > 0.25 else t + 0.5


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", STEEPNESS)
def test_two_values(layout: str, name: str) -> None:
    method = layout if name == "logistic" else f"{layout}_{name}"
    for gap in (-700.0, -3.0, -0.9, -1e-3, 0.0, 0.2, 0.5, 40.0):
        for eps in (0.01, 0.5, 3.0):
            matrix = soft_permutation(torch.tensor([0.0, gap], dtype=torch.float64), eps, method=method)
            keep = published(name, STEEPNESS[name] * gap / eps)
            assert matrix.flatten().tolist() == pytest.approx([keep, 1 - keep, 1 - keep, keep], abs=1e-15)


@each
def test_all_comparators_have_one_slope_at_a_tie(method: str) -> None:
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(soft_permutation(x, 0.7, method=method)[1, 1], x)
    assert slope.tolist() == pytest.approx([-0.25 / 0.7, 0.25 / 0.7])


@pytest.mark.parametrize("down", [False, True])
@each
def test_no_sorted_value_falls_as_an_entry_rises(method: str, down: bool) -> None:
    for seed in range(5):
        x = sample(7, seed=seed)

        def ordered(v: Tensor) -> Tensor:
            return sorted_by(soft_permutation(v, 0.1, method=method, descending=down), v)

        jacobian = torch.autograd.functional.jacobian(ordered, x)
        assert (jacobian >= -1e-14).all()
        torch.testing.assert_close(jacobian.sum(0), torch.ones(7).double())
        torch.testing.assert_close(jacobian.sum(1), torch.ones(7).double())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_logistic_comparator_is_not_monotonic(layout: str) -> None:
    x = torch.tensor([0.0, 2.0], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: sorted_by(soft_permutation(v, 1.0, method=layout), v), x)
    assert jacobian[0, 1] < 0


@each
def test_errors_are_bounded_by_the_strength(method: str) -> None:
    """Of two values: min(0, d) is overestimated by at most 4ε/π² (Cauchy) and ε/4 (optimal), reached for large d."""
    bound = 4 / math.pi**2 if "cauchy" in method else 0.25
    for gap in (0.0, 0.3, 2.0, 1e3, 1e9):
        x = torch.tensor([gap, 0.0], dtype=torch.float64)
        error = float(sorted_by(soft_permutation(x, 0.5, method=method), x)[0])
        assert -1e-15 <= error <= bound * 0.5 * (1 + 1e-6)
    assert error == pytest.approx(bound * 0.5, rel=1e-4)
    wide, depth = sample(4, 9, seed=3) * 50, 10
    for eps in (1e-3, 1e-5):
        worst = (sorted_by(soft_permutation(wide, eps, method=method), wide) - wide.sort(-1).values).abs().max()
        assert worst <= depth * bound * eps
    hard = soft_permutation(wide, 0.0, method=method)
    torch.testing.assert_close(sorted_by(hard, wide), wide.sort(-1).values)


@each
def test_masks_dimensions_and_precision(method: str) -> None:
    x = sample(4, 3, 6)
    mask = torch.rand(4, 3, 6, generator=torch.Generator().manual_seed(1)) < 0.6
    found = soft_permutation(torch.where(mask, x, torch.nan), 0.4, dim=1, mask=mask, method=method)
    assert found.shape == (4, 6, 3, 3)
    for row in range(4):
        for column in range(6):
            kept = mask[row, :, column]
            size = int(kept.sum())
            alone = soft_permutation(x[row, kept, column], 0.4, method=method)
            torch.testing.assert_close(found[row, column, :size][:, kept], alone)
            assert (found[row, column, size:] == 0).all()
    whole = soft_permutation(x, 0.4, method=method)
    torch.testing.assert_close(whole.sum(-2), torch.ones(4, 3, 6).double())
    for dtype in (torch.float32, torch.bfloat16):
        narrow = soft_permutation(x.to(dtype), 0.4, method=method)
        assert narrow.dtype == dtype
        torch.testing.assert_close(narrow, soft_permutation(x.to(dtype).double(), 0.4, method=method).to(dtype))
    assert soft_permutation(x.float() * 1e30, 1e-38, method=method).isfinite().all()


@each
def test_derivatives(method: str) -> None:
    matrix = lambda v, e: soft_permutation(v, e, method=method)  # noqa: E731
    eps = torch.tensor([[0.5], [0.9]], dtype=torch.float64)
    check_derivatives(matrix, (sample(2, 4), eps), lambda v, e: matrix(v, e).sin())


@pytest.mark.parametrize("comparator", MONOTONIC)
def test_every_operator_takes_them(comparator: str) -> None:
    x, method = sample(3, 6), f"network_{comparator}"
    matrix = soft_permutation(x, 0.3, method=method)
    place = torch.arange(1.0, 7.0).double()
    torch.testing.assert_close(
        soft_rank(x, regularization_strength=0.3, method=method), (matrix * place[:, None]).sum(-2)
    )
    torch.testing.assert_close(soft_sort(x, regularization_strength=0.3, method=method), sorted_by(matrix, x))
    for name in (method, f"bitonic_{comparator}"):
        top = soft_topk(x, 2, regularization_strength=0.3, method=name)
        torch.testing.assert_close(top.mask, soft_topk_mask(x, 2, regularization_strength=0.3, method=name))
        torch.testing.assert_close(top.mask.sum(-1), torch.full((3,), 2.0).double())
    with pytest.raises(ValueError, match="'network_gaussian'"):
        soft_sort(x, method="network_gaussian")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", STEEPNESS)
def test_figures_of_diffsort(layout: str, name: str) -> None:
    diffsort: Any = pytest.importorskip("diffsort", reason="a peer that need not be installed")
    n, eps = 8, 0.3
    x = sample(5, n).float()
    kind = "odd_even" if layout == "network" else "bitonic"
    sorter = diffsort.DiffSortNet(kind, n, steepness=STEEPNESS[name] / eps, distribution=name)
    ordered, matrix = sorter(x)
    ours = soft_permutation(x, eps, method=layout if name == "logistic" else f"{layout}_{name}")
    np.testing.assert_allclose(sorted_by(ours, x).numpy(), ordered.numpy(), atol=1e-5)
    # theirs has the positions in columns
    np.testing.assert_allclose(ours.transpose(-1, -2).numpy(), matrix.numpy(), atol=1e-5)
