"""What a search writes: the arrays of `Solutions`, before anything is found."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray


class Found(NamedTuple):
    """One entry for each row; `graph_kernels` says what is written into them."""

    y: Float64[ndarray, "b n"]
    objective: Float64[ndarray, " b"]
    bound: Float64[ndarray, " b"]
    status: UInt8[ndarray, " b"]

    @classmethod
    def empty(cls, rows: int, width: int) -> Found:
        """No paths, nothing proven, and nothing wrong with any row."""
        return cls(np.zeros((rows, width)), np.zeros(rows), np.full(rows, -np.inf), np.zeros(rows, dtype=np.uint8))
