"""What a search is told and writes: the arrays of `Solutions`, before anything is found, and how a row ended."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from combdiff_solvers.protocol import PerRow, Rows

OPTIMAL, FEASIBLE, INFEASIBLE, ERROR = 0, 1, 2, 5  # as in protocol.Status
HUGE = 255  # the row is left to be solved as a multiple of itself: its sums could overflow
REFUSE, CLAMP, EXACT = 0, 1, 2  # what to do with negative costs


class Found(NamedTuple):
    """One entry for each row; `graph_kernels` says what is written into them."""

    y: Rows
    objective: PerRow
    bound: PerRow
    status: UInt8[ndarray, " b"]

    @classmethod
    def empty(cls, rows: int, width: int) -> Found:
        """No paths, nothing proven, and nothing wrong with any row."""
        bound = np.empty(rows)
        bound.fill(-np.inf)  # np.full takes as long as a small search
        return cls(np.zeros((rows, width)), np.zeros(rows), bound, np.zeros(rows, dtype=np.uint8))
