"""What every kind of data of the task says of itself."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from combdiff.solvers import Solver
from experiments.harness import source
from experiments.harness.table import Column


class Source(source.Source[Any]):
    """One kind of data of the task: what `--data` names.

    Attributes:
        target: the score by which the best epoch is chosen; large is good.
        columns: the scores in the table.
        shift_invariant: see `Task`.
        backends: what solves, by name.
    """

    target: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    shift_invariant: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = ("auto",)

    @abstractmethod
    def solver(self, backend: str, examples: Any) -> Solver:
        """The solver of such examples."""

    @abstractmethod
    def solve(self, costs: Tensor, examples: Any) -> Tensor:
        """The best solutions for θ."""

    @abstractmethod
    def score(self, solutions: Tensor, examples: Any, costs: Tensor | None) -> dict[str, float]:
        """Scores of solutions, and of the θ they were found by, if any."""
