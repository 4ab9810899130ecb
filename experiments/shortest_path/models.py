"""The shortest path of a grid as a model for native solvers: a flow, a circuit and a formula."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from combdiff.solvers import MixedInteger, Solutions, Solver, Status, wrap

MODELS = ("glop", "highs", "scip", "cp_sat", "rc2")
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
        return Solutions.from_y(found.y, theta, self.sense, status, found.messages)


def model_solver(backend: str, shape: tuple[int, int]) -> Solver:
    """Paths from the first to the last cell, 8 neighbours each, by one of `MODELS`; θ are the costs of cells."""
    arcs, cells = grid_arcs(*shape), np.arange(np.prod(shape)).reshape(shape)
    if backend == "rc2":
        from pysat.formula import CNF  # an extra

        return ClampedCosts(wrap(CNF(from_clauses=path_clauses(arcs, cells.size)), cells + 1))
    if backend == "cp_sat":
        return ClampedCosts(_circuit(arcs, cells))
    return ClampedCosts(_flow(arcs, cells, backend))


def _flow(arcs: Int64[ndarray, "arcs 2"], cells: Int64[ndarray, "rows cols"], backend: str) -> Solver:
    """A linear program, whose vertices are whole: the flow into a cell, and out of it, is whether it is used."""
    count, number = cells.size, np.arange(len(arcs))
    rows = np.zeros((2 * count, count + len(arcs)))
    rows[arcs[:, 1], count + number] = rows[count + arcs[:, 0], count + number] = 1.0
    rows[np.arange(2 * count), np.tile(np.arange(count), 2)] = -1.0
    sides = np.zeros(2 * count)
    sides[0] = sides[-1] = -1.0  # nothing flows into the start, nor out of the goal
    return MixedInteger(rows, sides, lower=sides, bounds=(0, 1), priced=cells, backend=backend)


def _circuit(arcs: Int64[ndarray, "arcs 2"], cells: Int64[ndarray, "rows cols"]) -> Solver:
    """A circuit that returns from the goal to the start; cells that are not used are loops.

    On 12×12 it takes CP-SAT a fortieth of the time of the flow.
    """
    from ortools.sat.python import cp_model  # an extra

    model, last = cp_model.CpModel(), cells.size - 1
    used = [model.new_bool_var(f"cell {cell}") for cell in range(cells.size)]
    moves = [(int(a), int(b), model.new_bool_var(f"{a} to {b}")) for a, b in arcs if b != 0 and a != last]
    loops = [(cell, cell, used[cell].Not()) for cell in range(1, last)]
    model.add_circuit([*moves, *loops, (last, 0, 1)])
    model.add_bool_and(used[0], used[last])
    return wrap(model, np.array(used, dtype=object).reshape(cells.shape))


def grid_arcs(rows: int, cols: int) -> Int64[ndarray, "arcs 2"]:
    """From each cell to its 8 neighbours, by their numbers, row by row."""
    cells = np.argwhere(np.ones((rows, cols)))
    return np.argwhere(np.abs(cells[:, None] - cells).max(-1) == 1)


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
