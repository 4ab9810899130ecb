"""What a search writes: the arrays of `Solutions`, before anything is found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from combdiff_solvers.protocol import PerRow, Rows


class Found(NamedTuple):
    """One entry for each row; `graph_kernels` says what is written into them."""

    y: Rows
    objective: PerRow
    bound: PerRow
    status: UInt8[ndarray, " b"]

    @classmethod
    def empty(cls, rows: int, width: int) -> Found:
        """No paths, nothing proven, and nothing wrong with any row."""
        return cls(np.zeros((rows, width)), np.zeros(rows), np.full(rows, -np.inf), np.zeros(rows, dtype=np.uint8))
