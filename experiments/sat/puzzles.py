"""Puzzles with one solution: made, or read from files of 81 digits a line."""

from __future__ import annotations

from functools import cache
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from combdiff.solvers import Sudoku, SudokuInstances
from combdiff_solvers.protocol import Status
from experiments.harness.errors import InputError
from experiments.sat.boards import Grids

PATIENCE = 10.0
"""seconds for the check of one puzzle"""


@cache
def grids_4x4() -> Int64[ndarray, "288 4 4"]:
    """All filled 4×4 grids."""
    rows = np.array(list(permutations(range(1, 5))))
    grids = np.array(list(product(rows[:, None], repeat=4))).reshape(-1, 4, 4)
    boxes = grids.reshape(-1, 2, 2, 2, 2).swapaxes(2, 3).reshape(-1, 4, 4)
    wanted = np.arange(1, 5)
    latin = (np.sort(grids, axis=1) == wanted[:, None]).all(axis=(1, 2))
    return grids[latin & (np.sort(boxes, axis=2) == wanted).all(axis=(1, 2))]


def make_puzzles(count: int, least: int, rng: np.random.Generator, seen: set[bytes]) -> tuple[Grids, Grids]:
    """4×4 puzzles and their solutions, none of which is in `seen`, to which they are added (see `relabelled`).

    Digits are removed in random order from a random grid, unless there is another solution then, or `least` are left.

    Raises:
        InputError: when that many different puzzles are not found.
    """
    grids = grids_4x4()
    puzzles: list[ndarray] = []
    solutions: list[ndarray] = []
    for _ in range(50 * count):
        if len(puzzles) == count:
            break
        grid = grids[rng.integers(len(grids))]
        shown = np.ones((4, 4), dtype=bool)
        for cell in rng.permutation(16):
            if shown.sum() == least:
                break
            shown.flat[cell] = False
            shown.flat[cell] = (grids[:, shown] == grid[shown]).all(axis=1).sum() > 1
        puzzle = grid * shown
        key = relabelled(puzzle)
        if key not in seen:
            seen.add(key)
            puzzles.append(puzzle)
            solutions.append(grid)
    if len(puzzles) < count:
        raise InputError(f"no {count} different 4×4 puzzles with {least} clues are found: take fewer boards")
    return np.array(puzzles), np.array(solutions)


def relabelled(puzzle: Int64[ndarray, "n n"]) -> bytes:
    """What two puzzles share that differ by the names of the digits alone: the digits by their first appearance.

    >>> relabelled(np.array([[0, 2], [2, 1]])) == relabelled(np.array([[0, 1], [1, 2]]))
    True
    """
    names = dict.fromkeys(puzzle[puzzle > 0].tolist())
    order = {0: 0, **{digit: place for place, digit in enumerate(names, 1)}}
    return bytes(order[digit] for digit in puzzle.flat)


class PuzzleFile:
    """Puzzles of 81 digits a line, 0 for a blank, with NAME.solutions.txt beside NAME.txt.

    Puzzles of the same solution (up to the names of the digits) are one puzzle: the first.

    Args:
        path: the file.

    Raises:
        InputError: for a file that is missing or damaged; the error names the line.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._answers = path, path.with_suffix(".solutions.txt")
        self._puzzles, self._solutions = read_grids(path, 0), read_grids(self._answers, 1)
        if len(self._puzzles) != len(self._solutions):
            raise InputError(
                f"{self._answers} has {len(self._solutions)} lines, but {path} has {len(self._puzzles)}: "
                "line k of the one is the solution of line k of the other"
            )
        first: dict[bytes, int] = {}
        for row, grid in enumerate(self._solutions):
            first.setdefault(relabelled(grid), row)
        self._kept = np.array(list(first.values()))

    def draw(self, counts: tuple[int, ...], split: int) -> list[tuple[Grids, Grids]]:
        """Disjoint parts of so many puzzles, with their solutions; each is checked.

        Raises:
            InputError: where the file has too few, or a puzzle has not the one solution that is beside it.
        """
        if sum(counts) > len(self._kept):
            raise InputError(f"{self.path} has {len(self._kept)} different puzzles, but {sum(counts)} are wanted")
        rows = np.random.default_rng(split).permutation(self._kept)[: sum(counts)]
        self._check(rows)
        return [(self._puzzles[part], self._solutions[part]) for part in np.split(rows, np.cumsum(counts)[:-1])]

    def _check(self, rows: Int64[ndarray, " k"]) -> None:
        puzzles, solutions = self._puzzles[rows], self._solutions[rows]
        agree = ((puzzles == 0) | (puzzles == solutions)).all(axis=(1, 2))
        for row in rows[~agree][:1]:
            raise InputError(f"{self._answers}, line {row + 1}: the solution has not the clues of {self.path}")
        others, status = another_solution(puzzles, solutions)
        for row, state in zip(rows, status, strict=True):
            if state == Status.INFEASIBLE:
                raise InputError(f"{self.path}, line {row + 1}: the puzzle has no solution")
        for row, other in zip(rows, others, strict=True):
            if other:
                raise InputError(
                    f"{self.path}, line {row + 1}: the puzzle has another solution than that of "
                    f"{self._answers.name}; one with two cannot be scored"
                )


def another_solution(puzzles: Grids, solutions: Grids) -> tuple[Bool[ndarray, " boards"], Any]:
    """Which puzzles have a solution that is not the one given, and the status of the search."""
    boards, n = puzzles.shape[:2]
    theta = -(solutions[..., None] == np.arange(1, n + 1)).astype(float).reshape(boards, -1)
    found = Sudoku(n, time_limit=PATIENCE).solve(theta, SudokuInstances(clues=puzzles))
    grids = np.nan_to_num(found.y).reshape(boards, n, n, n).argmax(-1) + 1
    return found.solved & (grids != solutions).any(axis=(1, 2)), found.status


def read_grids(path: Path, least: int) -> Grids:
    """Grids of 81 digits a line.

    Raises:
        InputError: naming the file, and the line that holds anything else.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not lines:
        raise InputError(f"{path} is empty: it should hold 81 digits a line")
    for number, line in enumerate(lines, 1):
        if len(line) != 81 or not line.isdigit() or (least and "0" in line):
            raise InputError(f"{path}, line {number}: 81 digits from {least} to 9 are expected, got {line!r:.90}")
    return np.array([list(line) for line in lines], dtype=np.int64).reshape(-1, 9, 9)
