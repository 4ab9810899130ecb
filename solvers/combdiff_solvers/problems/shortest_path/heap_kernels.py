"""What the shortest-path kernels share: a 4-ary heap, and what is proven of a row."""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

LARGE = 2.0**960  # costs up to this size may be added by the billion
ULP = 2.0**-53
HEAP_SLACK = 4  # a sift may look so far past the last entry


@kernel(inline="always")
def push(keys: Array, items: Array, size: int, key: float, item: int) -> int:
    """Add an item to a 4-ary heap of `size` entries; the new size."""
    at = size
    while at > 0:
        parent = (at - 1) >> 2
        if keys[parent] <= key:
            break
        keys[at] = keys[parent]
        items[at] = items[parent]
        at = parent
    keys[at] = key
    items[at] = item
    return size + 1


@kernel(inline="always")
def pop(keys: Array, items: Array, size: int) -> int:
    """Remove the top of a 4-ary heap of `size` entries; the new size."""
    size -= 1
    key = keys[size]
    item = items[size]
    keys[size] = np.inf
    keys[size + 1] = np.inf
    keys[size + 2] = np.inf
    at = 0
    child = 1
    while child < size:
        left = child + (keys[child + 1] < keys[child])
        right = child + 2 + (keys[child + 3] < keys[child + 2])
        least = right if keys[right] < keys[left] else left
        if keys[least] >= key:
            break
        keys[at] = keys[least]
        items[at] = items[least]
        at = least
        child = 4 * at + 1
    keys[at] = key
    items[at] = item
    return size


@kernel(inline="always")
def prove(row: int, objective: float, error: float, bound: Array) -> None:
    """Write what no path of a row is cheaper than: its objective, less what rounding can hide."""
    least = objective - error
    bound[row] = least if np.isfinite(least) else -np.inf
