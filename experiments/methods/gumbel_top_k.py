"""Subsets drawn by Gumbel noise, with the gradient of their relaxation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

import combdiff
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import temperature


@dataclass
class GumbelTopK(Method):
    """How often the label is not in a random subset (Xie & Ermon 2019): for tasks whose solver is of k-subsets."""

    needs: ClassVar[tuple[str, ...]] = ("labels",)

    tau: float = temperature(1.0, "τ, of the relaxation, in units of the scores")

    def setup(self, solver: Solver, train: Any) -> None:
        self.layer = combdiff.GumbelTopK(solver, self.tau)

    def advice_arguments(self, scores: Tensor, examples: Any) -> dict[str, Any]:
        return {"method": self.layer, "theta": scores, "loss": lambda y: self._missed(y, examples)}

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self._missed(self.layer(scores), examples)

    def _missed(self, y: Tensor, examples: Any) -> Tensor:
        return (1.0 - y.gather(1, examples.labels[:, None])).sum()
