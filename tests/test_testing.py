"""The contract suites can fail: each broken solver or layer is caught by the test of its law."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from combdiff import Interpolation, Solutions, Solver, SolverLayer
from combdiff.layer import Report
from combdiff.testing import HYPERSIMPLEX, Enumerated, LayerContract, SolverContract


class Worst(Enumerated):
    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        found = super().solve(-theta, instances)
        return Solutions(found.y, -found.objective, found.status)


class Forgetful(Enumerated):
    """Ties depend on how often it was called."""

    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        self.points = np.roll(self.points, 1, axis=0)
        return super().solve(theta, instances)


class WrongObjective(Enumerated):
    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        found = super().solve(theta, instances)
        return Solutions(found.y, found.objective + 1.0, found.status)


class NotChecking(Enumerated):
    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        return super().solve(np.nan_to_num(theta), instances)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (Worst, lambda suite: suite.test_best_of_the_feasible_set("normal")),
        (WrongObjective, lambda suite: suite.test_best_of_the_feasible_set("ties")),
        (Forgetful, lambda suite: suite.test_answer_does_not_depend_on_what_was_solved_before()),
        (NotChecking, lambda suite: suite.test_not_finite_is_refused_by_index(np.nan)),
        (Enumerated, lambda suite: suite.test_instances()),
    ],
)
def test_a_broken_solver_is_caught(kind: type[Enumerated], law: Callable[[SolverContract], None]) -> None:
    class Suite(SolverContract):
        def make(self) -> Solver:
            return kind(HYPERSIMPLEX)

        def feasible_set(self, solver: Solver) -> np.ndarray:
            return HYPERSIMPLEX

    with pytest.raises((AssertionError, pytest.fail.Exception, TypeError)):
        law(Suite())


class ForwardSign(Interpolation):
    """Reads the sense a second time."""

    def _estimate(self, costs: torch.Tensor, instances: Any) -> tuple[torch.Tensor, Report]:
        return super()._estimate(costs * self.solver.sense.sign, instances)


class BatchMean(Interpolation):
    """Mixes the rows of a batch."""

    def _estimate(self, costs: torch.Tensor, instances: Any) -> tuple[torch.Tensor, Report]:
        return super()._estimate(costs - costs.mean(0), instances)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (ForwardSign, lambda suite: suite.test_min_is_max_of_the_negative()),
        (BatchMean, lambda suite: suite.test_batch_is_its_rows()),
    ],
)
def test_a_broken_layer_is_caught(kind: type[Interpolation], law: Callable[[LayerContract], None]) -> None:
    class Suite(LayerContract):
        def make(self, solver: Solver, on_failure: Any = "raise") -> SolverLayer:
            return kind(solver, 2.0, on_failure)

    with pytest.raises(AssertionError):
        law(Suite())
