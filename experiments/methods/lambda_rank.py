"""Logistic loss of pairs, weighted by what their exchange would change (LambdaRank, Burges 2010)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option, temperature


@dataclass
class LambdaRank(Method):
    """Pairs weigh |ΔNDCG| where there is a relevance, otherwise |Δ Spearman's ρ|, of the order that scores make now."""

    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    uses_solver: ClassVar[bool] = False

    epsilon: float = temperature(1.0, "divides the differences of scores")
    k: int | None = option(None, "places that count for NDCG (default all)", least=1)

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        counted = examples.counted
        both = counted[:, :, None] & counted[:, None, :]
        above = both & (examples.solutions[:, :, None] > examples.solutions[:, None, :])
        order = scores.detach().masked_fill(~counted, torch.inf).argsort(dim=1, stable=True)
        ranks = order.argsort(1) + 1.0
        if examples.relevance is None:
            n = counted.sum(1).to(scores.dtype)
            change = (
                12 * _differences(examples.solutions) * _differences(ranks) / (n**3 - n).clamp(min=1)[:, None, None]
            )
        else:
            gains = torch.where(counted, torch.exp2(examples.relevance) - 1, 0.0)
            places = torch.arange(1.0, 1.0 + scores.shape[1], device=scores.device)
            discounts = self._discount(places)
            ideal = (gains.sort(1, descending=True).values * discounts).sum(1)
            descending = counted.sum(1, keepdim=True) + 1 - ranks
            change = _differences(gains) * _differences(self._discount(descending.clamp(min=1)))
            change = change / ideal.clamp(min=1e-12)[:, None, None]  # without a relevant item there are no pairs
        return (change * softplus((scores[:, None, :] - scores[:, :, None]) / self.epsilon))[above].sum()

    def _discount(self, places: Tensor) -> Tensor:
        discount = 1 / torch.log2(1 + places)
        return discount if self.k is None else torch.where(places <= self.k, discount, 0.0)


def _differences(x: Tensor) -> Tensor:
    return (x[:, :, None] - x[:, None, :]).abs()
