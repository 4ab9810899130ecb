"""The contract suites can fail: each broken solver or layer is caught by the test of its law."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from combdiff import Interpolation, Solutions, Solver, SolverLayer
from combdiff.oracle import Report
from combdiff.testing import HYPERSIMPLEX, Enumerated, LayerContract, SolverContract

ROOT = Path(__file__).parents[1]


class Worst(Enumerated):
    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        found = super().solve(-theta, instances)
        return Solutions(found.y, -found.objective, bound=found.bound, status=found.status)


class Forgetful(Enumerated):
    """Ties depend on how often it was called."""

    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        self.points = np.roll(self.points, 1, axis=0)
        return super().solve(theta, instances)


class WrongObjective(Enumerated):
    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        found = super().solve(theta, instances)
        return Solutions(found.y, found.objective + 1.0, bound=found.bound, status=found.status)


class TooGoodABound(Enumerated):
    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        found = super().solve(theta, instances)
        return Solutions(found.y, found.objective, bound=found.bound + 1e-9, status=found.status)


class NotChecking(Enumerated):
    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        return super().solve(np.nan_to_num(theta), instances)


class LastBit(Enumerated):
    """The objective depends on the size of the batch, in its last bit."""

    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        found = super().solve(theta, instances)
        objective = np.nextafter(found.objective, np.inf) if len(theta) > 1 else found.objective
        return Solutions(found.y, objective, bound=found.bound, status=found.status)


class ForgetsH(Enumerated):
    """Its objective holds an h that `value` does not."""

    def solve(self, theta: np.ndarray, instances: Any = None) -> Solutions:
        found = super().solve(theta, instances)
        return Solutions(found.y, found.objective + 1.0, bound=found.bound, status=found.status)

    def value(self, y: np.ndarray, theta: np.ndarray, instances: Any = None) -> np.ndarray:
        return (y * theta).sum(axis=1)


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (LastBit, lambda suite: suite.test_batch_is_its_rows("normal")),
        (ForgetsH, lambda suite: suite.test_value_is_the_objective()),
        (WrongObjective, lambda suite: suite.test_value_is_the_objective()),
        (Worst, lambda suite: suite.test_best_of_the_feasible_set("normal")),
        (WrongObjective, lambda suite: suite.test_best_of_the_feasible_set("ties")),
        (TooGoodABound, lambda suite: suite.test_best_of_the_feasible_set("normal")),
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


SUITES = """
import numpy as np
from combdiff.solvers import TopK
from combdiff.testing import LayerContract, SolverContract

class TestWithoutFeasibleSet(SolverContract):
    def make(self):
        return TopK(4, 2)

class TestWithoutAnything(SolverContract):
    pass

class TestLayerWithoutMake(LayerContract):
    pass
"""


def test_a_suite_that_is_not_complete_fails_and_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "test_suites.py").write_text(SUITES)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(path) for path in (ROOT, ROOT / "solvers"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    for missing in (
        "TestWithoutFeasibleSet must define feasible_set(self, solver)",
        "TestWithoutAnything must define make(self)",
        "TestLayerWithoutMake must define make(self, solver, on_failure)",
    ):
        assert missing in done.stdout
