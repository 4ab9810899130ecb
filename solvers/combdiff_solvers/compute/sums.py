"""Sums over the rows of a batch: each depends on its own row alone, and none overflows on the way."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int
from numpy import ndarray

BLOCK = 2**14  # entries that stay in the cache while something is done with them


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


def row_products(theta: Float64[ndarray, "b n"], y: Float64[ndarray, "b n"]) -> Float64[ndarray, " b"]:
    """⟨θ, y⟩ of each row, which depends on that row alone, to the last bit.

    (`numpy.einsum` and matrix products add in an order that depends on the size and layout of the batch.) It is
    infinite only where the sum is, not where a part of the sum would be.

    >>> row_products(np.array([[2.0, 5.0], [1.0, 1.0]]), np.array([[1.0, 0.0], [0.5, 0.5]]))
    array([2., 1.])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        found: Float64[ndarray, " b"] = np.add.reduce(np.multiply(theta, y, order="C"), axis=1)
        if not np.isfinite(found).all():
            large = np.flatnonzero(~np.isfinite(found))
            units = np.add.reduce(np.multiply(unit_rows(theta[large]), y[large], order="C"), axis=1)
            found[large] = np.ldexp(units, exponents(theta[large]))
    return found


def rounding(theta: Float64[ndarray, "b n"], tolerance: ndarray | float = 0.0) -> Float64[ndarray, " b"]:
    """What float64 and a tolerance can hide in comparisons of sums of a row's entries: (4 n ε + tolerance) Σ|θ|.

    (A sum of n terms is wrong by n ε times that of their sizes at most; two sums are compared, one is printed.) It
    overflows with a warning, unless NumPy is told otherwise.
    """
    rows, n = theta.shape
    block = max(1, BLOCK // n)
    if rows <= block:
        sizes: Float64[ndarray, " b"] = np.add.reduce(np.abs(theta), axis=1)
    else:
        sizes = np.concatenate([np.abs(theta[first : first + block]).sum(axis=1) for first in range(0, rows, block)])
    sizes *= 4.0 * n * 2.0**-53 + tolerance
    return sizes
