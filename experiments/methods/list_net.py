"""Cross-entropy of top-one chances (ListNet, Cao et al. 2007), which sorts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from combdiff.solvers import Solver
from experiments.harness.method import Method


@dataclass
class ListNet(Method):
    """−Σ softmax(relevance) log softmax(scores), over the items of each list."""

    needs: ClassVar[tuple[str, ...]] = ("relevance",)
    uses_solver: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        least = torch.finfo(scores.dtype).min
        wanted, found = (x.masked_fill(~examples.counted, least) for x in (examples.relevance.to(scores.dtype), scores))
        return -(wanted.softmax(1) * found.log_softmax(1))[examples.counted].sum()
