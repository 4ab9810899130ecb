"""What a task is: data, a network, a solver, scores and pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff.solvers import Solver
from experiments.harness.options import Options
from experiments.harness.table import Column, Row


@dataclass(frozen=True)
class Examples:
    """Some of the data: a frozen dataclass whose fields have a row for each example (tensors, arrays), or are None.

    `inputs` is what the network sees. The supervision goes by the names that `Method.needs` lists: `solutions`,
    `true_costs`, and whatever else a task has.
    """

    def __len__(self) -> int:
        return len(next(column for column in vars(self).values() if column is not None))

    def pick(self, index: Any) -> Self:
        """Some of the examples."""
        columns = vars(self).items()
        return replace(self, **{name: None if column is None else column[index] for name, column in columns})

    def to(self, device: str) -> Self:
        """The same examples with their tensors on a device."""
        columns = vars(self).items()
        return replace(self, **{name: column.to(device) for name, column in columns if isinstance(column, Tensor)})

    def instances(self) -> Any:
        """The feasible set of each example for the solver, if they differ."""
        return None

    @property
    def whole_solutions(self) -> Tensor | None:
        """The solutions, unless labels are parts of them."""
        return getattr(self, "solutions", None)

    @property
    def binary_solutions(self) -> Tensor | None:
        """The whole solutions, where all of their entries are 0 or 1."""
        whole = self.whole_solutions
        return None if whole is None or bool(((whole != 0) & (whole != 1)).any()) else whole

    def lacks(self, needs: Sequence[str]) -> list[str]:
        """Which of the names are not known."""
        return [name for name in needs if getattr(self, name, None) is None]


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
    augment: Callable[[Any], Any] = field(default=lambda inputs: inputs, kw_only=True)


@dataclass(frozen=True)
class Learned:
    """What one training makes of the test examples of the first split; `solver` is empty unless there are several."""

    method: str
    solver: str
    costs: Tensor
    solutions: Tensor

    def label(self) -> str:
        """What it is called in pictures."""
        return f"{self.method} ({self.solver})" if self.solver else self.method


class Problem(ABC, Generic[E]):
    """What may depend on the kind of data: a task says it, or for each kind a `Source`."""

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
        """A new network for such examples: inputs to scores, which have the shape of θ (unless a method says)."""

    def loss(self, y: Tensor, examples: E) -> Tensor:
        """What a method minimises that has no loss of its own, summed: how bad (a mean of) solutions are."""
        return distance("hamming", y, examples.solutions)  # type: ignore[attr-defined]

    def losses(self, y: Tensor, examples: E) -> Tensor:
        """The loss of each of some whole solutions (*samples, examples, *shape); of other sizes than `loss` may be."""
        return (y != examples.solutions).flatten(2).sum(-1).to(y.dtype)  # type: ignore[attr-defined]

    def completed(self, costs: Tensor, examples: E) -> Tensor:
        """The labels as whole solutions; where they are parts of one, the best for θ that has these parts."""
        return examples.solutions  # type: ignore[attr-defined]

    def baselines(self, examples: E) -> dict[str, Tensor]:
        """Solutions that need no training of a network, by name."""
        return {}

    def complete(self, rows: Sequence[Row], metrics: Sequence[Row]) -> None:
        """Add to the rows of the table what takes more than one of them to tell; `metrics` as in `pictures`."""

    def remarks(self, examples: E, metrics: Sequence[Row], learned: Sequence[Learned]) -> list[str]:
        """What the reader of the table should know of the test examples, and of the trainings; see `pictures`."""
        return []

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


@dataclass
class Task(Options, Problem[E]):
    """Data, a network, a solver, scores and pictures; its options, made by `option`, are the fields of the dataclass.

    A task is the class of this kind in `experiments/NAME/task.py` (or `python -m experiments package.module:Class`);
    the docstring of the module is the help of the command.

    Attributes:
        methods: what is trained unless the command line says.
        backends: the solvers that `solver` makes; the first one is used unless the command line says.
        target: the score by which the best epoch is chosen; large is good.
        columns: the scores in the table.
        positive: whether the solver takes positive costs only, which methods then make of the scores.
        shift_invariant: whether one number added to all costs of an example changes no solution.
    """

    methods: ClassVar[tuple[str, ...]] = ("perturbed", "two-stage")
    backends: ClassVar[tuple[str, ...]] = ("kernel",)
    target: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    positive: ClassVar[bool] = False
    shift_invariant: ClassVar[bool] = False

    @property
    def scores_are_costs(self) -> bool:
        """Whether scores are in the units of the true costs, so that two-stage does not standardise."""
        return False

    @classmethod
    def preset(cls, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the preset "demo" or "full" for what was given, where they are not the defaults."""
        return {}

    def target_column(self) -> Column:
        """The column of the target; one is made in the form of the first where the table has none."""
        made = Column(self.target, self.target.replace("_", " "), self.columns[0].form)
        return next((column for column in self.columns if column.key == self.target), made)

    @abstractmethod
    def solver(self, backend: str, examples: E) -> Solver:
        """One of the `backends`, for such examples, on one thread.

        Raises:
            InputError: where that back end cannot take them.
        """

    def solve(self, costs: Tensor, examples: E) -> Tensor:
        """The optimal solutions for some costs, by the first of the `backends`."""
        solver = self.solver(self.backends[0], examples)
        rows = costs.detach().double().reshape(len(costs), -1).numpy()
        return torch.from_numpy(solver.solve(rows, examples.instances()).y).reshape(len(costs), *solver.shape)

    @abstractmethod
    def score(self, solutions: Tensor, examples: E, costs: Tensor | None = None) -> dict[str, float]:
        """Scores of solutions, and of the costs they were found by, if any. NaN where one means nothing."""


def distance(name: str, y: Float[Tensor, "*dims"], truth: Float[Tensor, "*dims"]) -> Float[Tensor, ""]:
    """How far (a mean of) solutions are from the labels, summed.

    "hamming" is Vlastelica's: ⟨y, 1 − ȳ⟩ + ⟨1 − y, ȳ⟩, for 0/1 vectors the number of entries in which they differ; its
    gradient is ±1 everywhere. "squared" is ‖y − ȳ‖², the same number, but with no gradient where they agree.

    >>> y, truth = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    >>> distance("hamming", y, truth), distance("squared", y, truth)
    (tensor(2.), tensor(2.))
    """
    if name == "hamming":
        return (y * (1 - truth) + (1 - y) * truth).sum()
    return (y - truth).square().sum()
