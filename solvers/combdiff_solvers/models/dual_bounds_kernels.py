"""Compiled bounds on the optimum of linear programs that hold whatever the dual solution is, over the rows of a batch.

After A. Neumaier and O. Shcherbina (2004), "Safe bounds in linear and mixed-integer linear programming".
"""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

ULP = 2.0**-52
ROUNDING = 1e-6  # a reduced cost that misses its sign by a larger share of its cost is no rounding


@kernel(counted=False)
def dual_bounds(
    first: int,
    last: int,
    c: Array,  # (b, columns)
    y: Array,  # (b, rows), changed
    lower: Array,  # (columns,)
    upper: Array,  # (columns,)
    row_lower: Array,  # (rows,)
    row_upper: Array,  # (rows,)
    starts: Array,  # (columns + 1,): column j is rows[starts[j]:starts[j + 1]] and entries likewise
    rows: Array,
    entries: Array,
    bound: Array,  # (b,)
) -> None:
    """Lower bounds on min ⟨c, x⟩ over row_lower ≤ A x ≤ row_upper, lower ≤ x ≤ upper; −∞ where y proves none.

    min ⟨c − Aᵀ y, x⟩ over the box, and the better side of each row times y, less the rounding of all sums. A reduced
    cost that misses its sign by a rounding is mended by a step towards y = 0, where it is c.
    """
    for b in range(first, last):
        for i in range(y.shape[1]):
            if (y[b, i] > 0.0 and row_lower[i] == -np.inf) or (y[b, i] < 0.0 and row_upper[i] == np.inf):
                y[b, i] = 0.0
        least, step = _box(c[b], y[b], lower, upper, starts, rows, entries)
        if step > 0.0:
            for i in range(y.shape[1]):
                y[b, i] *= 1.0 - step
            least, step = _box(c[b], y[b], lower, upper, starts, rows, entries)
        total = least[0]
        size = least[1]
        for i in range(y.shape[1]):
            if y[b, i] != 0.0:
                part = y[b, i] * (row_lower[i] if y[b, i] > 0.0 else row_upper[i])
                total += part
                size += abs(part)
        total -= (len(lower) + y.shape[1] + 4) * ULP * size
        bound[b] = total if np.isfinite(total) else -np.inf


@kernel(inline="always")
def _box(
    c: Array, y: Array, lower: Array, upper: Array, starts: Array, rows: Array, entries: Array
) -> tuple[tuple[float, float], float]:
    """The least of ⟨c − Aᵀ y, x⟩ over the box and the size of its sum; the step towards y = 0 that mends its signs.

    The reduced costs lie in intervals that hold the rounding of c = θ + h, too.
    """
    total = 0.0
    size = 0.0
    step = 0.0
    for j in range(len(lower)):
        reduced = c[j]
        error = abs(c[j])
        for k in range(starts[j], starts[j + 1]):
            part = entries[k] * y[rows[k]]
            reduced -= part
            error += abs(part)
        error *= (starts[j + 1] - starts[j] + 4) * ULP
        low = reduced - error
        high = reduced + error
        # Where an end of the box is infinite, a reduced cost of the wrong sign would prove nothing.
        miss = 0.0
        if upper[j] == np.inf and low < 0.0 and low != c[j]:
            miss = low / (low - c[j])
        if lower[j] == -np.inf and high > 0.0 and high != c[j]:
            miss = max(miss, high / (high - c[j]))
        if miss < ROUNDING:
            step = max(step, 2.0 * miss)
        least = min(min(_end(low, lower[j]), _end(low, upper[j])), min(_end(high, lower[j]), _end(high, upper[j])))
        total += least
        size += abs(least)
    return (total, size), step


@kernel(inline="always")
def _end(reduced: float, end: float) -> float:
    return 0.0 if reduced == 0.0 else reduced * end
