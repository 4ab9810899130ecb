"""Features, costs and decisions, and what every kind of data says of itself."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor, nn

from combdiff.polyhedra import Neighbours
from combdiff.solvers import Solver
from experiments.harness import source
from experiments.harness.task import Examples


@dataclass(frozen=True)
class Decisions(Examples):
    """Features, the costs that belong to them, and the best decisions for these.

    Attributes:
        inputs: (examples, features).
        true_costs: (examples, n), of the decision's entries (rewards, where the solver maximises).
        solutions: (examples, n), the best decisions for them.
        mean_costs: (examples, n), the expected costs given the features, where the data are generated.
        vertex: (examples), the number of each solution among all, where the source has cones of them.
    """

    inputs: Float[Tensor, "examples p"]
    true_costs: Float[Tensor, "examples n"]
    solutions: Float[Tensor, "examples n"]
    mean_costs: Float[Tensor, "examples n"] | None = None
    vertex: Int64[Tensor, " examples"] | None = None

    @property
    def objectives(self) -> Float[Tensor, "examples 1"]:
        """What the best decisions are worth."""
        return (self.true_costs * self.solutions).sum(1, keepdim=True)


class Source(source.Source[Decisions]):
    """One kind of data of the task: what `--data` names.

    Attributes:
        neighbours: of all vertices, in the order of their numbers, where these are known.
    """

    neighbours: Neighbours

    @abstractmethod
    def solver(self) -> Solver:
        """What decides, on one thread."""

    def network(self, examples: Decisions) -> nn.Module:
        """A new network: features to costs (examples, n)."""
        return nn.Linear(examples.inputs.shape[1], examples.true_costs.shape[1])
