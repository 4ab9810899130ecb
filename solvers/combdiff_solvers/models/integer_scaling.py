"""Real costs as integers, for solvers that want integers: exact scales, rounding errors that are known.

A cost vector a ∈ ℝᵛ over integer x, lower ≤ x ≤ upper, becomes c = round(2ᵏ a) with the largest k for which no sum
of terms exceeds `ROOM`. The scale is a power of two, so 2ᵏ a is exact in float64, and so is the residual r = 2ᵏ a − c:

    2ᵏ ⟨a, x⟩ = ⟨c, x⟩ + ⟨r, x⟩.

If x̂ minimises ⟨c, x⟩, then no x is better than x̂ for the true costs by more than
2⁻ᵏ (⟨r, x̂⟩ − min ⟨r, x⟩) ≤ 2⁻ᵏ Σ |rᵢ| (upperᵢ − lowerᵢ): the *slack*. Where that is too much, a second solve over the
x with ⟨c, x⟩ ≤ ⟨c, x̂⟩ + slack takes up the residuals with a scale of their own, for about 50 more bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

Vector = Float64[ndarray, " v"]  # one entry for each variable
ROOM = 2.0**52
"""bound on every sum of |coefficient · value|: float64 holds such integers exactly, int64 has room to spare"""


class Box(NamedTuple):
    """The domains of the variables that have costs."""

    lower: Vector
    upper: Vector

    @property
    def size(self) -> Vector:
        """The largest |x| of each variable."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper))


class Scaled(NamedTuple):
    """Integer costs `coefficients`, with 2^exponent · costs = coefficients + residual."""

    coefficients: Int64[ndarray, " v"]
    residual: Vector
    exponent: int

    def value(self, x: Vector) -> int:
        """⟨coefficients, x⟩, exactly."""
        return int(self.coefficients @ x.astype(np.int64))

    def slack(self, x: Vector, box: Box) -> float:
        """By how much, in units of 2^−exponent, a point could beat x if x is best for the integers; 0 proves x."""
        best = np.minimum(self.residual * box.lower, self.residual * box.upper).sum()
        return max(0.0, float(self.residual @ x - best)) * (1 + 1e-12)


def add_exactly(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """a + b as a rounded sum and what the rounding lost (Knuth's two-sum).

    >>> add_exactly(np.array([1e16]), np.array([1.0]))
    (array([1.e+16]), array([1.]))
    """
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def scale(costs: Vector, box: Box, rest: Vector | None = None, room: float = ROOM) -> Scaled:
    """Integer costs for costs + rest (rest is tiny beside costs: what `add_exactly` lost).

    >>> scale(np.array([0.5, 0.75]), Box(np.zeros(2), np.ones(2)), room=8.0)
    Scaled(coefficients=array([2, 3]), residual=array([0., 0.]), exponent=2)
    """
    mantissas, exponents = np.frexp(costs)
    used = mantissas != 0
    top = int(exponents[used].max()) if used.any() else 0
    size = np.maximum(box.size, 1.0)
    total = float(np.abs(np.ldexp(costs, -top)) @ size)
    margin = float(size.sum()) / 2  # what rounding may add
    if total == 0:
        return Scaled(np.zeros(len(costs), dtype=np.int64), np.zeros(len(costs)), 0)
    exponent = int(np.floor(np.log2(max(room - margin, 1.0) / total))) - top
    exact = np.ldexp(costs, exponent)
    rounded = np.rint(exact)
    residual = exact - rounded
    if rest is not None:
        residual = residual + np.ldexp(rest, exponent)
    return Scaled(rounded.astype(np.int64), residual, exponent)
