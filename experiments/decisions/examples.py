"""Features, costs and decisions, and what every kind of data says of itself."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int64
from torch import Tensor, nn

from combdiff.polyhedra import Neighbours
from combdiff.solvers import GraphInstances, Sense, Solver
from experiments.harness import source
from experiments.harness.task import Examples


@dataclass(frozen=True)
class Decisions(Examples):
    """Features, the costs that belong to them, and the best decisions for these.

    Attributes:
        inputs: (examples, features), or (examples, entries, features).
        true_costs: (examples, n), of the decision's entries (rewards, where the solver maximises).
        solutions: (examples, n), the best decisions for them.
        mean_costs: (examples, n), the expected costs given the features, where the data are generated.
        vertex: (examples), the number of each solution among all, where the source has cones of them.
        references: (examples, k, n), costs by the predictors that the source names, as baselines.
        ends: (examples, 2), source and target, where each example is a path of its own.
    """

    inputs: Float[Tensor, "examples ..."]
    true_costs: Float[Tensor, "examples ..."]
    solutions: Float[Tensor, "examples ..."]
    mean_costs: Float[Tensor, "examples n"] | None = None
    vertex: Int64[Tensor, " examples"] | None = None
    references: Float[Tensor, "examples k n"] | None = None
    ends: Int64[Tensor, "examples 2"] | None = None

    def instances(self) -> GraphInstances | None:
        """The ends of each path, for `ShortestPath.graph`."""
        return None if self.ends is None else GraphInstances(*self.ends.cpu().numpy().T)

    @property
    def objectives(self) -> Float[Tensor, "examples 1"]:
        """What the best decisions are worth."""
        return (self.true_costs * self.solutions).sum(1, keepdim=True)


class Source(source.Source[Decisions]):
    """One kind of data of the task: what `--data` names.

    Attributes:
        neighbours: of all vertices, in the order of their numbers, where these are known.
        sense: of the solver.
        scores_are_costs: see `Task`.
        references: the names of the predictors behind `Decisions.references`.
    """

    neighbours: Neighbours
    sense: ClassVar[Sense] = Sense.MIN
    scores_are_costs: ClassVar[bool] = False
    references: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def solver(self, examples: Decisions) -> Solver:
        """What decides in such examples, on one thread."""

    def network(self, examples: Decisions) -> nn.Module:
        """A new network: features to costs (examples, n)."""
        return nn.Linear(examples.inputs.shape[1], examples.solutions.shape[1])
