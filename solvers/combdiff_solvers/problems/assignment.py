"""Assign one column to each row of a matrix."""

from __future__ import annotations

import numpy as np

from combdiff_solvers.compute.sums import unit_rows
from combdiff_solvers.compute.threads import check_threads, for_rows
from combdiff_solvers.problems.allowed import AllowedInstances
from combdiff_solvers.problems.assignment_kernels import assignments
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions


class AssignmentInstances(AllowedInstances):
    """Which pairs each row of a batch may use.

    Instances: `AssignmentInstances`, or a sequence of mappings with the key `allowed`.

    Args:
        allowed: (b, rows, cols), true where a pair may be taken.

    >>> AssignmentInstances(allowed=np.ones((2, 3, 3))).take(np.array([0])).allowed.shape
    (1, 3, 3)
    """


class Assignment(BatchSolver):
    """The best assignment of rows to columns, as a 0/1 matrix.

    Solves min (or max) ⟨θ, y⟩ over y ∈ {0, 1}^(rows × cols) with one 1 in each line of the shorter side and at most
    one in each line of the longer: a perfect matching of a complete bipartite graph, a permutation matrix where rows =
    cols.

    θ may be negative. The duals are float64, so the answer is optimal up to their rounding, about
    1e-15 · max|θ| for each row. A row whose `allowed` pairs leave no assignment is INFEASIBLE, alone.

    Args:
        rows: number of rows.
        cols: number of columns; as many as rows if None.
        sense: "min" or "max".
        threads: how many problems are solved at a time; every core if None.

    Raises:
        ValueError: for a matrix without entries.

    Source: R. Jonker and A. Volgenant (1987); the rectangular form of D. F. Crouse (2016), "On implementing 2D
    rectangular assignment algorithms". `scipy.optimize.linear_sum_assignment` is the same for one matrix: for n × n the
    kernel takes 0.45 (n = 10), 0.8 (20), 0.95 (50), 1.0 (100) and 1.1 (200) times as long as a loop over it.

    >>> Assignment(2).solve(np.array([[1.0, 2.0, 0.0, 3.0]])).y.reshape(2, 2)
    array([[0., 1.],
           [1., 0.]])
    """

    takes_instances = True

    def __init__(
        self, rows: int, cols: int | None = None, sense: Sense | str = Sense.MIN, threads: int | None = None
    ) -> None:
        cols = rows if cols is None else cols
        if rows < 1 or cols < 1:
            raise ValueError(f"an assignment of {rows} rows to {cols} columns has no pairs")
        self.shape, self.sense = (rows, cols), Sense(sense)
        self.threads = check_threads(threads)

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        status, messages = np.zeros(len(theta), dtype=np.uint8), dict[int, str]()
        cost = self.sense.sign * unit_rows(theta).reshape(-1, *self.shape)
        axes = (0, 1, 2) if self.shape[0] <= self.shape[1] else (0, 2, 1)  # the kernel wants the shorter side first
        cost = AssignmentInstances.price(instances, cost, status, messages).transpose(axes)
        y = np.zeros(cost.shape)
        for_rows(
            assignments, len(theta), np.ascontiguousarray(cost), y, status,
            threads=self.threads, grain=1 + 4096 // theta.shape[1],
        )  # fmt: skip
        return Solutions.from_y(y.transpose(axes).reshape(theta.shape), theta, self.sense, status, messages)
