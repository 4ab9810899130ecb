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
