"""How surely a soft comparator keeps the order of two values: what sorting networks and losses of pairs are made of."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from combdiff.soft.permutahedron.formula import exponent

Comparator = Literal["logistic", "cauchy", "optimal"]
COMPARATORS: tuple[str, ...] = get_args(Comparator)

FAR = 1e15  # in units of ε; the tails of "cauchy" and "optimal" fall as slowly as 1/t


def order_kept(gap: Tensor, eps: Tensor, comparator: str) -> Tensor:
    """F(gap/ε), a distribution function with the slope ¼ at 0, so that ε means the same. With t = gap/ε:

        logistic    1/(1 + exp(−t))
        cauchy      ½ + arctan(πt/4)/π
        optimal     ½ + t/4 for |t| ≤ 1, 1 − 1/(4t) for t > 1, −1/(4t) for t < −1

    Source: Petersen, Borgelt, Kuehne & Deussen (2022), "Monotonic differentiable sorting networks", equations 7, 13
    and 15.
    """
    if comparator == "logistic":
        return torch.sigmoid(exponent(gap, eps))
    t = exponent(gap, eps, FAR)
    if comparator == "cauchy":  # to the last digit for t ≪ 0, too
        return torch.atan2(torch.ones_like(t), -0.25 * math.pi * t) / math.pi
    near = t.abs() <= 1.0
    return torch.where(near, 0.5 + 0.25 * t, (t > 0).to(t.dtype) - 0.25 / torch.where(near, 1.0, t))


def log_order_kept(gap: Tensor, eps: Tensor, comparator: str) -> Tensor:
    """log F(gap/ε), which does not underflow."""
    if comparator == "logistic":
        return torch.nn.functional.logsigmoid(exponent(gap, eps, FAR))
    return order_kept(gap, eps, comparator).log()
