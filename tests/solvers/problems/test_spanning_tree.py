"""SpanningTree against enumeration and SciPy."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from combdiff.testing import SolverContract
from combdiff_solvers import Solver, SpanningTree, SpanningTreeInstances

EDGES = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 0), (1, 3), (0, 1), (2, 2)]


def trees(edges: list[tuple[int, int]], vertices: int) -> Float64[ndarray, "k n"]:
    """Every spanning tree."""
    found = []
    for picked in combinations(range(len(edges)), vertices - 1):
        ends = np.array([edges[edge] for edge in picked])
        graph = coo_array((np.ones(len(ends)), ends.T), shape=(vertices, vertices))
        if connected_components(graph)[0] == 1:
            found.append(np.isin(np.arange(len(edges)), picked))
    return np.array(found, dtype=float).reshape(-1, len(edges))


class TestMinimum(SolverContract):
    sense = "min"
    tolerance = 1e-12

    def make(self) -> Solver:
        return SpanningTree(EDGES, sense=self.sense)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return trees(EDGES, 5)

    def instances(self, solver: Solver, rows: int) -> SpanningTreeInstances:
        return SpanningTreeInstances(allowed=np.random.default_rng(0).random((rows, len(EDGES))) < 0.7)

    def feasible_set_of(self, solver: Solver, instance: Any) -> Float64[ndarray, "k n"]:
        points = trees(EDGES, 5)
        return points[(points <= instance["allowed"]).all(axis=1)]


class TestMaximum(TestMinimum):
    sense = "max"


def test_agrees_with_scipy() -> None:
    low, high = np.triu_indices(40, 1)
    theta = np.random.default_rng(0).uniform(1, 2, size=(50, len(low)))
    found = SpanningTree(np.stack([low, high], axis=1)).solve(theta)
    expected = [minimum_spanning_tree(coo_array((row, (low, high)), shape=(40, 40))).sum() for row in theta]
    np.testing.assert_allclose(found.objective, expected)


@pytest.mark.parametrize(
    ("edges", "vertices", "match"),
    [
        ([(0, 1), (2, 3)], None, "do not connect"),
        ([(0, 1)], 3, "do not connect"),
        ([(0, 5)], 3, "edge 0 is"),
        ([], None, "at least one edge"),
        ([(0.5, 1.0)], None, "integers"),
    ],
)
def test_bad_graphs(edges: list[Any], vertices: int | None, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SpanningTree(edges, vertices)
