"""The likelihood of an order under the Plackett–Luce model (ListMLE, Xia et al. 2008), which sorts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class PlackettLuce(Method):
    """Each place goes to one of the items that are left, with odds exp(−score): −log of the chance of the order."""

    needs: ClassVar[tuple[str, ...]] = ("strict_orders",)
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        order = examples.solutions.masked_fill(~examples.counted, torch.inf).argsort(1)
        counted = examples.counted.gather(1, order)
        odds = -scores.gather(1, order)
        least = torch.finfo(odds.dtype).min
        left = odds.masked_fill(~counted, least).flip(1).logcumsumexp(1).flip(1)  # of the item and those after it
        return (left - odds)[counted].sum()
