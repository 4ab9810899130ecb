"""Derivatives of any order, transforms, compilation: all the same operator."""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from combdiff import (
    PairwiseLoss,
    SoftMAPLoss,
    SoftNDCGLoss,
    SoftRankFenchelYoungLoss,
    SoftRecallLoss,
    soft_argmax,
    soft_argquantile,
    soft_argsort,
    soft_median,
    soft_permutation,
    soft_rank,
    soft_sort,
    soft_topk,
    soft_topk_log_mask,
    soft_topk_mask,
)
from combdiff.soft.operators.permutation import MATRICES
from combdiff.soft.permutahedron.kinds import RANK_KL, RANK_L2, SORT_KL, SORT_L2
from tests.derivatives import check_derivatives

EPS = 0.6
OPERATORS = {
    "rank l2": lambda x, e=EPS: soft_rank(x, "l2", e),
    "sort l2": lambda x, e=EPS: soft_sort(x, "l2", e),
    "rank kl": lambda x, e=EPS: soft_rank(x, "kl", e),
    "sort kl": lambda x, e=EPS: soft_sort(x, "kl", e),
}
RELEVANCE = torch.tensor([2.0, 0.0, 1.0, 0.0, 3.0], dtype=torch.float64)


def of_list(loss: type, **words: Any) -> Callable[..., Tensor]:
    """A loss of scored lists, as a function of scores and ε."""
    return lambda x, e=EPS: loss(regularization_strength=e, reduction="none", **words)(x, RELEVANCE.expand(x.shape))


MORE = {
    "rank sigmoid": lambda x, e=EPS: soft_rank(x, "l2", e, method="sigmoid"),
    "argsort": lambda x, e=EPS: soft_argsort(x, e),
    "argquantile": lambda x, e=EPS: soft_argquantile(x, 0.3, e, method="sinkhorn"),
    "topk of a fraction": lambda x, e=EPS: soft_topk_mask(x, 1.5, "l2", e, method="lapsum"),
    "topk log mask": lambda x, e=EPS: soft_topk_log_mask(x, 2, e),
    "MAP": of_list(SoftMAPLoss, method="sigmoid"),
    "pairs": of_list(PairwiseLoss),
    "neighbours": of_list(PairwiseLoss, method="cauchy", pairs="adjacent"),
    "pairs, optimal": of_list(PairwiseLoss, method="optimal"),
    "recall": of_list(SoftRecallLoss, k=2),
    "Fenchel-Young of ranks": of_list(SoftRankFenchelYoungLoss),
    "Fenchel-Young of ranks, kl": of_list(SoftRankFenchelYoungLoss, regularization="kl"),
    "ApproxNDCG": of_list(SoftNDCGLoss, method="sigmoid"),
    "NeuralNDCG": of_list(SoftNDCGLoss, method="neuralsort", k=3),
    "rank lapsum": lambda x, e=EPS: soft_rank(x, regularization_strength=e, method="lapsum"),
    "sort lapsum": lambda x, e=EPS: soft_sort(x, regularization_strength=e, method="lapsum"),
    "topk l2": lambda x, e=EPS: soft_topk(x, 2, "l2", e).mask,
    "topk kl": lambda x, e=EPS: soft_topk(x, 2, "kl", e).mask,
    "topk lapsum": lambda x, e=EPS: soft_topk(x, 2, regularization_strength=e, method="lapsum").mask,
    "argmax": lambda x, e=EPS: soft_argmax(x, "kl", e),
    "median": lambda x, e=EPS: soft_median(x, "l2", e),
    **{f"{name} matrix": lambda x, e=EPS, name=name: soft_permutation(x, e, method=name) for name in MATRICES},
}
projections = pytest.mark.parametrize("name", OPERATORS)
everything = pytest.mark.parametrize("name", [*OPERATORS, *MORE])
ALL = {**OPERATORS, **MORE}


def inputs() -> tuple[Tensor, Tensor]:
    x = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5)).requires_grad_()
    return x, torch.tensor([[0.5], [0.9]], dtype=torch.float64, requires_grad=True)


@everything
def test_first_and_second_derivatives(name: str) -> None:
    x, eps = inputs()
    check_derivatives(ALL[name], (x, eps), lambda x, e: ALL[name](x, e).sin())
    assert gradcheck(ALL[name], (x, eps), fast_mode=True)  # gradients that are zero or not given; the same twice


@projections
def test_descending_gradients(name: str) -> None:
    x, eps = inputs()
    operator, reg = (soft_rank if "rank" in name else soft_sort), name.split()[1]
    assert gradcheck(lambda v: operator(v, reg, 0.6, descending=True), (x,))
    assert gradcheck(lambda v, e: operator(v, reg, e, descending=True), (x, eps))


