"""The structured hinge loss (Tsochantaridis et al. 2005)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.losses import StructuredHingeLoss
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature


@dataclass
class StructuredHinge(Method):
    """The true solution has to win by a Hamming margin; from solutions alone."""

    needs: ClassVar[tuple[str, ...]] = ("binary_solutions",)

    margin: float = temperature(0.1, "m, in units of costs")

    def setup(self, solver: Solver, train: Any) -> None:
        self.layer = StructuredHingeLoss(solver, self.margin, "sum")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.layer(self.costs(scores), examples.solutions, examples.instances())
