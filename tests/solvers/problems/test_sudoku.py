"""Exact cover and Sudoku."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from combdiff.solvers import ExactCover, SatInstances, Status, Sudoku, SudokuInstances
from combdiff.testing import SolverContract
from combdiff_solvers.protocol import Solver

pytest.importorskip("pysat", reason="python-sat is not installed")


def covers(matrix: ndarray) -> ndarray:
    y = np.array(list(itertools.product((0.0, 1.0), repeat=len(matrix))))
    return y[(y @ matrix == 1).all(axis=1)]


class TestExactCover(SolverContract):
    tolerance = 1e-14
    matrix = np.array(
        [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1]]
    )

    def make(self) -> Solver:
        return ExactCover(self.matrix, sense="max")

    def feasible_set(self, solver: Solver) -> ndarray:
        return covers(self.matrix)

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        rng = np.random.default_rng(0)
        return SatInstances(literals=rng.integers(1, 9, size=(rows, 1)) * rng.choice([-1, 1], size=(rows, 1)))

    def feasible_set_of(self, solver: Solver, instance: Any) -> ndarray:
        points = self.feasible_set(solver)
        literal = int(instance["literals"][0])
        return points[points[:, abs(literal) - 1] == (literal > 0)]


@pytest.mark.parametrize("sense", ["min", "max"])
def test_random_covers_against_enumeration(sense: str) -> None:
    rng = np.random.default_rng(1)
    infeasible = 0
    for trial in range(200):
        matrix = (rng.random((9, 4)) < 0.4).astype(int)
        theta = rng.normal(size=(1, 9)) if trial % 2 else rng.integers(-1, 2, size=(1, 9)).astype(float)
        found = ExactCover(matrix, sense=sense).solve(theta)
        points = covers(matrix)
        if not len(points):
            infeasible += 1
            assert found.status[0] == Status.INFEASIBLE
            continue
        values = points @ theta[0]
        np.testing.assert_allclose(found.objective[0], values.min() if sense == "min" else values.max(), atol=1e-12)
        assert (points == found.y[0]).all(axis=1).any()
    assert 0 < infeasible < 150


def grids_of_four() -> ndarray:
    """All 288 filled 4 × 4 grids, by brute force; (288, 64) one-hot."""
    rows = list(itertools.permutations(range(4)))
    grids = []
    for grid in itertools.product(rows, repeat=4):
        g = np.array(grid)
        columns = all(len(set(g[:, c])) == 4 for c in range(4))
        if columns and all(len(set(g[r : r + 2, c : c + 2].reshape(-1))) == 4 for r in (0, 2) for c in (0, 2)):
            grids.append(np.eye(4)[g].reshape(-1))
    return np.array(grids)


class TestSudoku(SolverContract):
    rows = 70
    tolerance = 1e-14
    points = np.zeros((0, 64))

    def make(self) -> Solver:
        return Sudoku(4)

    def feasible_set(self, solver: Solver) -> ndarray:
        if not len(self.points):
            type(self).points = grids_of_four()
            assert len(self.points) == 288
        return self.points

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        rng = np.random.default_rng(2)
        digits = self.feasible_set(solver).reshape(-1, 4, 4, 4).argmax(-1) + 1
        clues = digits[rng.integers(0, 288, size=rows)] * (rng.random((rows, 4, 4)) < 0.2)
        clues[0, 0] = [1, 1, 0, 0]
        return SudokuInstances(clues=clues)

    def feasible_set_of(self, solver: Solver, instance: Any) -> ndarray:
        points, clues = self.feasible_set(solver), instance["clues"]
        digits = points.reshape(-1, 4, 4, 4).argmax(-1) + 1
        return points[((digits == clues) | (clues == 0)).all(axis=(1, 2))]


def test_a_bad_clue_is_that_rows_error() -> None:
    clues = np.zeros((3, 4, 4), dtype=int)
    clues[1, 2, 3] = 5
    clues[2, 0, :2] = 1
    found = Sudoku(4).solve(np.zeros((3, 64)), SudokuInstances(clues=clues))
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.INFEASIBLE]
    assert "(2, 3) is 5" in found.messages[1]


def test_bad_arguments_are_refused() -> None:
    for n in (0, 1, 8, -4):
        with pytest.raises(ValueError, match="square"):
            Sudoku(n)
    with pytest.raises(ValueError, match=r"\(b, 4, 4\)"):
        Sudoku(4).solve(np.zeros((1, 64)), SudokuInstances(clues=np.zeros((1, 9, 9), dtype=int)))
    with pytest.raises(ValueError, match="0 and 1"):
        ExactCover(np.array([[1, 2]]))
    with pytest.raises(ValueError, match="at least one"):
        ExactCover(np.zeros((0, 3)))


def digits_of(path: Path, count: int) -> ndarray:
    lines = path.read_text().split()[:count]
    return np.array([list(line) for line in lines], dtype=int).reshape(-1, 9, 9)


@pytest.mark.parametrize("level", ["kids", "easy", "medium"])
def test_a_thousand_puzzles_of_each_level(level: str) -> None:
    root = os.environ.get("COMBDIFF_DATA")
    if not root or not (Path(root) / "sudoku").is_dir():
        pytest.skip("COMBDIFF_DATA names no folder with sudoku")
    folder = Path(root) / "sudoku"
    puzzles, solutions = digits_of(folder / f"{level}.txt", 1000), digits_of(folder / f"{level}.solutions.txt", 1000)
    theta = np.random.default_rng(3).normal(size=(1000, 729))
    found = Sudoku().solve(theta, SudokuInstances(clues=puzzles))
    assert (found.status == Status.OPTIMAL).all()
    np.testing.assert_array_equal(found.y.reshape(-1, 9, 9, 9).argmax(-1) + 1, solutions)


def test_scores_choose_among_several_solutions() -> None:
    """Two solutions that differ by one swap of digits in a rectangle: the scores decide."""
    grid = digits_from("534678912672195348198342567859761423426853791713924856961537284287419635345286179")
    clues = grid.copy()
    clues[[6, 6, 7, 7], [1, 7, 1, 7]] = 0
    clues[np.isin(grid, (6, 8, 3))] = 0
    theta = np.zeros((2, 729))
    found = Sudoku().solve(theta, SudokuInstances(clues=np.stack([clues, clues])))
    first = found.y[0].reshape(9, 9, 9).argmax(-1)
    np.testing.assert_array_equal(found.y[0], found.y[1])
    again = Sudoku().solve(-found.y[:1] + 0.0, SudokuInstances(clues=clues[None]))
    other = again.y[0].reshape(9, 9, 9).argmax(-1)
    assert again.status[0] == Status.OPTIMAL
    assert (first != other).any()


def digits_from(text: str) -> ndarray:
    return np.array(list(text), dtype=int).reshape(9, 9)
