"""All 2ⁿ points of a quadratic function of bits, by a Gray code."""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

FRESH = 12  # bits: the running sums are computed anew so often, against rounding


@kernel()
def best_bits(
    first: int,
    last: int,
    cost: Array,  # (b, n, n), symmetric
    bits: Array,  # (b, n), zero
) -> None:
    """Write the x of each row that minimises xᵀ Q x; of equal ones the first in the order of the code."""
    n = cost.shape[1]
    x = np.empty(n, dtype=np.uint8)
    rise = np.empty(n)  # what setting a bit adds
    for row in range(first, last):
        q = cost[row]
        slack = 1e-13 * np.abs(q).sum()
        x[:] = 0
        for i in range(n):
            rise[i] = q[i, i]
        value = best = 0.0
        for step in range(1, 1 << n):
            at = 0
            while not (step >> at) & 1:
                at += 1
            sign = -1.0 if x[at] else 1.0
            value += sign * rise[at]
            x[at] ^= 1
            for i in range(n):
                rise[i] += 2.0 * sign * q[at, i] * (i != at)
            if step & ((1 << FRESH) - 1) == 0:
                value = 0.0
                for i in range(n):
                    rise[i] = q[i, i]
                    for j in range(n):
                        if j != i and x[j]:
                            rise[i] += 2.0 * q[i, j]
                for i in range(n):
                    if x[i]:
                        value += 0.5 * (rise[i] + q[i, i])
            if value < best - slack:
                best = value
                for i in range(n):
                    bits[row, i] = x[i]
