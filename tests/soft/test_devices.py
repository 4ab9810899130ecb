"""No tensor of an operator is made on another device than its values: checked without one, on tensors without data."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from combdiff import (
    PairwiseLoss,
    SoftMAPLoss,
    SoftNDCGLoss,
    SoftRankFenchelYoungLoss,
    SoftRecallLoss,
    SoftTopKLoss,
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
from combdiff.soft import gumbel_perturbed, straight_through
from combdiff.soft.operators.permutation import MATRICES
from combdiff.soft.permutahedron import compiled
from tests.derivatives import check_derivatives

OPERATORS = [(soft_rank, "l2"), (soft_sort, "l2"), (soft_rank, "kl"), (soft_sort, "kl")]

CALLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    **{
        f"rank {m}": lambda x, m_, m=m: soft_rank(x, mask=m_, method=m)
        for m in ("lapsum", "neuralsort", "network", "sinkhorn", "sigmoid", "network_cauchy")
    },
    **{f"sort {m}": lambda x, m_, m=m: soft_sort(x, mask=m_, method=m) for m in ("pav", "lapsum", "softsort")},
    **{f"{m} matrix": lambda x, m_, m=m: soft_permutation(x, mask=m_, method=m) for m in MATRICES},
    "rank kl": lambda x, m: soft_rank(x, "kl", torch.ones(3, 1), mask=m, descending=True),
    "rank l2": lambda x, m: soft_rank(x, dim=0, mask=m),
    "topk l2": lambda x, m: soft_topk(x, 2, mask=m).mask,
    "topk kl": lambda x, m: soft_topk(x, 2, "kl", 0.3, mask=m).mask,
    "topk lapsum": lambda x, m: soft_topk(x, 2, mask=m, method="lapsum").mask,
    "topk mask alone": lambda x, m: soft_topk_mask(x, 2, mask=m, method="lapsum"),
    "topk softsort": lambda x, m: soft_topk(x, 2, mask=m, method="softsort").values,
    "topk of a fraction": lambda x, m: soft_topk_mask(x, 1.5, mask=m, method="lapsum"),
    "topk of fractions": lambda x, m: soft_topk_mask(x, torch.full((3, 1), 1.5), mask=m, method="lapsum"),
    "topk log mask": lambda x, m: soft_topk_log_mask(x, 2, mask=m),
    "argsort": lambda x, m: soft_argsort(x, mask=m, method="network_optimal"),
    "argquantile": lambda x, m: soft_argquantile(x, 0.3, mask=m),
    "straight-through rank": lambda x, m: straight_through(soft_rank)(x, mask=m),
    "straight-through matrix": lambda x, m: straight_through(soft_permutation)(x, mask=m, method="bitonic_cauchy"),
    "rank of all": lambda x, m: soft_rank(x, dim=None, mask=m),
    "sort of all": lambda x, m: soft_sort(x, dim=None, mask=m, method="lapsum"),
    "quantile": lambda x, m: soft_quantile(x, 0.3, mask=m),
    "median": lambda x, m: soft_median(x, mask=m),
    "argmax": lambda x, m: soft_argmax(x, mask=m),
    "gumbel": lambda x, m: gumbel_perturbed(x, 3),
    "Spearman": lambda x, m: SpearmanLoss()(x, x.detach(), mask=m),
    "NDCG": lambda x, m: SoftNDCGLoss(k=2)(x, x.detach().abs(), m),
    "NeuralNDCG": lambda x, m: SoftNDCGLoss(method="neuralsort")(x, x.detach().abs(), m),
    "ApproxNDCG": lambda x, m: SoftNDCGLoss(method="sigmoid")(x, x.detach().abs(), m),
    "stochastic NeuralNDCG": lambda x, m: SoftNDCGLoss(method="neuralsort", samples=2)(x, x.detach().abs(), m),
    "pairs": lambda x, m: PairwiseLoss(method="cauchy", pairs="adjacent")(x, x.detach(), m),
    "MAP": lambda x, m: SoftMAPLoss(method="sigmoid")(x, x.detach(), m),
    "recall": lambda x, m: SoftRecallLoss(2)(x, x.detach(), m),
    "Fenchel-Young of ranks": lambda x, m: SoftRankFenchelYoungLoss()(x, x.detach(), m),
    "Fenchel-Young of ranks, kl": lambda x, m: SoftRankFenchelYoungLoss("kl", dim=None)(x, x.detach(), m),
    "trimmed": lambda x, m: TrimmedLoss(0.2)(x, m),
    "top-k loss": lambda x, m: SoftTopKLoss(1)(x, torch.zeros(3, dtype=torch.long, device=x.device)),
}
RANDOM = "gumbel", "stochastic NeuralNDCG"
"""each device draws noise of its own"""


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_everything_stays_on_the_device_of_the_values(name: str) -> None:
    with FakeTensorMode():
        x = torch.empty(3, 5, device="meta", requires_grad=True)
        mask = torch.empty(3, 5, dtype=torch.bool, device="meta")
        y = CALLS[name](x, mask)
        assert y.device.type == "meta"
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert gradient.device.type == "meta"


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_tensors_without_data(name: str) -> None:
    """As a user makes them: `device="meta"` tells the shape of a result before there is any memory."""
    x = torch.empty(3, 5, device="meta", requires_grad=True)
    y = CALLS[name](x, torch.empty(3, 5, dtype=torch.bool, device="meta"))
    assert y.shape == CALLS[name](torch.randn(3, 5), torch.ones(3, 5, dtype=torch.bool)).shape
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert (y.device.type, gradient.device.type, gradient.shape) == ("meta", "meta", (3, 5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", [name for name in CALLS if name not in RANDOM])
@pytest.mark.filterwarnings("ignore")
def test_a_gpu_gives_the_numbers_of_the_processor(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 40, dtype=torch.float64, generator=generator)
    mask = torch.rand(3, 40, generator=generator) < 0.8
    got = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        here = x.to(device).requires_grad_()
        y = CALLS[name](here, mask.to(device))
        weights = torch.linspace(1, 2, y.numel()).reshape(y.shape).to(y)
        (gradient,) = torch.autograd.grad(y, here, weights)
        got.append((y.detach().cpu(), gradient.cpu()))
    for on_cpu, on_gpu in zip(*got, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize(("operator", "reg"), OPERATORS, ids=lambda v: getattr(v, "__name__", v))
@pytest.mark.parametrize("n", [2, 5, 40])
def test_derivatives_of_another_device(operator, reg, n, monkeypatch):  # type: ignore[no-untyped-def]
    """The route of a tensor that the kernels cannot read: copies, first and second gradient by the formula."""
    x = torch.randn(3, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)).requires_grad_()
    eps = torch.tensor([[0.3], [0.9], [2.0]], dtype=torch.float64, requires_grad=True)
    mask = torch.rand(3, n, generator=torch.Generator().manual_seed(1)) < 0.8
    weights = torch.linspace(-1, 1, n, dtype=torch.float64).sin()

    def derivatives(valid: Tensor | None, descending: bool) -> list[Tensor]:
        y = operator(x, reg, eps.detach(), mask=valid, descending=descending)
        (first,) = torch.autograd.grad((y * weights).sum(), x)
        z = operator(x, reg, eps, mask=valid, descending=descending).sin()
        both = torch.autograd.grad((z * weights).sum(), (x, eps), create_graph=True)
        second = torch.autograd.grad(both[0].square().sum() + both[1].square().sum(), (x, eps))
        return [y.detach(), first, *(g.detach() for g in both), *second]

    for valid in (None, mask):
        for descending in (False, True):
            monkeypatch.undo()
            expected = derivatives(valid, descending)
            monkeypatch.setattr(compiled, "serves", lambda x: False)
            found = derivatives(valid, descending)
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    if n == 5:
        check_derivatives(lambda v, e: operator(v, reg, e), (x, eps), lambda v, e: operator(v, reg, e).sin())
