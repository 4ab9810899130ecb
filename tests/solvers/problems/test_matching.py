"""Matching against enumeration and networkx."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff.testing import SolverContract
from combdiff_solvers import Assignment, Matching, Solver

ALL_PAIRS = list(combinations(range(6), 2))
PRISM = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5), (0, 1)]  # odd cycles, a parallel edge


def perfect(edges: list[tuple[int, int]], vertices: int) -> Float64[ndarray, "k n"]:
    """Every perfect matching."""
    found = [
        np.isin(np.arange(len(edges)), picked)
        for picked in combinations(range(len(edges)), vertices // 2)
        if len({end for edge in picked for end in edges[edge]}) == vertices
    ]
    return np.array(found, dtype=float)


class TestComplete(SolverContract):
    edges, sense = ALL_PAIRS, "min"
    tolerance = 1e-14

    def make(self) -> Solver:
        return Matching(self.edges, sense=self.sense)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return perfect(self.edges, 6)


class TestPrism(TestComplete):
    edges, sense = PRISM, "max"


def random_graph(rng: np.random.Generator) -> tuple[int, list[tuple[int, int]]]:
    vertices, density = int(rng.choice([4, 8, 14, 22])), rng.uniform(0.2, 1.0)
    return vertices, [pair for pair in combinations(range(vertices), 2) if rng.random() < density]


def test_agrees_with_networkx_on_graphs_full_of_odd_cycles() -> None:
    nx = pytest.importorskip("networkx")
    rng = np.random.default_rng(0)
    agreed = refused = 0
    while agreed < 60:
        vertices, edges = random_graph(rng)
        if not edges:
            continue
        graph = nx.Graph()
        graph.add_nodes_from(range(vertices))
        cost = rng.integers(-5, 6, len(edges)) if agreed % 2 else rng.integers(-(10**9), 10**9, len(edges))
        graph.add_weighted_edges_from([(u, v, -int(c)) for (u, v), c in zip(edges, cost, strict=True)])
        pairs = nx.max_weight_matching(graph, maxcardinality=True)
        if 2 * len(pairs) < vertices:
            with pytest.raises(ValueError, match="no perfect matching"):
                Matching(edges, vertices)
            refused += 1
            continue
        found = Matching(edges, vertices).solve(cost[None].astype(float))
        assert found.objective[0] == -sum(graph[u][v]["weight"] for u, v in pairs)
        assert (np.bincount(np.array(edges)[found.y[0] > 0].ravel(), minlength=vertices) == 1).all()
        agreed += 1
    assert refused > 5


def test_agrees_with_assignment_on_bipartite_graphs() -> None:
    theta = np.random.default_rng(0).normal(size=(50, 100))
    edges = [(i, 10 + j) for i in range(10) for j in range(10)]
    np.testing.assert_array_equal(Matching(edges).solve(theta).y, Assignment(10).solve(theta).y)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e300])
def test_any_scale_of_theta(scale: float) -> None:
    theta = np.random.default_rng(0).normal(size=(100, 15))
    solver = Matching(ALL_PAIRS)
    np.testing.assert_array_equal(solver.solve(scale * theta).y, solver.solve(theta).y)


def test_entries_over_twelve_orders_of_magnitude() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(300, 15)) * 10.0 ** rng.uniform(-6, 6, (300, 15))
    found, best = Matching(ALL_PAIRS).solve(theta).objective, (theta @ perfect(ALL_PAIRS, 6).T).min(axis=1)
    assert (found - best <= 36 * 2.0**-57 * np.abs(theta).max(axis=1) + 1e-15 * np.abs(theta).max(axis=1)).all()


@pytest.mark.parametrize(
    ("edges", "vertices", "match"),
    [([(0, 1), (1, 2)], None, "no perfect matching"), ([(0, 1)], 4, "no perfect"), ([(0, 9)], 4, "edge 0 is")],
)
def test_bad_graphs(edges: list[Any], vertices: int | None, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Matching(edges, vertices)
