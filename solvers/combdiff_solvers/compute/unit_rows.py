"""Rows of θ brought to the size of 1, so that no sum overflows and no margin is lost."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int
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
