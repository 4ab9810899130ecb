"""The base of solvers that wrap a solver."""

from __future__ import annotations

from math import prod

import numpy as np

from combdiff_solvers.protocol import BatchSolver, Instances, PerRow, Rows, Sense, Sets, Solver, value_checked


class Wrapper(BatchSolver):
    """Has the sense and shape of its solver, and takes the instances that it takes.

    Raises:
        TypeError: for what is no solver.
    """

    takes_instances = True

    def __init__(self, solver: Solver) -> None:
        if not isinstance(solver, Solver):
            raise TypeError(
                f"a {type(solver).__name__} is not a Solver (it needs sense, shape and solve): make one with wrap"
            )
        self.solver = solver
        self.sense: Sense = solver.sense
        self.shape: tuple[int, ...] = solver.shape

    def check_instances(self, instances: Instances | None, rows: int) -> Sets:
        """The instances as a sequence of one a row.

        Raises:
            ValueError: for instances that the solver does not take, or another number of them than rows.
        """
        given = super().check_instances(instances, rows)
        if given is not None:
            self.solver.solve(np.empty((0, prod(self.shape))), given[:0])  # raises for what it does not take
        return given

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """⟨θ, y⟩ + h(y) of every row, by the solver itself."""
        return value_checked(self.solver, y, theta, instances)
