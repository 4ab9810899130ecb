"""The shortest path of a grid as a model for native solvers: a linear program of flows, and a formula."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from combdiff.solvers import MixedInteger, Solutions, Solver, Status, wrap

FLOWS = ("glop", "highs", "scip", "cp_sat")
MODELS = (*FLOWS, "rc2")
LEAST = 1e-6
"""costs below this share of a map's largest one count as it: models would close circles that cost nothing"""


class ClampedCosts:
    """A solver that takes negative costs for (next to) nothing, as the kernel does."""

    def __init__(self, solver: Solver) -> None:
        self.solver, self.shape, self.sense = solver, solver.shape, solver.sense

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None = None) -> Solutions:
        """Solve every row for its clamped costs."""
        least = LEAST * np.maximum(np.abs(theta).max(1, keepdims=True, initial=0.0), LEAST)
        found = self.solver.solve(np.maximum(theta, least), instances)
        clamped = (theta < least).any(1) & (found.status == Status.OPTIMAL)
        status = np.where(clamped, Status.FEASIBLE, found.status).astype(np.uint8)
        return Solutions.from_y(found.y, theta, status, found.messages)


def model_solver(backend: str, shape: tuple[int, int]) -> Solver:
    """Paths from the first to the last cell, 8 neighbours each, by one of `MODELS`; θ are the costs of cells."""
    arcs = grid_arcs(*shape)
    if backend == "rc2":
        from pysat.formula import CNF  # an extra

        cells = np.arange(1, np.prod(shape) + 1).reshape(shape)
        return ClampedCosts(wrap(CNF(from_clauses=path_clauses(arcs, cells.size)), cells))
    count, number = int(np.prod(shape)), np.arange(len(arcs))
    # of each cell: what flows in, and what flows out, is whether it is used
    rows = np.zeros((2 * count, count + len(arcs)))
    rows[arcs[:, 1], count + number] = rows[count + arcs[:, 0], count + number] = 1.0
    rows[np.arange(2 * count), np.tile(np.arange(count), 2)] = -1.0
    sides = np.zeros(2 * count)
    sides[0] = sides[-1] = -1.0  # nothing flows into the start, nor out of the goal
    whole = float(backend == "cp_sat")  # the program's vertices are whole
    lp = MixedInteger(
        rows,
        sides,
        lower=sides,
        integrality=whole,
        bounds=(0, 1),
        priced=np.arange(count).reshape(shape),
        backend=backend,
    )
    return ClampedCosts(lp)


def grid_arcs(rows: int, cols: int) -> Int64[ndarray, "arcs 2"]:
    """From each cell to its 8 neighbours, by their numbers, row by row."""
    cell = np.arange(rows * cols).reshape(rows, cols)
    pairs = [
        (cell[:, :-1], cell[:, 1:]),
        (cell[:-1], cell[1:]),
        (cell[:-1, :-1], cell[1:, 1:]),
        (cell[:-1, 1:], cell[1:, :-1]),
    ]
    one_way = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in pairs])
    return np.concatenate([one_way, one_way[:, ::-1]])


def path_clauses(arcs: Int64[ndarray, "arcs 2"], cells: int) -> list[list[int]]:
    """The first and last cell are used and have one used neighbour, every other used cell has two.

    Beside a path without shortcuts, which a shortest one is, that allows circles apart from it only, and they cost.
    """
    clauses = [[1], [cells]]
    for cell in range(cells):
        around = [int(other) + 1 for other in arcs[arcs[:, 0] == cell, 1]]
        used, wanted = -(cell + 1), 1 if cell in (0, cells - 1) else 2
        clauses += [[used, *some] for some in combinations(around, len(around) - wanted + 1)]
        clauses += [[used, *(-other for other in some)] for some in combinations(around, wanted + 1)]
    return clauses
