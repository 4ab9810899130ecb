from itertools import combinations

import numpy as np
import pytest

from combdiff.solvers import Solver, TopK
from combdiff.testing import SolverContract


class TestTopKMax(SolverContract):
    sense = "max"

    def make(self) -> Solver:
        return TopK(6, 3, self.sense)

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return np.array([[float(i in chosen) for i in range(6)] for chosen in combinations(range(6), 3)])


class TestTopKMin(TestTopKMax):
    sense = "min"


def test_first_of_equal_entries_is_taken() -> None:
    assert TopK(4, 2).solve(np.ones((1, 4))).y.tolist() == [[1, 1, 0, 0]]


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="k=5"):
        TopK(4, 5)
    with pytest.raises(ValueError, match="k=0"):
        TopK(4, 0)
    with pytest.raises(ValueError, match="'largest' is neither"):
        TopK(4, 1, "largest")
