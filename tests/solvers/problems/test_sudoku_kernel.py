"""The Sudoku kernel: its bound, its limits, hints that change no answer, and the back ends beside it."""

from __future__ import annotations

import sys
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from combdiff.solvers import ExactCover, Status, Sudoku, SudokuInstances
from combdiff_solvers.problems import sudoku_search
from combdiff_solvers.problems.placement_kernels import (
    best_placement,
    best_through_each,
    placements,
    read_placement,
    space,
)
from combdiff_solvers.protocol import Solver
from tests.solvers.problems.test_sudoku import TestExactCover as Covers
from tests.solvers.problems.test_sudoku import TestSudoku as Grids
from tests.solvers.problems.test_sudoku import digits_from, grids_of_four

FOUR = grids_of_four()
GRID = digits_from("534678912672195348198342567859761423426853791713924856961537284287419635345286179")


class TestKernel(Grids):
    def make(self) -> Solver:
        return Sudoku(4, sense="min", backend="kernel")


class TestRC2(Grids):
    rows = 20

    def make(self) -> Solver:
        return Sudoku(4, backend="rc2")


class TestCpSat(Grids):
    rows = 10
    tolerance = 1e-9

    def make(self) -> Solver:
        pytest.importorskip("ortools")
        return Sudoku(4, backend="cp_sat")


class TestCoverByCpSat(Covers):
    rows = 20
    tolerance = 1e-9

    def make(self) -> Solver:
        pytest.importorskip("ortools")
        return ExactCover(self.matrix, sense="max", backend="cp_sat")


