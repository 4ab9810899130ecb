import pickle
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from combdiff.solvers import GraphInstances, GridInstances, ShortestPath, Solver, Status
from combdiff.testing import SolverContract


def neighbors_of(cell: tuple[int, int], shape: tuple[int, int], count: int) -> Iterator[tuple[int, int]]:
    for dr in (-1, 0, 1):
        for dc in (-1, 0, 1):
            other = (cell[0] + dr, cell[1] + dc)
            if 0 < dr * dr + dc * dc <= count // 4 and 0 <= other[0] < shape[0] and 0 <= other[1] < shape[1]:
                yield other


def simple_paths(
    shape: tuple[int, int], count: int, start: tuple[int, int], goal: tuple[int, int], walls: np.ndarray
) -> np.ndarray:
    """Every simple path of a small grid, as 0/1 masks."""
    found: list[np.ndarray] = []

    def extend(path: list[tuple[int, int]]) -> None:
        if path[-1] == goal:
            mask = np.zeros(shape)
            mask[tuple(np.array(path).T)] = 1.0
            found.append(mask.reshape(-1))
            return
        for cell in neighbors_of(path[-1], shape, count):
            if cell not in path and not walls[cell]:
                extend([*path, cell])

    if not walls[start] and not walls[goal]:
        extend([start])
    return np.unique(np.array(found).reshape(len(found), shape[0] * shape[1]), axis=0)


class TestGrid8(SolverContract):
    neighbors: Literal[4, 8] = 8
    shape = (3, 4)
    negative = False

    def make(self) -> ShortestPath:
        return ShortestPath.grid(*self.shape, neighbors=self.neighbors)

    def feasible_set(self, solver: Solver) -> np.ndarray:
        rows, cols = self.shape
        return simple_paths(self.shape, self.neighbors, (0, 0), (rows - 1, cols - 1), np.zeros(self.shape))

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        rng = np.random.default_rng(0)
        return GridInstances(
            start=rng.integers(0, self.shape, (rows, 2)),
            goal=rng.integers(0, self.shape, (rows, 2)),
            obstacles=rng.random((rows, *self.shape)) < 0.25,
        )

    def feasible_set_of(self, solver: Solver, instance: Any) -> np.ndarray:
        start, goal = tuple(instance["start"]), tuple(instance["goal"])
        return simple_paths(self.shape, self.neighbors, start, goal, instance["obstacles"])


class TestGrid4(TestGrid8):
    neighbors = 4
    shape = (4, 4)


class TestColumn(TestGrid8):
    shape = (5, 1)


RNG = np.random.default_rng(3)
CYCLIC = np.array([(0, 1), (1, 2), (2, 0), (1, 3), (2, 3), (3, 4), (4, 1), (0, 4), (1, 3), (2, 2)])
LAYERED = np.array([(0, 1), (0, 2), (1, 3), (2, 3), (1, 2), (3, 4), (2, 4), (0, 4), (0, 4)])


def edge_paths(edges: np.ndarray, source: int, target: int) -> np.ndarray:
    """Every simple path of a small graph, as 0/1 vectors over its edges."""
    found: list[np.ndarray] = []

    def extend(vertices: list[int], used: list[int]) -> None:
        if vertices[-1] == target:
            found.append(np.isin(np.arange(len(edges)), used).astype(float))
            return
        for edge, (tail, head) in enumerate(edges):
            if tail == vertices[-1] and head not in vertices:
                extend([*vertices, head], [*used, edge])

    extend([source], [])
    return np.array(found).reshape(len(found), len(edges))


class TestGraph(SolverContract):
    negative = False
    edges = CYCLIC
    policy: Literal["raise", "clamp", "exact"] = "raise"

    def make(self) -> ShortestPath:
        return ShortestPath.graph(self.edges, source=0, target=4, negative=self.policy)

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return edge_paths(self.edges, 0, 4)

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        return GraphInstances(source=RNG.integers(0, 5, rows), target=RNG.integers(0, 5, rows))

    def feasible_set_of(self, solver: Solver, instance: Any) -> np.ndarray:
        return edge_paths(self.edges, instance["source"], instance["target"])


class TestAcyclicGraphExact(TestGraph):
    negative = True
    edges = LAYERED
    policy = "exact"


class TestAcyclicGraph(TestGraph):
    edges = LAYERED


def scipy_distance(cost: np.ndarray, neighbors: int) -> float:
    """The cost of the best path from corner to corner, by another library."""
    rows, cols = cost.shape
    number = np.arange(rows * cols).reshape(rows, cols)
    edges = [
        (number[r, c], number[other], cost[other])
        for r in range(rows)
        for c in range(cols)
        for other in neighbors_of((r, c), (rows, cols), neighbors)
    ]
    tail, head, weight = (np.array(column) for column in zip(*edges, strict=True))
    graph = csr_matrix((weight, (tail.astype(int), head.astype(int))), shape=(rows * cols, rows * cols))
    return float(dijkstra(graph, indices=0)[-1] + cost[0, 0])


