"""Methods that take a loss of the solutions of a layer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor

from combdiff import SolverLayer
from combdiff.solvers import Solver
from experiments.harness.method import Method
from experiments.harness.options import option


@dataclass
class LayerMethod(Method):
    """The layer that `make` returns, and a loss of its solutions.

    Attributes:
        normalises: whether costs are divided by their mean size (and centred, where a shift changes no solution), as a
            layer wants that is homogeneous of degree 0.
    """

    normalises: ClassVar[bool] = True

    loss: Literal["fenchel-young", "hamming", "squared", "task"] | None = option(None, "on the solutions")

    @abstractmethod
    def make(self, solver: Solver) -> SolverLayer:
        """The layer on a solver, by the options."""

    def setup(self, solver: Solver, train: Any) -> None:
        if self.loss == "fenchel-young":
            name = type(self).__name__.lower()
            raise ValueError(f"the loss 'fenchel-young' needs a smoothed layer (--method perturbed), not {name}")
        self.layer = self.make(solver)

    def costs(self, scores: Tensor) -> Tensor:
        costs = super().costs(scores)
        if not self.normalises:
            return costs
        dims = tuple(range(1, costs.ndim))
        if self.task.shift_invariant:
            costs = costs - costs.mean(dims, keepdim=True)
        return costs / costs.abs().mean(dims, keepdim=True).clamp(min=1e-12)  # costs that are all 0 stay so

    def advice_arguments(self, scores: Tensor, examples: Any) -> dict[str, Any]:
        loss = {"loss": lambda y: self.solution_loss(self.loss or "task", y, examples)}
        return {"method": self.layer, "theta": self.costs(scores), "instances": examples.instances(), **loss}

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.solution_loss(self.loss or "task", self.layer(self.costs(scores), examples.instances()), examples)
