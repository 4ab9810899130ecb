"""Programs with constraints of each row's own, by the laws of every solver."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from combdiff.solvers import MixedIntegerPrograms, Status
from combdiff.testing import SolverContract

pytest.importorskip("ortools")
BOX = np.array(list(product([-1.0, 0.0, 1.0], repeat=3)))


class TestMixedIntegerPrograms(SolverContract):
    rows = 15

    def make(self) -> MixedIntegerPrograms:
        return MixedIntegerPrograms(3, (-1, 1), sense="max", backend="highs")

    def feasible_set(self, solver: Any) -> ndarray:
        return BOX

    def instances(self, solver: Any, rows: int) -> list[dict[str, ndarray]]:
        rng = np.random.default_rng(rows)
        bounds = {"lower": np.array([-1.0, 0.0, -1.0]), "upper": np.ones(3)}
        kinds = [
            {"A": rng.normal(size=(2, 3)), "b": np.array([side, 1.0]), **bounds} for side in (-9.0, 0.5, 1.0, 0.2)
        ]  # the first has no feasible point
        return [kinds[row % 4] for row in range(rows)]

    def feasible_set_of(self, solver: Any, instance: Any) -> ndarray:
        inside = (instance["b"] >= BOX @ instance["A"].T).all(axis=1) & (instance["lower"] <= BOX).all(axis=1)
        return BOX[inside]


def test_a_bad_row_costs_no_other_and_continuous_variables_are_not_rounded() -> None:
    solver = MixedIntegerPrograms(2, (0, 3), [1, 0], "max")
    sets = [{"A": np.ones((1, 2)), "b": np.array([2.5])}, {"A": np.ones((1, 3)), "b": np.ones(1)}]
    found = solver.solve(np.array([[2.0, 1.0], [2.0, 1.0]]), sets)
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR]
    assert found.y[0].tolist() == pytest.approx([2.0, 0.5])
    assert "shape" in found.messages[1] or "columns" in found.messages[1]
