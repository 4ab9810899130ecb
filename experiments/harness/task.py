"""What a task is: data, a network, a solver, scores and pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from combdiff.solvers import Solver
from experiments.harness.options import Options
from experiments.harness.table import Column, Row


class Examples(Protocol):
    """Some of the data: what the network sees, the labelled solutions, and the true costs if they are known."""

    @property
    def inputs(self) -> Float[Tensor, n * input]:
        """What the network sees."""

    @property
    def solutions(self) -> Float[Tensor, n * shape]:
        """The optimal solutions to learn from."""

    @property
    def has_costs(self) -> bool:
        """Whether the true costs are known."""

    @property
    def costs(self) -> Float[Tensor, n * shape]:
        """The true costs of examples that have them."""

    def __len__(self) -> int: ...

    def pick(self, index: Any) -> Self:
        """Some of the examples."""

    def instances(self) -> Any:
        """The feasible set of each example for the solver, if they differ."""


E = TypeVar("E", bound=Examples)


@dataclass(frozen=True)
class DataSet(Generic[E]):
    """The examples of one split.

    Attributes:
        augment: a random change of inputs that keeps their meaning.
    """

    train: E
    validation: E
    test: E
    augment: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Learned:
    """What one training makes of the test examples of the first split."""

    method: str
    solver: str
    costs: Tensor
    solutions: Tensor


@dataclass
class Task(Options, ABC, Generic[E]):
    """Data, a network, a solver, scores and pictures; its options, made by `option`, are the fields of the dataclass.

    A task is the class of this kind in `experiments/NAME/task.py` (or `python -m experiments package.module:Class`);
    the docstring of the module is the help of the command.

    Attributes:
        methods: what is trained unless the command line says.
        backends: the solvers that `solver` makes; the first one is used unless the command line says.
        target: the score by which the best epoch is chosen; large is good.
        columns: the scores in the table.
    """

    methods: ClassVar[tuple[str, ...]] = ("perturbed", "two-stage")
    backends: ClassVar[tuple[str, ...]] = ("kernel",)
    target: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the preset "demo" or "full" for what was given, where they are not the defaults."""
        return {}

    @abstractmethod
    def describe(self) -> str:
        """The title of the table."""

    @abstractmethod
    def load(self, split: int) -> DataSet[E]:
        """The examples of one split.

        Raises:
            InputError: for files that cannot be used.
        """

    @abstractmethod
    def network(self, examples: E) -> nn.Module:
        """A new network for such examples: inputs to scores of the shape of the solutions."""

    @abstractmethod
    def solver(self, backend: str, examples: E) -> Solver:
        """One of the `backends`, for such examples, on one thread.

        Raises:
            InputError: where that back end cannot take them.
        """

    @abstractmethod
    def solve(self, costs: Tensor, examples: E) -> Tensor:
        """The optimal solutions for some costs, by the first of the `backends`."""

    @abstractmethod
    def score(self, solutions: Tensor, examples: E, costs: Tensor | None = None) -> dict[str, float]:
        """Scores of solutions, and of the costs they were found by, if any. NaN where one means nothing."""

    def baselines(self, examples: E) -> dict[str, Tensor]:
        """Solutions that are found without looking at the inputs."""
        return {}

    def pictures(
        self, folder: Path, metrics: Sequence[Row], rows: Sequence[Row], examples: E, learned: Sequence[Learned]
    ) -> list[str]:
        """Draw PNG files into the folder, and return their names.

        Args:
            folder: of the run.
            metrics: the rows of `metrics.csv`.
            rows: of the table.
            examples: the test examples of the first split.
            learned: what each training makes of them.
        """
        return []
