"""Rows of θ brought to the size of 1, so that no sum overflows and no margin is lost."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int, Int64
from numpy import ndarray


def unit_rows(theta: Float64[ndarray, "b n"]) -> Float64[ndarray, "b n"]:
    """Each row divided by a power of two above its largest |entry|: exact, but for entries 1e-300 times smaller.

    >>> unit_rows(np.array([[3.0, -1.0], [1e300, 0.0]])).round(3)
    array([[ 0.75 , -0.25 ],
           [ 0.747,  0.   ]])
    """
    return np.ldexp(theta, -exponents(theta)[:, None])


def exponents(theta: Float64[ndarray, "b n"]) -> Int[ndarray, " b"]:
    """The exponent of the power of two that `unit_rows` divides each row by."""
    _, exponent = np.frexp(np.abs(theta).max(axis=1, initial=0.0))
    return exponent


NONE = np.zeros(0, dtype=np.int64)
LARGE = 2.0**960
"""entries up to this size may be added by the billion"""


def without_overflow(theta: Float64[ndarray, "b n"]) -> tuple[Float64[ndarray, "b n"], Int64[ndarray, " k"]]:
    """The rows, of which those with larger entries than `LARGE` are brought to the size of 1; and which those are.

    >>> without_overflow(np.array([[3.0, -1.0], [2.0**1000, 0.0]]))
    (array([[ 3. , -1. ],
           [ 0.5,  0. ]]), array([1]))
    """
    entries = theta.ravel()  # no product by BLAS: its threads go on spinning, and take the cores of ours
    if not len(entries) or -LARGE <= np.minimum.reduce(entries) <= np.maximum.reduce(entries) <= LARGE:
        return theta, NONE
    large = np.flatnonzero(np.abs(theta).max(axis=1) > LARGE)
    scaled = theta.copy()
    scaled[large] = unit_rows(theta[large])
    return scaled, large
