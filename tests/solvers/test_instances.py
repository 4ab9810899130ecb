"""Instances as users have them (slices, mappings of columns, tensors, batches of a DataLoader), and bad rows."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import combdiff
from combdiff.solvers import (
    Assignment,
    AssignmentInstances,
    ExactCover,
    GridInstances,
    Knapsack,
    KSubset,
    Parallel,
    ShortestPath,
    Solver,
    SpanningTree,
    Status,
    Sudoku,
    wrap,
)
from combdiff_solvers.instances import ColumnInstances

START, GOAL = np.array([[0, 0], [2, 1], [1, 1], [0, 2]]), np.array([[2, 2], [0, 0], [2, 0], [1, 0]])
TRIPS = GridInstances(start=START, goal=GOAL)
COST = np.random.default_rng(0).random((4, 9))
GRID = ShortestPath.grid(3)


def test_slices_and_row_numbers_are_instances() -> None:
    expected = GRID.solve(COST, TRIPS).y
    for rows in (slice(1, 3), slice(None, None, -1), [3, 0], np.array([2, 2]), np.array([True, False, True, False])):
        part = TRIPS[rows]
        assert isinstance(part, GridInstances)
        np.testing.assert_array_equal(GRID.solve(COST[rows], part).y, expected[rows])
    assert TRIPS[-1]["start"].tolist() == [0, 2]
    assert [trip["goal"].tolist() for trip in TRIPS] == GOAL.tolist()
    with pytest.raises(IndexError):
        TRIPS[4]


@pytest.mark.parametrize(
    "given",
    [
        {"start": START, "goal": GOAL},
        {"start": torch.from_numpy(START), "goal": torch.from_numpy(GOAL).int()},
        {"start": START.tolist(), "goal": GOAL.astype(float)},
        [{"start": torch.from_numpy(a), "goal": b} for a, b in zip(START, GOAL, strict=True)],
        ColumnInstances(start=START, goal=torch.from_numpy(GOAL)),
    ],
)
def test_columns_tensors_and_mappings_are_the_arrays(given: Any) -> None:
    np.testing.assert_array_equal(GRID.solve(COST, given).y, GRID.solve(COST, TRIPS).y)


def test_tensors_and_lists_are_not_refused_by_the_class() -> None:
    given = GridInstances(start=torch.from_numpy(START), goal=GOAL.tolist())  # type: ignore[arg-type]
    np.testing.assert_array_equal(GRID.solve(COST, given).y, GRID.solve(COST, TRIPS).y)
    assert isinstance(given.start, np.ndarray)


def test_one_array_is_the_one_field() -> None:
    allowed = np.random.default_rng(0).random((4, 3, 3)) < 0.8
    expected = Assignment(3).solve(COST, AssignmentInstances(allowed)).y
    for given in (allowed, torch.from_numpy(allowed)):
        np.testing.assert_array_equal(Assignment(3).solve(COST, given).y, expected)
    solver = Sudoku(4)
    clues = torch.zeros(2, 4, 4, dtype=torch.int32)
    clues[:, 0, 0] = torch.tensor([1, 3])
    assert solver.solve(np.zeros((2, 64)), clues).y.reshape(2, 4, 4, 4)[:, 0, 0].argmax(axis=1).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (START, TypeError, r"instance 0 is array\(\[0, 0\]\), but a row's instance is a mapping with keys among"),
        ({"from": START}, TypeError, "the columns from, but the fields of GridInstances are start, goal, obstacles"),
        ({"start": list(torch.from_numpy(START))}, TypeError, "collate_fn=combdiff.collate"),
        ({"start": START[:3]}, ValueError, "got 3 instances for 4 rows"),
        ({"start": START, "goal": GOAL[:3]}, ValueError, "one entry a row in each"),
        ({"start": 3}, ValueError, "one entry a row in each"),
        ({}, ValueError, "at least one field"),
        ({"start": START[:, :1]}, ValueError, r"start has shape \(4, 1\), but instances of this solver have \(b, 2\)"),
        ([{"start": (0, 0)}] * 3 + [{"start": (0, 0, 0)}], ValueError, r"shape \(3,\) in instance 3"),
    ],
)
def test_bad_instances_are_refused_with_the_fix(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        GRID.solve(COST, given)


EDGES = [(0, 1), (1, 2), (2, 0), (0, 2)]
BAD_ROWS = [
    (GRID, {"start": np.array([[0.0, 0.0], [0.5, 0.7], [np.nan, 0.0]])}, ["start is 0.5 at 0", "start is nan at 0"]),
    (GRID, {"goal": np.array([[0.0, 0.0], [np.inf, 0.0], [1e300, 0.0]])}, ["goal is inf at 0", "goal is 1e+300 at 0"]),
    (GRID, {"obstacles": np.array([0.0, np.nan, np.inf])[:, None, None] + np.zeros((3, 3, 3))}, ["at (0, 0)"] * 2),
    (ShortestPath.graph(EDGES, 0), {"target": np.array([1, np.nan, 0.5])}, ["target is nan", "target is 0.5"]),
    (ShortestPath.graph(EDGES, target=0), {"source": [1, None, 1e30]}, ["source is None", "source is 1e+30"]),
    (ShortestPath.graph(EDGES, 0), {"target": np.array([1, 2**63, -1])}, ["target is", "target=-1 is not a vertex"]),
    (KSubset(4, 1), {"least": np.array([1, np.nan, 0.5])}, ["least is nan", "least is 0.5"]),
    (KSubset(4, 1), {"most": np.array([1, np.nan, np.inf])}, ["most is nan", "most is inf"]),
    (KSubset(4, 0), {"allowed": np.ones((3, 4)) * [[1], [np.nan], [np.inf]]}, ["allowed is nan", "allowed is inf"]),
    (Assignment(2), {"allowed": np.ones((3, 2, 2)) * [[[1]], [[np.nan]], [[np.inf]]]}, ["nan at (0, 0)", "inf"]),
    (SpanningTree(EDGES), {"allowed": np.ones((3, 4)) * [[1], [np.nan], [np.inf]]}, ["nan at 0", "inf at 0"]),
    (Knapsack([[1.0, 2, 3]], 3.0), {"capacity": [[3.0], [np.nan], [-1.0]]}, ["capacity is nan", "are negative"]),
    (Knapsack([[1.0, 2, 3]], 3.0), {"weights": np.ones((3, 1, 3)) * [[[1]], [[np.inf]], [[-1]]]}, ["inf", "negative"]),
    (Sudoku(4), {"clues": np.ones((3, 4, 4)) * [[[0]], [[np.nan]], [[0.5]]]}, ["clues is nan", "clues is 0.5"]),
    (Sudoku(4), {"clues": np.ones((3, 4, 4), dtype=int) * [[[0]], [[5]], [[-1]]]}, ["is 5", "is -1"]),
    (ExactCover(np.eye(2)),
     {"literals": [[1.0], [np.nan], [0.5]]}, ["literals is nan", "literals is 0.5"]),
]  # fmt: skip


@pytest.mark.parametrize(("solver", "given", "messages"), BAD_ROWS)
@pytest.mark.parametrize("form", ["columns", "items"])
def test_a_bad_row_is_that_rows_error(solver: Solver, given: dict[str, Any], messages: list[str], form: str) -> None:
    theta = np.random.default_rng(0).random((3, int(np.prod(solver.shape))))
    items = [{name: column[row] for name, column in given.items()} for row in range(3)]
    found = solver.solve(theta, given if form == "columns" else items)  # type: ignore[arg-type]
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.ERROR]
    for row, message in enumerate(messages, start=1):
        assert message in found.messages[row]
        assert np.isnan(found.y[row]).all()
        assert np.isnan(found.objective[row])
    alone = solver.solve(theta[:1], items[:1])
    np.testing.assert_array_equal(alone.y[0], found.y[0])


def test_integers_of_any_width_are_the_same_rows() -> None:
    expected = GRID.solve(COST, TRIPS).y
    for kind in (np.int8, np.uint8, np.int32, np.uint64, np.float32, object):
        found = GRID.solve(COST, {"start": START.astype(kind), "goal": GOAL.astype(kind)})
        np.testing.assert_array_equal(found.y, expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ShortestPath.grid(3, start=(0.5, 0.7)),  # type: ignore[arg-type]
        lambda: ShortestPath.grid(3, goal=(float("nan"), 0)),  # type: ignore[arg-type]
        lambda: ShortestPath.graph(EDGES, source=0.5),  # type: ignore[arg-type]
        lambda: KSubset(4, 1.5),  # type: ignore[arg-type]
        lambda: combdiff.solvers.TopK(4, 1.5),  # type: ignore[arg-type]
    ],
)
def test_bad_numbers_of_a_solver_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="must be a whole number"):
        make()


def test_rows_of_an_array_of_instances_stay_rows() -> None:
    """An array has a method `take`, too, but that takes entries and not rows."""
    allowed = np.random.default_rng(0).random((4, 5)) < 0.7
    solver = wrap(first_allowed, shape=5)
    theta = torch.zeros(4, 5)
    expected = np.eye(5)[allowed.argmax(axis=1)]
    for given in (allowed, torch.from_numpy(allowed), list(allowed)):
        layer = combdiff.Perturbed(solver, sigma=0.1, samples=3)
        np.testing.assert_array_equal(layer(theta, given).numpy(), expected.astype(np.float32))
        with Parallel(solver, workers=2, adaptive=False) as pool:
            np.testing.assert_array_equal(pool.solve(np.zeros((4, 5)), given).y, expected)
        cached = combdiff.solvers.Cached(solver)
        cached.solve(np.zeros((2, 5)), given[:2])
        np.testing.assert_array_equal(cached.solve(np.zeros((4, 5)), given).y, expected)


def first_allowed(theta: np.ndarray, allowed: Any) -> np.ndarray:
    return np.eye(5)[int(np.argmax(np.asarray(allowed)))]


class Trips(torch.utils.data.Dataset[Any]):
    """Costs, an instance (in one of several forms) and the number of the sample."""

    def __init__(self, form: Any) -> None:
        self.form = form

    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> Any:
        return torch.from_numpy(COST[number].reshape(3, 3)), self.form(TRIPS[number]), number


FORMS = {
    "arrays": (lambda trip: trip, None),
    "tensors": (lambda trip: {name: torch.from_numpy(cell) for name, cell in trip.items()}, None),
    "tuples": (lambda trip: {name: tuple(cell.tolist()) for name, cell in trip.items()}, combdiff.collate),
    "collated arrays": (lambda trip: trip, combdiff.collate),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("workers", [0, 1])
def test_batches_of_a_data_loader_train_a_layer(form: str, workers: int) -> None:
    if workers and form != "arrays":
        pytest.skip("the same batches from another process")
    make, collate = FORMS[form]
    loader = DataLoader(Trips(make), batch_size=2, collate_fn=collate, num_workers=workers)
    layer = combdiff.Perturbed(GRID, sigma=0.0001, samples=3)
    expected = torch.from_numpy(GRID.solve(COST, TRIPS).y.reshape(4, 3, 3))
    seen = 0
    for costs, trips, numbers in loader:
        assert torch.equal(numbers, torch.arange(seen, seen + 2))
        costs.requires_grad_()
        torch.testing.assert_close(layer(costs, trips), expected[numbers])
        loss = combdiff.FenchelYoungLoss(layer)(costs, expected[numbers], trips)
        loss.backward()
        assert torch.isfinite(costs.grad).all()
        with combdiff.solvers.Parallel(GRID, workers=2, adaptive=False) as pool:
            y = pool.solve(costs.detach().reshape(2, 9).numpy(), trips).y
        np.testing.assert_array_equal(y.reshape(2, 3, 3), expected[numbers].numpy())
        seen += 2
    assert seen == 4


def test_tuples_under_the_default_collate_are_refused() -> None:
    """They would come out transposed, which a batch of two cannot show."""
    make, _ = FORMS["tuples"]
    costs, trips, _ = next(iter(DataLoader(Trips(make), batch_size=2)))
    with pytest.raises(TypeError, match=r"collate_fn=combdiff\.collate"):
        combdiff.Perturbed(GRID, sigma=1.0)(costs, trips)
