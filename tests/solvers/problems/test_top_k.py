from itertools import combinations, permutations

import numpy as np
import pytest

from combdiff.solvers import Ranking, Solver, TopK
from combdiff.testing import SolverContract


class TestTopKMax(SolverContract):
    sense = "max"

    def make(self) -> Solver:
        return TopK(6, 3, self.sense)

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return np.array([[float(i in chosen) for i in range(6)] for chosen in combinations(range(6), 3)])


class TestTopKMin(TestTopKMax):
    sense = "min"


class TestRankingMax(SolverContract):
    sense = "max"

    def make(self) -> Solver:
        return Ranking(5, self.sense)

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return np.array(list(permutations(range(1, 6))), dtype=float)


class TestRankingMin(TestRankingMax):
    sense = "min"


def test_first_of_equal_entries_is_taken() -> None:
    assert TopK(4, 2).solve(np.ones((1, 4))).y.tolist() == [[1, 1, 0, 0]]
    assert Ranking(3).solve(np.ones((1, 3))).y.tolist() == [[1, 2, 3]]
    assert Ranking(3, "min").solve(np.ones((1, 3))).y.tolist() == [[1, 2, 3]]


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="k=5"):
        TopK(4, 5)
    with pytest.raises(ValueError, match="k=0"):
        TopK(4, 0)
    with pytest.raises(ValueError, match="n=0"):
        Ranking(0)
    with pytest.raises(ValueError, match="'largest' is neither"):
        TopK(4, 1, "largest")
