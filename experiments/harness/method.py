"""What a method is: a layer or a loss, its temperature, and the supervision that it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn.functional import softplus

from combdiff.soft.arguments import HasStrength
from combdiff.solvers import Solver
from experiments.harness.errors import InputError
from experiments.harness.options import Options
from experiments.harness.task import Task, distance

FLOOR = 1e-3  # positive costs are at least this


@dataclass
class Method(Options, ABC):
    """One row of the table: what the scores of the network mean, and what is to be minimised.

    A method is one file in `experiments/methods` (or `--method package.module:Class`): a dataclass with its options
    (made by `option` and `temperature`) as fields, `setup` and `objective`.

    Attributes:
        needs: the attributes of the training examples that it learns from; where one is not known, it is left out.
        uses_solver: whether it solves in training, so that another solver is another training.
        seeded_as: the method whose network and batches it has, where it is compared with that one; its own, if empty.
        task: what it is trained for; there before `setup`.
        layer: the solver layer (or oracle) whose `stats` count its work.
    """

    needs: ClassVar[tuple[str, ...]] = ("solutions",)
    uses_solver: ClassVar[bool] = True
    seeded_as: ClassVar[str] = ""
    task: Task[Any] = field(init=False, repr=False)
    layer: Any = field(default=None, init=False, repr=False)

    @abstractmethod
    def setup(self, solver: Solver, train: Any) -> None:
        """Make ready for a training by this solver on these examples.

        Raises:
            ValueError: for options that exclude each other.
        """

    @classmethod
    def temperature_option(cls) -> str | None:
        """The name of the option that is the temperature, if the method has one."""
        return next((name for name, declared in cls.options().items() if "temperature" in declared.metadata), None)

    def advice_arguments(self, scores: Tensor, examples: Any) -> dict[str, Any]:
        """What `combdiff.diagnostics.advise` has to know of a batch: its arguments.

        It is known where `_loss` is a soft loss of the scores and of what the method `needs` first; others say it.

        Raises:
            InputError: for a method whose temperature is not that of a layer, an operator or a loss.
        """
        loss = getattr(self, "_loss", None)
        if isinstance(loss, HasStrength):
            mask = {} if getattr(examples, "counted", None) is None else {"mask": examples.counted}
            return {"method": loss, "theta": scores, "target": getattr(examples, self.needs[0]), **mask}
        raise InputError(f"{type(self).__name__} has no layer that a temperature could be measured on: give a number")

    def network(self, train: Any) -> nn.Module:
        """A new network: the task's, unless the method needs other outputs or has weights of its own."""
        return self.task.network(train)

    def costs(self, scores: Tensor) -> Tensor:
        """θ of the solver: the scores; where the task wants positive costs, these up to a factor for each example."""
        return softplus(scores) + FLOOR if self.task.positive else scores

    @abstractmethod
    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        """What is minimised, summed over the examples (so that λ does not depend on the size of a batch)."""

    def solution_loss(self, name: str, y: Tensor, examples: Any) -> Tensor:
        """How bad (a mean of) solutions are: "hamming" or "squared" distance from the labels, or the "task" says."""
        return self.task.loss(y, examples) if name == "task" else distance(name, y, examples.solutions)
