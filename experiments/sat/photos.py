"""Photographs of Sudokus in the layout of github.com/wichtounet/sudoku_dataset: NAME.jpg, with NAME.dat beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray

from combdiff.solvers import Sudoku, SudokuInstances
from experiments.harness.errors import InputError
from experiments.harness.table import Row
from experiments.harness.task import Learned
from experiments.sat.boards import Boards, as_one_hot
from experiments.sat.cells import SIDE, cut_cells
from experiments.sat.puzzles import PATIENCE, another_solution
from experiments.sat.sudoku import SudokuSource

TEST_LIST = "datasets/v2_test.desc"
"""beside the folder of the photographs: a path in each line; their names are the published test set"""


class Photos(SudokuSource):
    """9×9 boards as photographs show them.

    A photograph in which no grid is found has no clues; it counts, and its board is wrong.
    """

    n = 9
    takes_path = True
    presets: ClassVar[dict[str, dict[str, Any]]] = {"demo": {"epochs": 20}, "full": {"epochs": 60}}

    def __init__(self, options: Any, path: str) -> None:
        super().__init__(options, path)
        self.time_limit = options.time_limit

    def describe(self) -> str:
        labelled = {"blanks": "the blanks are labelled", "boards": "all cells are labelled"}
        return f"Photographs of Sudokus, {labelled[self.options.supervision]}: test photographs"

    def parts(self, split: int) -> tuple[Boards, Boards, Boards]:
        everything, test = _read(self.path)
        rng = np.random.default_rng(split)
        if test is None:
            order = rng.permutation(len(everything))
            test, rest = np.split(order, [-(-len(order) // 5)])
        else:
            rest = rng.permutation(np.setdiff1d(np.arange(len(everything)), test))
        validation, train = np.split(rest, [-(-len(rest) // 5)])
        if not (len(test) and len(validation) and len(train)):
            raise InputError(f"{self.path} has {len(everything)} photographs: too few for three parts")
        first, second, third = (everything.pick(torch.from_numpy(part)) for part in (train, validation, test))
        return first, second, third

    def remarks(self, examples: Boards, metrics: Sequence[Row], learned: Sequence[Learned]) -> list[str]:
        lost = int((~examples.inputs.flatten(1).any(1)).sum())
        return [f"no grid is found in {lost} of {len(examples)} test photographs"] if lost else []


@cache
def _read(path: Path) -> tuple[Boards, Int64[ndarray, " k"] | None]:
    """All photographs of a folder, and which of them are the published test set (None where there is no list)."""
    folder = path / "images" if (path / "images").is_dir() else path
    files = [file for file in sorted(folder.glob("*.jpg")) if file.with_suffix(".dat").exists()]
    if not files:
        raise InputError(f"{folder} has no photograph NAME.jpg with NAME.dat beside it")
    puzzles = np.array([read_dat(file.with_suffix(".dat")) for file in files])
    solutions = _solve(puzzles, files)
    cells = [cut_cells(file) for file in files]
    images = np.array([np.zeros((9, 9, SIDE, SIDE), np.float32) if cut is None else cut for cut in cells])
    clues = torch.from_numpy(puzzles)
    boards = Boards(torch.from_numpy(images), as_one_hot(solutions), clues > 0, clues)
    listed = folder.parent / TEST_LIST
    if not listed.exists():
        return boards, None
    names = {Path(line.strip()).name for line in listed.read_text(encoding="utf-8").splitlines()}
    return boards, np.flatnonzero([file.name in names for file in files])


def read_dat(file: Path) -> Int64[ndarray, "9 9"]:
    """The digits: two lines of the camera and the picture, then nine lines of nine numbers, 0 for a blank.

    Raises:
        InputError: naming the file and the line that holds anything else.
    """
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    if len(lines) != 11:
        raise InputError(f"{file} has {len(lines)} lines, but 11 are expected: camera, format and nine rows of digits")
    for number, line in enumerate(lines[2:], 3):
        words = line.split()
        if len(words) != 9 or not all(len(word) == 1 and word in "0123456789" for word in words):
            raise InputError(f"{file}, line {number}: nine numbers from 0 to 9 are expected, got {line!r}")
    return np.array([line.split() for line in lines[2:]], dtype=np.int64)


def _solve(puzzles: Int64[ndarray, "k 9 9"], files: Sequence[Path]) -> Int64[ndarray, "k 9 9"]:
    """The solutions; each puzzle must have one."""
    found = Sudoku(9, time_limit=PATIENCE).solve(np.zeros((len(puzzles), 729)), SudokuInstances(clues=puzzles))
    for file, solved in zip(files, found.solved, strict=True):
        if not solved:
            raise InputError(f"{file.with_suffix('.dat')}, lines 3 to 11: the puzzle has no solution")
    solutions = found.y.reshape(-1, 9, 9, 9).argmax(-1) + 1
    for file, other in zip(files, another_solution(puzzles, solutions)[0], strict=True):
        if other:
            raise InputError(f"{file.with_suffix('.dat')}, lines 3 to 11: the puzzle has more than one solution")
    return solutions
