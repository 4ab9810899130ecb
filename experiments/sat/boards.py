"""Boards: images of the clues of a Sudoku, and what is known of its solution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import one_hot

from combdiff.solvers import Solver, SudokuInstances
from combdiff_solvers.protocol import Status
from experiments.digits import Pool
from experiments.harness.task import Examples

Grids = Int64[ndarray, "boards n n"]
"""digits 1 to n; 0 where there is none"""


@dataclass(frozen=True)
class Boards(Examples):
    """Sudokus whose clues are images.

    Attributes:
        inputs: (boards, n, n, side, side), an image for each cell; one that is 0 everywhere has no clue.
        solutions: (boards, n, n, n), one-hot digits of the cells that are labelled; 0 in the others.
        shown: (boards, n, n), which cells have a clue.
        clues: (boards, n, n), their digits, 0 in blanks: what only the reference may learn from.
        deduced: (boards, n, n), the digits that follow from `solutions` and the rules in cells with a clue; else 0.
    """

    inputs: Float[Tensor, "boards n n side side"]
    solutions: Float[Tensor, "boards n n n"]
    shown: Bool[Tensor, "boards n n"]
    clues: Int64[Tensor, "boards n n"]
    deduced: Int64[Tensor, "boards n n"] | None = None

    @property
    def labels(self) -> Int64[Tensor, "boards n n"]:
        """The digits of the cells that are labelled; 0 in the others."""
        return digits_of(self.solutions)

    @property
    def whole_solutions(self) -> Tensor | None:
        """The solutions, if all cells are labelled."""
        return self.solutions if bool(self.solutions.any(-1).all()) else None


def digits_of(y: Float[Tensor, "*cells n"]) -> Int64[Tensor, "*cells"]:
    """The digit of each cell, 0 where there is none.

    >>> digits_of(torch.tensor([[0.0, 1.0], [0.0, 0.0], [torch.nan, torch.nan]]))
    tensor([2, 0, 0])
    """
    known = y.amax(-1) > 0
    return torch.where(known, y.nan_to_num().argmax(-1) + 1, 0)


def as_one_hot(grids: Grids) -> Float[Tensor, "boards n n n"]:
    """One-hot digits, all 0 where there is none."""
    return one_hot(torch.from_numpy(grids), grids.shape[-1] + 1)[..., 1:].float()


def draw_boards(puzzles: Grids, solutions: Grids, pool: Pool, seed: tuple[int, ...]) -> Boards:
    """An image of the pool for each clue, drawn at random; all cells are labelled."""
    rng = np.random.default_rng(seed)
    side = pool.images.shape[-1]
    images = np.zeros((*puzzles.shape, side, side), dtype=np.uint8)
    for digit in range(1, puzzles.shape[-1] + 1):
        here = puzzles == digit
        images[here] = pool.images[rng.choice(np.flatnonzero(pool.labels == digit), here.sum())]
    clues = torch.from_numpy(puzzles)
    return Boards(torch.from_numpy(images).float() / 255, as_one_hot(solutions), clues > 0, clues)


def given(labels: Int64[Tensor, "boards n n"]) -> SudokuInstances:
    """The labels as digits that must hold."""
    return SudokuInstances(clues=labels.numpy())


def deduce(labels: Int64[Tensor, "boards n n"], solver: Solver) -> Int64[Tensor, "boards n n"]:
    """The digits that are the same in every filled grid with these labels; 0 where they differ.

    One grid is found, and then those that agree with it the least in the cells that are left, until none are lost.
    Nothing follows where the solver ends at a limit.
    """
    held = given(labels)
    theta = np.zeros((len(labels), labels[0].numel() * labels.shape[-1]))
    same = np.nan_to_num(solver.solve(theta, held).y).reshape(*labels.shape, -1)
    while True:
        found = solver.solve(-same.reshape(theta.shape), held)
        lost = (same != found.y.reshape(same.shape)).any(-1)
        lost[found.status != Status.OPTIMAL] = True
        lost &= same.any(-1)
        if not lost.any():
            return digits_of(torch.from_numpy(same))
        same[lost] = 0.0
