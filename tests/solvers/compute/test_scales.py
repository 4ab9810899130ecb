"""Costs of every size: a solution does not change when all costs are multiplied by a power of two."""

from typing import Any

import numpy as np
import pytest

from combdiff.solvers import (
    Assignment,
    GraphInstances,
    Knapsack,
    KSubset,
    Matching,
    MaxCut,
    Qubo,
    Ranking,
    ShortestPath,
    Solver,
    SpanningTree,
    Status,
    Sudoku,
    TopK,
    TravelingSalesman,
)

CYCLIC = [(0, 1), (1, 2), (2, 0), (1, 3), (2, 3), (3, 4), (4, 1), (0, 4), (1, 3)]
LAYERED = [(0, 1), (0, 2), (1, 3), (2, 3), (1, 2), (3, 4), (2, 4), (0, 4)]
SOLVERS: list[tuple[Solver, bool]] = [  # and whether it takes negative costs
    (ShortestPath.grid(4), False),
    (ShortestPath.grid(4, neighbors=4, negative="clamp"), True),
    (ShortestPath.graph(CYCLIC, 0, 4), False),
    (ShortestPath.graph(LAYERED, 0, 4), False),
    (ShortestPath.graph(LAYERED, 0, 4, negative="exact"), True),
    (Assignment(3, 4), True),
    (SpanningTree(CYCLIC), True),
    (Matching([(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]), True),
    (Knapsack([[1.0, 2, 3, 4]], 5.0), True),
    (TravelingSalesman(5), True),
    (Qubo(3), True),
    (MaxCut(CYCLIC), True),
    (KSubset(5, 1, 3), True),
    (TopK(5, 2), True),
    (Ranking(5), True),
    (Sudoku(4), True),
]


@pytest.mark.parametrize(("solver", "negative"), SOLVERS, ids=lambda value: repr(value)[:60])
@pytest.mark.parametrize("exponent", [1023, 1000, 300, -300, -900])
def test_the_solution_does_not_depend_on_the_size_of_the_costs(solver: Solver, negative: bool, exponent: int) -> None:
    theta = np.random.default_rng(0).uniform(0.25, 1.0, (50, int(np.prod(solver.shape))))
    if negative:
        theta *= np.random.default_rng(1).choice([1.0, -1.0], theta.shape)
    expected = solver.solve(theta)
    found = solver.solve(np.ldexp(theta, exponent))
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_array_equal(found.y, expected.y)
    with np.errstate(over="ignore"):
        objective = np.ldexp(expected.objective, exponent)
    np.testing.assert_allclose(found.objective, objective, rtol=1e-14)
    mixed = np.concatenate([theta[:10], np.ldexp(theta[10:], exponent)])
    np.testing.assert_array_equal(solver.solve(mixed).y, expected.y)


@pytest.mark.parametrize("options", [{}, {"negative": "clamp"}, {"negative": "exact"}])
def test_the_largest_costs_on_the_only_path(options: dict[str, Any]) -> None:
    solver = ShortestPath.graph([(0, 1), (1, 2)], 0, 2, **options)
    found = solver.solve(np.array([[1e308, 1e308], [1e308, 5e307]]))
    assert found.status.tolist() == [Status.OPTIMAL] * 2
    assert found.y.tolist() == [[1.0, 1.0]] * 2
    assert found.objective.tolist() == [np.inf, 1.5e308]  # 2e308 is more than a float64 holds
    assert ShortestPath.grid(1, 2).solve(np.array([[1e308, 7e307]])).objective.tolist() == [1.7e308]


def test_the_largest_costs_on_a_graph_with_a_cycle() -> None:
    solver = ShortestPath.graph([(0, 1), (1, 2), (2, 0), (3, 4)], 0, 2)
    found = solver.solve(np.array([[1e308, 1e308, 1.0, 1.0]]))
    assert found.status.tolist() == [Status.OPTIMAL]
    assert found.y.tolist() == [[1.0, 1.0, 0.0, 0.0]]
    assert found.bound.tolist() == [np.finfo(np.float64).max]  # 2e308 is more than a float64 holds
    apart = solver.solve(np.full((2, 4), 1e308), GraphInstances(target=np.array([2, 4])))
    assert apart.status.tolist() == [Status.OPTIMAL, Status.INFEASIBLE]


def test_a_sum_that_overflows_on_the_way_is_not_a_worse_path() -> None:
    """0 → 1 → 2 → 3 sums to 1e308, over 2e308; the edge 0 → 3 costs 1.5e308."""
    solver = ShortestPath.graph([(0, 1), (1, 2), (2, 3), (0, 3)], 0, 3, negative="exact")
    found = solver.solve(np.array([[1e308, 1e308, -1e308, 1.5e308]]))
    assert found.y.tolist() == [[1.0, 1.0, 1.0, 0.0]]
    found = solver.solve(np.array([[-1e308, -1e308, 0.0, -1.5e308], [-1e308, -1e308, 1.0, 0.0]]))
    assert found.y.tolist() == [[1.0, 1.0, 1.0, 0.0]] * 2
    assert found.objective.tolist() == [-np.inf, -np.inf]
