"""The best solution of a pool for each θ. See `cached`."""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel


@kernel()
def cheapest(first: int, last: int, costs: Array, columns: Array, rest: Array, chosen: Array) -> None:
    """The first column of least cost: costs (b, n), columns (n, k), rest (k,), chosen (b,)."""
    n, k = columns.shape
    total = np.empty(k)
    for row in range(first, last):
        total[:] = rest
        for entry in range(n):
            cost = costs[row, entry]
            for column in range(k):
                total[column] += cost * columns[entry, column]
        chosen[row] = total.argmin()
