"""What every kind of data of the task says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from combdiff.solvers import Solver
from experiments.harness.table import Column, Row
from experiments.harness.task import DataSet, Learned, distance


class Source(ABC):
    """One kind of data of the task: what `--data` names.

    Args:
        options: the task, whose options it reads.
        path: what follows the colon of `--data`; empty if nothing does.

    Attributes:
        takes_path: whether `--data` has a :PATH; None: it may.
        methods: what is trained unless the command line says.
        target: the score by which the best epoch is chosen; large is good.
        columns: the scores in the table.
        shift_invariant: see `Task`.
        backends: what solves, by name.
        presets: settings of "demo" and "full" that are not the defaults.
    """

    takes_path: ClassVar[bool | None] = False
    methods: ClassVar[tuple[str, ...]]
    target: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    shift_invariant: ClassVar[bool] = True
    backends: ClassVar[tuple[str, ...]] = ("auto",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    def __init__(self, options: Any, path: str) -> None:
        self.options, self.path = options, Path(path)

    @abstractmethod
    def describe(self) -> str:
        """The title of the table."""

    @abstractmethod
    def load(self, split: int) -> DataSet[Any]:
        """The examples of one split.

        Raises:
            InputError: for files that cannot be used.
        """

    @abstractmethod
    def network(self, examples: Any) -> nn.Module:
        """A new network: inputs to θ."""

    @abstractmethod
    def solver(self, backend: str, examples: Any) -> Solver:
        """The solver of such examples."""

    @abstractmethod
    def solve(self, costs: Tensor, examples: Any) -> Tensor:
        """The best solutions for θ."""

    @abstractmethod
    def score(self, solutions: Tensor, examples: Any, costs: Tensor | None) -> dict[str, float]:
        """Scores of solutions, and of the θ they were found by, if any."""

    def loss(self, y: Tensor, examples: Any) -> Tensor:
        """What a method minimises that has no loss of its own, summed."""
        return distance("hamming", y, examples.solutions)

    def completed(self, costs: Tensor, examples: Any) -> Tensor:
        """The labels as whole solutions; where they are parts of one, the best for θ that has these parts."""
        solutions: Tensor = examples.solutions
        return solutions

    def baselines(self, examples: Any) -> dict[str, Tensor]:
        """Solutions that need no training, by name."""
        return {}

    def remarks(self, examples: Any, metrics: Sequence[Row], learned: Sequence[Learned]) -> list[str]:
        """What the reader of the table should know."""
        return []

    def pictures(
        self, folder: Path, metrics: Sequence[Row], rows: Sequence[Row], examples: Any, learned: Sequence[Learned]
    ) -> list[str]:
        """Draw PNG files into the folder, and return their names."""
        return []
