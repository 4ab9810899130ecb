"""What a method is: a layer or a loss, its temperature, and the supervision that it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from combdiff.layer import SolverLayer
from combdiff.solvers import Solver
from experiments.harness.options import Options
from experiments.harness.task import Examples

FLOOR = 1e-3  # costs stay positive


@dataclass
class Method(Options, ABC):
    """One row of the table: what the scores of the network mean, and what is to be minimised.

    A method is one file in `experiments/methods` (or `--method package.module:Class`): a dataclass with its options
    (made by `option`) as fields, `setup` and `objective`.

    Attributes:
        needs_costs: whether it learns from true costs, and not from solutions alone.
        uses_solver: whether it solves in training, so that another solver is another training.
        layer: the solver layer that the gradient passes, whose `stats` count its work.
    """

    needs_costs: ClassVar[bool] = False
    uses_solver: ClassVar[bool] = True
    layer: SolverLayer | None = field(default=None, init=False, repr=False)

    @abstractmethod
    def setup(self, solver: Solver, train: Examples) -> None:
        """Make ready for a training by this solver on these examples.

        Raises:
            ValueError: for options that exclude each other.
        """

    def costs(self, scores: Float[Tensor, b * shape]) -> Float[Tensor, b * shape]:
        """Positive costs, up to a factor for each example."""
        return softplus(scores) + FLOOR

    @abstractmethod
    def objective(self, scores: Float[Tensor, b * shape], examples: Examples) -> Float[Tensor, ""]:
        """What is minimised, summed over the examples (so that λ does not depend on the size of a batch)."""


def solution_loss(name: str, y: Float[Tensor, "*dims"], truth: Float[Tensor, "*dims"]) -> Float[Tensor, ""]:
    """How far (a mean of) solutions are from the labels, summed.

    "hamming" is Vlastelica's: ⟨y, 1 − ȳ⟩ + ⟨1 − y, ȳ⟩, for 0/1 vectors the number of entries in which they differ; its
    gradient is ±1 everywhere. "squared" is ‖y − ȳ‖², the same number, but with no gradient where they agree.

    >>> import torch
    >>> y, truth = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    >>> solution_loss("hamming", y, truth), solution_loss("squared", y, truth)
    (tensor(2.), tensor(2.))
    """
    if name == "hamming":
        return (y * (1 - truth) + (1 - y) * truth).sum()
    return (y - truth).square().sum()
