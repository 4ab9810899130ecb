"""How well predicted orders agree with true ones, list by list, and whether one prediction is better than another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Shaped
from scipy import stats
from torch import Tensor

from experiments.harness.report.intervals import Interval


def correlations(
    a: Shaped[Tensor, "lists n"], b: Shaped[Tensor, "lists n"], counted: Bool[Tensor, "lists n"]
) -> tuple[Float64[Tensor, " lists"], Float64[Tensor, " lists"]]:
    """Spearman's ρ and Kendall's τ-b of each list over the entries that count; tied entries share their mean rank.

    Both are NaN where a side is constant.

    >>> a, counted = torch.tensor([[1.0, 2.0, 3.0, 0.0]]), torch.tensor([[True, True, True, False]])
    >>> correlations(a, torch.tensor([[10.0, 30.0, 20.0, 99.0]]), counted)
    (tensor([0.5000], dtype=torch.float64), tensor([0.3333], dtype=torch.float64))
    """
    both = counted[:, :, None] & counted[:, None, :]
    above_a, above_b = (torch.sign(x[:, :, None].double() - x[:, None, :].double()) * both for x in (a, b))
    centred_a, centred_b = above_a.sum(2), above_b.sum(2)  # twice the distance of the rank from the mean rank
    spearman = (centred_a * centred_b).sum(1) / (centred_a.square().sum(1) * centred_b.square().sum(1)).sqrt()
    pairs = (above_a.square().sum((1, 2)) * above_b.square().sum((1, 2))).sqrt()
    return spearman, (above_a * above_b).sum((1, 2)) / pairs


@dataclass(frozen=True)
class PairedTest:
    """A mean of paired differences, its 95 % interval (Student's t), and the p-value of Wilcoxon's signed ranks."""

    mean: float
    low: float
    high: float
    p: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} (95 % interval {self.low:+.3f} to {self.high:+.3f}; Wilcoxon p = {self.p:.2g})"


def paired_test(a: Float64[Tensor, " lists"], b: Float64[Tensor, " lists"]) -> PairedTest:
    """Whether a is larger than b (or smaller: two-sided) over the lists in which neither is NaN, two at least.

    >>> print(paired_test(torch.arange(1.0, 9.0).double(), torch.zeros(8).double()))
    +4.500 (95 % interval +2.452 to +6.548; Wilcoxon p = 0.0078)
    """
    difference = (a - b)[~(a - b).isnan()]
    mean = Interval.of(difference.tolist())
    p = float(stats.wilcoxon(difference.numpy()).pvalue) if bool(difference.any()) else 1.0
    return PairedTest(mean.mean, mean.low, mean.high, p, len(difference))