@pytest.mark.parametrize("n", [4, 9])
def test_best_placements_against_all_of_them(n: int) -> None:
    box, rng = round(n**0.5), np.random.default_rng(n)
    columns = np.array(
        [
            p
            for p in permutations(range(n))
            if all(len({c // box for c in p[b : b + box]}) == box for b in range(0, n, box))
        ]
    )
    assert len(columns) == (46656 if n == 9 else 16)
    graph = placements(n)
    room = space(graph)
    for largest in (2, 10**6):  # ties, and none
        room.weight[:] = rng.integers(-largest, largest, (n, n))
        worth = room.weight[np.arange(n), columns].sum(axis=1)
        assert best_placement(graph, room) == worth.max()
        read_placement(graph, room)
        assert (columns == room.columns).all(axis=1).any()
        assert room.weight[np.arange(n), room.columns].sum() == worth.max()
        best_through_each(graph, room)
        each = [[worth[columns[:, r] == c].max() for c in range(n)] for r in range(n)]
        np.testing.assert_array_equal(room.through, each)


@pytest.mark.parametrize("kind", ["noisy", "confident", "sparse", "wide", "equal", "one cell"])
def test_every_kind_of_scores_against_all_grids_of_four(kind: str) -> None:
    rng = np.random.default_rng(5)
    truth = FOUR[rng.integers(0, 288, 200)]
    normal = rng.normal(size=truth.shape)
    theta = {
        "noisy": truth + 0.6 * normal,
        "confident": truth + 0.1 * normal,
        "sparse": normal * (rng.random(truth.shape) < 0.1),
        "wide": normal * np.exp(8 * rng.normal(size=truth.shape)),
        "equal": np.full_like(truth, 0.3),
        "one cell": np.where(np.arange(64) < 4, normal, 0.0),
    }[kind]
    found = Sudoku(4).solve(theta)
    values = theta @ FOUR.T
    scale = 1e-14 * np.abs(theta).sum(axis=1)
    assert (found.status == Status.OPTIMAL).all()
    assert (found.y[:, None] == FOUR).all(axis=2).any(axis=1).all()
    assert (found.objective >= values.max(axis=1) - scale).all()
    assert (found.bound >= values.max(axis=1) - scale / 10).all()
    assert (found.bound <= values.max(axis=1) + 100 * scale).all()


def scores(rows: int, sigma: float, seed: int = 0) -> ndarray:
    rng = np.random.default_rng(seed)
    truth = np.eye(9)[np.stack([np.append(0, 1 + rng.permutation(9))[GRID] - 1 for _ in range(rows)])]
    return (truth + sigma * rng.normal(size=truth.shape)).reshape(rows, 729)


def is_grid(y: ndarray) -> bool:
    cube = y.reshape(9, 9, 9)
    boxes = cube.reshape(3, 3, 3, 3, 9).sum(axis=(1, 3))
    return all((sums == 1).all() for sums in (cube.sum(0), cube.sum(1), cube.sum(2), boxes))


@pytest.mark.parametrize(("sigma", "share"), [(0.45, 0.0), (0.6, 0.0), (2.0, 0.2)])
def test_noisy_scores_against_cp_sat(sigma: float, share: float) -> None:
    cp_model = pytest.importorskip("ortools.sat.python.cp_model")
    theta, rng = scores(3, sigma), np.random.default_rng(1)
    clues = GRID * (rng.random((3, 9, 9)) < share)
    found = Sudoku().solve(theta, SudokuInstances(clues=clues))
    for row in range(3):
        model = cp_model.CpModel()
        x = np.array([[[model.new_bool_var("") for _ in range(9)] for _ in range(9)] for _ in range(9)])
        boxes = x.reshape(3, 3, 3, 3, 9).transpose(0, 2, 4, 1, 3)
        for units in (x, x.transpose(0, 2, 1), x.transpose(1, 2, 0), boxes):
            for unit in units.reshape(-1, 9):
                model.add_exactly_one(unit.tolist())
        for r, c in np.argwhere(clues[row] > 0).tolist():
            model.add(x[r, c, clues[row, r, c] - 1] == 1)
        costs = np.rint(1e9 * theta[row]).astype(int).tolist()
        model.maximize(cp_model.LinearExpr.weighted_sum(x.reshape(-1).tolist(), costs))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers, solver.parameters.cp_model_presolve = 1, False
        assert solver.solve(model) == cp_model.OPTIMAL
        assert found.status[row] == Status.OPTIMAL
        assert is_grid(found.y[row])
        assert found.objective[row] == pytest.approx(solver.objective_value / 1e9, abs=1e-6)


@pytest.mark.parametrize("kind", ["normal", "ties", "few"])
def test_hints_change_no_answer(kind: str) -> None:
    rng = np.random.default_rng(3)
    size = (288, 64)
    theta = {
        "normal": rng.normal(size=size),
        "ties": rng.integers(-2, 3, size).astype(float),
        "few": rng.normal(size=size) * (rng.random(size) < 0.05),
    }[kind]
    solver = Sudoku(4)
    expected = solver.solve(theta)
    best = (theta @ FOUR.T).argmax(axis=1)
    last_best = 287 - (theta @ FOUR[::-1].T).argmax(axis=1)  # another one, where there are ties
    for hint in (np.arange(288), best, last_best):
        digits = FOUR[hint].reshape(-1, 4, 4, 4).argmax(-1) + 1
        found = solver.solve(theta, SudokuInstances(hint=digits))
        np.testing.assert_array_equal(found.y, expected.y)
        np.testing.assert_array_equal(found.status, expected.status)
        np.testing.assert_array_equal(found.bound, expected.bound)


@pytest.mark.parametrize("sigma", [0.3, 0.7, None])
def test_hints_change_no_answer_of_nine(sigma: float | None) -> None:
    theta = np.random.default_rng(4).integers(0, 2, (4, 729)) / 1.0 if sigma is None else scores(4, sigma)
    clues = GRID * (np.random.default_rng(5).random((4, 9, 9)) < (0.3 if sigma is None else 0.0))
    solver = Sudoku()
    expected = solver.solve(theta, SudokuInstances(clues=clues))
    assert (expected.status == Status.OPTIMAL).all()
    own = expected.y.reshape(4, 9, 9, 9).argmax(-1) + 1
    for hint in (own, np.stack([GRID] * 4), np.stack([GRID[::-1]] * 4), np.ones((4, 9, 9), dtype=int)):
        found = solver.solve(theta, {"clues": clues, "hint": hint})
        np.testing.assert_array_equal(found.y, expected.y)


def test_no_time_leaves_a_grid_with_a_bound_and_at_least_the_hint() -> None:
    theta = np.random.default_rng(6).normal(size=(6, 729))
    proven = Sudoku().solve(theta)
    assert (proven.status == Status.OPTIMAL).all()
    own = proven.y.reshape(-1, 9, 9, 9).argmax(-1) + 1
    for limits in ({"time_limit": 1e-9}, {"batch_time_limit": 1e-9}):
        solver = Sudoku(**limits)  # type: ignore[arg-type]
        found = solver.solve(theta)
        assert (found.status == Status.FEASIBLE).all()
        assert all(is_grid(y) for y in found.y)
        assert (found.objective <= proven.objective).all()
        assert (found.bound >= proven.objective).all()
        assert np.isfinite(found.bound).all()
        assert "could be better by" in found.messages[0]
        hinted = solver.solve(theta, SudokuInstances(hint=own))
        np.testing.assert_array_equal(hinted.y, proven.y)
        assert (hinted.bound >= proven.objective).all()
        costs = Sudoku(sense="min", **limits).solve(-theta)  # type: ignore[arg-type]
        np.testing.assert_array_equal(costs.y, found.y)
        np.testing.assert_array_equal(costs.bound, -found.bound)


def test_gaps_end_the_search() -> None:
    theta = np.random.default_rng(7).normal(size=(3, 729))
    proven = Sudoku().solve(theta)
    for name in ("relative_gap", "absolute_gap"):
        found = Sudoku(**{name: 0.2 if name == "relative_gap" else 20.0}).solve(theta)  # type: ignore[arg-type]
        assert (found.status == Status.FEASIBLE).all()
        most = 0.2 * found.objective if name == "relative_gap" else 20.0
        assert (found.bound - found.objective <= most + 1e-9).all()
        assert (found.bound >= proven.objective).all()


def test_bad_hints_and_clues_are_told() -> None:
    hint, clues = np.stack([GRID] * 3), np.zeros((3, 9, 9), dtype=int)
    hint[1, 2, 3] = 10
    clues[2, 0, :2] = 1
    found = Sudoku().solve(np.zeros((3, 729)), SudokuInstances(clues=clues, hint=hint))
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.INFEASIBLE]
    assert found.messages[1] == "the hint at (2, 3) is 10: digits are 1..9, 0 is blank"
    assert found.messages[2] == "no grid holds these clues"
    assert np.isnan(found.y[1:]).all()


@pytest.mark.parametrize("pysat", [True, False])
def test_an_oracle_knows_puzzles_with_one_solution(monkeypatch: Any, pysat: bool) -> None:
    monkeypatch.setattr(sudoku_search, "LOOK", 0)  # asked at once
    if not pysat:
        monkeypatch.setitem(sys.modules, "combdiff_solvers.formulas.unique_model", None)
    clues = np.stack([GRID, GRID, GRID])
    clues[:, ::2, ::2] = 0
    clues[1] *= np.isin(GRID, (1, 2, 4, 5))
    clues[2, 0, 2] = clues[2, 0, 1]
    theta = np.random.default_rng(8).normal(size=(3, 729))
    found, expected = (Sudoku(backend=name).solve(theta, SudokuInstances(clues=clues)) for name in ("auto", "kernel"))  # type: ignore[arg-type]
    assert found.status.tolist() == [Status.OPTIMAL, Status.OPTIMAL, Status.INFEASIBLE]
    np.testing.assert_array_equal(found.y, expected.y)
    np.testing.assert_array_equal(found.bound, expected.bound)


def test_threads_change_no_answer() -> None:
    theta = scores(60, 0.6)
    one, two = (Sudoku(threads=threads).solve(theta) for threads in (1, 2))
    np.testing.assert_array_equal(one.y, two.y)
    np.testing.assert_array_equal(one.bound, two.bound)


def test_sixteen() -> None:
    rows = np.arange(16)
    grid = (4 * (rows % 4) + rows // 4)[:, None] + rows
    truth = np.eye(16)[grid % 16].reshape(1, -1)
    found = Sudoku(16).solve(truth + 0.2 * np.random.default_rng(9).normal(size=truth.shape))
    np.testing.assert_array_equal(found.y, truth)


def test_the_choice_is_visible() -> None:
    assert [Sudoku(4, backend=name).backend for name in ("auto", "kernel", "rc2")] == ["kernel", "kernel", "rc2"]  # type: ignore[arg-type]
    assert "backend='kernel'" in repr(Sudoku())
    assert ExactCover(np.eye(2), backend="rc2").backend == "rc2"


def test_bad_backends_are_refused() -> None:
    with pytest.raises(ValueError, match="takes n up to 16, but n=25"):
        Sudoku(25, backend="kernel")
    with pytest.raises(ValueError, match="backend='dlx' is none of"):
        Sudoku(4, backend="dlx")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="backend='kernel' is none of"):
        ExactCover(np.eye(2), backend="kernel")  # type: ignore[arg-type]
