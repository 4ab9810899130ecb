"""Regression of the ranks, which sorts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature


@dataclass
class Regression(Method):
    """Squared distance of the scores themselves from the ranks: what Blondel et al. (2020) compare soft ranks with."""

    needs: ClassVar[tuple[str, ...]] = ("ranks",)
    uses_solver: ClassVar[bool] = False

    epsilon: float = temperature(1.0, "divides the scores")

    def setup(self, solver: Solver, train: Any) -> None:
        pass

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return (scores / self.epsilon - examples.solutions)[examples.counted].square().sum()