def is_simple_path(mask: np.ndarray, neighbors: int) -> bool:
    """Whether a 0/1 mask is one walk from corner to corner in which no cell repeats and no shortcut is needed."""
    on = {tuple(cell) for cell in np.argwhere(mask > 0)}
    walk, here = [(0, 0)], (0, 0)
    goal = (mask.shape[0] - 1, mask.shape[1] - 1)

    def reach(path: list[tuple[int, int]]) -> bool:
        if path[-1] == goal:
            return len(path) == len(on)
        return any(
            reach([*path, cell]) for cell in neighbors_of(path[-1], mask.shape, neighbors) if cell in on - set(path)
        )

    return here in on and reach(walk)


@pytest.mark.parametrize("neighbors", [4, 8])
@pytest.mark.parametrize("size", [12, 30])
def test_large_grids_agree_with_scipy(size: int, neighbors: Literal[4, 8]) -> None:
    cost = np.random.default_rng(size).uniform(0.5, 9.5, (20, size, size))
    found = ShortestPath.grid(size, neighbors=neighbors).solve(cost.reshape(20, -1))
    np.testing.assert_allclose(found.objective, [scipy_distance(row, neighbors) for row in cost], rtol=1e-12)


@pytest.mark.parametrize("neighbors", [4, 8])
def test_paths_stay_simple_over_cells_that_cost_nothing(neighbors: Literal[4, 8]) -> None:
    """The two searches may cross on a plateau of zeros; what they return has no loop and nothing to spare."""
    cost = np.random.default_rng(5).integers(0, 2, (300, 6, 6)) * np.random.default_rng(6).integers(0, 2, (300, 6, 6))
    found = ShortestPath.grid(6, neighbors=neighbors).solve(cost.reshape(300, -1).astype(float))
    for y, row, value in zip(found.y, cost, found.objective, strict=True):
        assert is_simple_path(y.reshape(6, 6), neighbors)
        assert value == scipy_distance(row + 1e-9, neighbors) // 1  # zeros are no edges to SciPy


@pytest.mark.parametrize("threads", [1, 2, 7, None])
def test_threads_do_not_change_the_answer(threads: int | None) -> None:
    cost = np.random.default_rng(0).integers(1, 4, (500, 100)).astype(float)
    expected = ShortestPath.grid(10, threads=1).solve(cost)
    np.testing.assert_array_equal(ShortestPath.grid(10, threads=threads).solve(cost).y, expected.y)


def test_negative_raise_is_the_status_of_that_row() -> None:
    cost = np.ones((3, 9))
    cost[1, 5] = -0.25
    found = ShortestPath.grid(3).solve(cost)
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.OPTIMAL]
    assert "the cost at (1, 2) is -0.25" in found.messages[1]
    assert "negative='clamp'" in found.messages[1]
    graph = ShortestPath.graph(LAYERED, 0, 4).solve(np.array([[1.0] * 8 + [-3.0]]))
    assert graph.status.tolist() == [Status.ERROR]
    assert "the cost at 8 is -3" in graph.messages[0]
    assert "negative='exact'" in graph.messages[0]


def test_negative_clamp_counts_as_zero_and_is_not_called_optimal() -> None:
    cost = np.random.default_rng(0).normal(1.0, 1.0, (50, 25))
    cost[0] = 1.0
    cost[1:, 7] = -1.0
    found = ShortestPath.grid(5, negative="clamp").solve(cost)
    clamped = ShortestPath.grid(5).solve(np.maximum(cost, 0.0))
    np.testing.assert_array_equal(found.y, clamped.y)
    np.testing.assert_allclose(found.objective, (found.y * cost).sum(axis=1))
    assert found.status[0] == Status.OPTIMAL
    assert (found.status[1:] == Status.FEASIBLE).all()
    for edges in (CYCLIC, LAYERED):
        cost = np.random.default_rng(0).normal(1.0, 1.0, (50, len(edges)))
        found = ShortestPath.graph(edges, 0, 4, negative="clamp").solve(cost)
        np.testing.assert_array_equal(found.y, ShortestPath.graph(edges, 0, 4).solve(np.maximum(cost, 0.0)).y)
        assert (found.status == np.where((cost < 0).any(axis=1), Status.FEASIBLE, Status.OPTIMAL)).all()


def test_a_negative_cost_on_an_obstacle_does_not_count() -> None:
    cost = np.ones((1, 9))
    cost[0, 4] = -5.0
    walls = np.zeros((3, 3), dtype=bool)
    walls[1, 1] = True
    found = ShortestPath.grid(3, obstacles=walls).solve(cost)
    assert found.status.tolist() == [Status.OPTIMAL]
    assert found.objective.tolist() == [4.0]
    cost[0, 8] = -7.0
    assert "(2, 2) is -7" in ShortestPath.grid(3, obstacles=walls).solve(cost).messages[0]


