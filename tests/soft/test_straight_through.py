"""Hard values with soft gradients, for every operator."""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

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
    soft_topk_mask,
)
from combdiff.soft import SoftRank, SoftTopK, stochastic, straight_through

CALLS: dict[Callable[..., Any], dict[str, Any]] = {
    soft_rank: {},
    soft_sort: {},
    soft_topk_mask: {"k": 3},
    soft_argmax: {},
    soft_permutation: {},
    soft_quantile: {"q": 0.3},
    soft_median: {},
    soft_argsort: {},
    soft_argquantile: {"q": 0.3},
}


def sample(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("operator", CALLS)
def test_hard_values_and_soft_gradients(operator: Callable[..., Any]) -> None:
    x, words = sample(3, 6).requires_grad_(), CALLS[operator]
    eps = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    soft = operator(x, regularization_strength=eps, **words)
    found = straight_through(operator)(x, regularization_strength=eps, **words)
    assert torch.equal(found, operator(x, regularization_strength=0.0, **words))
    assert not torch.equal(found, soft)
    weights = torch.linspace(-1.0, 1.0, soft.numel(), dtype=torch.float64).reshape(soft.shape)
    ours, theirs = (torch.autograd.grad((y * weights).sum(), (x, eps), create_graph=True) for y in (found, soft))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)
    assert ours[0].abs().sum() > 0
    if ours[0].requires_grad:
        second = [torch.autograd.grad(g[0].square().sum(), x, allow_unused=True)[0] for g in (ours, theirs)]
        assert (second[0] is None) == (second[1] is None)
        assert second[0] is None or torch.equal(*second)


def test_hard_values_are_those_of_torch() -> None:
    x = sample(4, 7)
    assert torch.equal(straight_through(soft_rank)(x), x.argsort(-1).argsort(-1) + 1.0)
    assert torch.equal(straight_through(soft_sort)(x), x.sort(-1).values)
    assert torch.equal(straight_through(soft_argmax)(x), x.argmax(-1).double())
    assert torch.equal(straight_through(soft_argsort)(x), x.argsort(-1).double())
    values, mask = straight_through(soft_topk)(x, 3)
    assert torch.equal(values, x.topk(3).values)
    assert torch.equal(mask, torch.zeros_like(x).scatter(-1, x.topk(3).indices, 1.0))
    matrix = straight_through(soft_permutation)(x, 0.5, method="sinkhorn")
    torch.testing.assert_close(matrix.round(), matrix, atol=1e-12, rtol=0)
    torch.testing.assert_close((matrix * x[:, None]).sum(-1), x.sort(-1).values)


def test_masks_infinite_values_and_noise() -> None:
    x = sample(2, 5)
    x[0, 1], x[1, 3] = torch.inf, torch.nan
    mask = torch.tensor([True, True, True, True, False])
    leaf = x.clone().requires_grad_()
    found = straight_through(soft_sort)(leaf, mask=mask)
    assert found[0].tolist() == [*x[0, [0, 2, 3]].sort().values.tolist(), torch.inf, 0.0]
    assert found[1].isnan().all()
    (gradient,) = torch.autograd.grad(found[0, :3].square().sum(), leaf)
    assert gradient[0].isfinite().all()
    ranks = stochastic(straight_through(soft_rank), sample(2, 5), samples=7)
    assert torch.equal(ranks.sort(-1).values, torch.arange(1.0, 6.0).double().expand(7, 2, 5))


def test_modules_and_bad_operators() -> None:
    x = sample(3, 6).requires_grad_()
    module = SoftRank("kl", 0.4, straight_through=True)
    found = module(x)
    assert torch.equal(found, soft_rank(x, regularization_strength=0.0))
    ours, theirs = (torch.autograd.grad(y.square().sum(), x)[0] for y in (found, soft_rank(x, "kl", 0.4)))
    assert not torch.equal(ours, theirs), "the square's own slope is that of the hard ranks"
    assert torch.equal(
        torch.autograd.grad(module(x)[0, 0], x)[0], torch.autograd.grad(soft_rank(x, "kl", 0.4)[0, 0], x)[0]
    )
    assert "straight_through=True" in repr(module)
    assert torch.equal(SoftTopK(2, straight_through=True)(x).values, x.topk(2).values)
    with pytest.raises(TypeError, match="straight_through='yes'"):
        SoftRank(straight_through="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no argument regularization_strength"):
        straight_through(torch.nn.functional.relu)