@projections
def test_forward_mode_and_batched_gradients(name: str) -> None:
    x, eps = inputs()
    f = OPERATORS[name]
    assert gradcheck(f, (x, eps), check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(f(forward_ad.make_dual(x.detach(), torch.ones_like(x)))).tangent
    expected = torch.zeros_like(x) if "rank" in name else torch.ones_like(x)  # shifts
    torch.testing.assert_close(tangent, expected)


@projections
def test_masked_gradients(name: str) -> None:
    x, eps = inputs()
    mask = torch.tensor([[True, False, True, True, False], [False] * 5])
    operator = soft_rank if "rank" in name else soft_sort
    reg = name.split()[1]
    assert gradcheck(lambda x, e: operator(x, reg, e, mask=mask), (x, eps))
    assert gradcheck(lambda x: operator(x, reg, EPS, mask=mask), (x,))  # by the kernel
    spoilt = torch.where(mask, x, torch.nan)
    y = operator(spoilt, reg, eps, mask=mask)
    gradients = torch.autograd.grad(y.square().sum(), (x, eps))
    assert all(g.isfinite().all() for g in gradients)


@everything
def test_functional_transforms(name: str) -> None:
    x, eps = inputs()
    x, f = x.detach(), ALL[name]
    torch.testing.assert_close(vmap(f)(x), f(x))
    if name in OPERATORS:
        torch.testing.assert_close(vmap(f)(x, eps), f(x, eps))
        torch.testing.assert_close(vmap(f, in_dims=(None, 0))(x, eps[:, 0])[1], f(x, eps[1]))
    weights = torch.linspace(-1, 1, f(x).numel(), dtype=torch.float64).reshape(f(x).shape)
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad((f(leaf) * weights).sum(), leaf)
    torch.testing.assert_close(grad(lambda v: (f(v) * weights).sum())(x), expected)
    torch.testing.assert_close(jacrev(f)(x[0]), jacfwd(f)(x[0]), atol=1e-7, rtol=1e-5)
    torch.testing.assert_close((jvp(f, (x,), (x,))[1] * weights).sum(), (expected * x).sum(), atol=1e-7, rtol=1e-5)


@projections
def test_hessian_by_three_routes(name: str) -> None:
    x, _ = inputs()

    def loss(v: Tensor) -> Tensor:
        return OPERATORS[name](v).sin().sum()

    found = hessian(loss)(x[0].detach())
    torch.testing.assert_close(found, torch.autograd.functional.hessian(loss, x[0].detach()))
    step = 1e-6 * torch.eye(5, dtype=torch.float64)
    numeric = torch.stack([(grad(loss)(x[0].detach() + d) - grad(loss)(x[0].detach() - d)) / 2e-6 for d in step])
    torch.testing.assert_close(found, numeric, atol=1e-6, rtol=1e-4)


@everything
def test_mapped_hessians(name: str) -> None:
    """Rows by vmap, as one by one: with `torch.linalg.solve` inside, those of Sinkhorn were off by 1e5 and more."""
    x, _ = inputs()
    x = x.detach()
    loss = lambda row: ALL[name](row).sin().sum()  # noqa: E731
    expected = torch.stack([torch.autograd.functional.hessian(loss, row) for row in x])
    for second in (hessian, lambda f: jacfwd(jacfwd(f)), lambda f: jacrev(jacrev(f))):
        torch.testing.assert_close(vmap(second(loss))(x), expected, atol=1e-9, rtol=1e-7)
    jacobians = torch.stack([torch.autograd.functional.jacobian(ALL[name], row) for row in x])
    torch.testing.assert_close(vmap(jacfwd(ALL[name]))(x), jacobians, atol=1e-9, rtol=1e-7)


@pytest.mark.parametrize("kind", [RANK_L2, SORT_L2, RANK_KL, SORT_KL])
@pytest.mark.filterwarnings("ignore")
def test_operator_passes_opcheck(kind: int) -> None:
    x = torch.randn(3, 5, requires_grad=True)
    eps = torch.rand(3, 1, dtype=torch.float64) + 0.1
    mask = torch.rand(3, 5) < 0.7
    torch.library.opcheck(torch.ops.combdiff.soft_project.default, (x, eps, None, kind, 1))
    torch.library.opcheck(torch.ops.combdiff.soft_project.default, (x, eps.requires_grad_(), mask, kind, -1))
    out, block = torch.ops.combdiff.soft_project(x.detach(), eps.detach(), None, kind, 1)
    arguments = (x.detach(), eps.detach(), None, kind, 1, out, block, torch.randn(3, 5))
    torch.library.opcheck(torch.ops.combdiff.soft_pull_back.default, arguments)