def test_an_unreachable_goal_is_that_rows() -> None:
    walls = np.zeros((3, 4, 4), dtype=bool)
    walls[1, 2, :] = True
    walls[2, 3, 3] = True
    found = ShortestPath.grid(4).solve(np.ones((3, 16)), GridInstances(obstacles=walls))
    assert found.status.tolist() == [Status.OPTIMAL, Status.INFEASIBLE, Status.INFEASIBLE]
    assert np.isnan(found.y[1:]).all()
    assert not np.isnan(found.y[0]).any()
    graph = ShortestPath.graph([(0, 1), (2, 1)], 0, 2).solve(np.ones((1, 2)))
    assert graph.status.tolist() == [Status.INFEASIBLE]


def test_an_end_outside_is_that_rows() -> None:
    ends = GridInstances(goal=np.array([[3, 3], [4, 0], [-1, -1], [0, -5]]))
    found = ShortestPath.grid(4).solve(np.ones((4, 16)), ends)
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.OPTIMAL, Status.ERROR]
    assert found.messages[1] == "goal=(4, 0) lies outside the grid of 4×4 cells"
    graph = ShortestPath.graph(LAYERED, 0).solve(np.ones((2, 9)), GraphInstances(target=np.array([9, 4])))
    assert graph.status.tolist() == [Status.ERROR, Status.OPTIMAL]
    assert graph.messages[0] == "target=9 is not a vertex: they are 0..4"


def test_an_end_that_is_its_own_goal() -> None:
    found = ShortestPath.grid(3, start=(1, 1), goal=(1, 1)).solve(np.full((1, 9), 2.0))
    assert found.objective.tolist() == [2.0]
    assert found.y.sum() == 1.0
    graph = ShortestPath.graph(LAYERED, 4, 4).solve(np.ones((1, 9)))
    assert graph.y.sum() == 0.0
    assert graph.status.tolist() == [Status.OPTIMAL]


def test_instances_as_mappings_are_the_columns() -> None:
    columns = GridInstances(start=np.array([[0, 0], [2, 0]]), goal=np.array([[1, 2], [0, 0]]))
    cost = np.random.default_rng(0).random((2, 9))
    solver = ShortestPath.grid(3)
    one = solver.solve(cost, columns)
    two = solver.solve(cost, [{"start": (0, 0), "goal": (1, 2)}, {"start": (2, 0), "goal": (0, 0)}])
    np.testing.assert_array_equal(one.y, two.y)
    np.testing.assert_array_equal(solver.solve(cost, pickle.loads(pickle.dumps(columns))).y, one.y)
    assert len(columns.take(np.array([1, 1, 0]))) == 3
    assert columns.take(np.array([1]))[0]["start"].tolist() == [2, 0]
    with pytest.raises(TypeError, match="instance 1 is"):
        solver.solve(cost, [{"start": (0, 0)}, {"goal": (0, 0)}])
    with pytest.raises(TypeError, match="keys among start, goal, obstacles"):
        solver.solve(cost, [{"from": (0, 0)}] * 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 0}, "no cells"),
        ({"rows": 3, "neighbors": 6}, "neighbors=6"),
        ({"rows": 3, "goal": (3, 0)}, r"goal=\(3, 0\) lies outside the grid of 3×3"),
        ({"rows": 3, "start": (0, -4)}, r"start=\(0, -4\) lies outside"),
        ({"rows": 3, "obstacles": np.zeros((2, 3))}, "obstacles have shape"),
        ({"rows": 3, "negative": "ignore"}, "negative='ignore'"),
        ({"rows": 3, "negative": "exact"}, "without cycles"),
        ({"rows": 3, "threads": 0}, "threads=0"),
    ],
)
def test_bad_grids(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShortestPath.grid(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"edges": [(0, 1, 2)]}, "tail and the head"),
        ({"edges": np.zeros((0, 2), dtype=int)}, "at least one edge"),
        ({"edges": [(0.5, 1.0)]}, "integers"),
        ({"edges": [(0, 1), (-1, 0)]}, r"edge 1 is \(-1, 0\)"),
        ({"edges": [(0, 5)], "vertices": 3}, r"vertices are 0\.\.2"),
        ({"edges": [(0, 1)], "source": 2}, "source=2 is not a vertex"),
        ({"edges": [(0, 1), (1, 0)], "negative": "exact"}, "has a cycle"),
    ],
)
def test_bad_graphs(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShortestPath.graph(**arguments)


def test_bad_instances() -> None:
    with pytest.raises(ValueError, match="2 instances for 1 rows"):
        ShortestPath.grid(3).solve(np.ones((1, 9)), GridInstances(start=np.zeros((2, 2), dtype=int)))
    with pytest.raises(ValueError, match="at least one field"):
        GridInstances()
    with pytest.raises(ValueError, match="one entry a row"):
        GridInstances(start=np.zeros((2, 2), dtype=int), goal=np.zeros((3, 2), dtype=int))
    with pytest.raises(ValueError, match="no target was given"):
        ShortestPath.graph([(0, 1)], source=0).solve(np.ones((1, 1)))
