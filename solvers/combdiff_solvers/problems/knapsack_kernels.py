"""Branch and bound for 0/1 knapsacks of several dimensions. See `knapsack` for what it means."""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

STEPS = 60  # of the subgradient method that finds the multipliers


@kernel()
def _multipliers(gain: Array, weight: Array, target: float, price: Array) -> None:
    """Non-negative multipliers of the dimensions (capacities scaled to 1) whose Lagrangian bound is low.

    L(u) = Σ u_k + Σ_j max(0, gain_j − Σ_k u_k weight_kj), by Polyak's subgradient steps towards `target`.
    """
    d, n = weight.shape
    slope, here = np.empty(d), np.empty(d)
    for k in range(d):
        here[k] = gain.sum() / (d * max(1.0, weight[k].sum()))
    price[:] = here
    best = np.inf
    scale = 1.0
    for _ in range(STEPS):
        value = here.sum()
        slope[:] = 1.0
        for j in range(n):
            rest = gain[j]
            for k in range(d):
                rest -= here[k] * weight[k, j]
            if rest > 0.0:
                value += rest
                for k in range(d):
                    slope[k] -= weight[k, j]
        if value < best:
            best = value
            price[:] = here
        else:
            scale *= 0.8
        norm = 0.0
        for k in range(d):
            norm += slope[k] * slope[k]
        if norm == 0.0 or value <= target:
            break
        step = scale * (value - target) / norm
        for k in range(d):
            here[k] = max(0.0, here[k] - step * slope[k])
    if price.sum() <= 0.0:
        price[:] = 1.0


@kernel(inline="always")
def _bound(place: int, room: float, gained: Array, used: Array) -> float:
    """What the items from `place` on may still gain, taken in their order and the last one in part."""
    low, high = place, len(used) - 1  # the largest t with used[t] - used[place] <= room
    start = used[place]
    while low < high:
        middle = (low + high + 1) >> 1
        if used[middle] - start <= room:
            low = middle
        else:
            high = middle - 1
    value = gained[low] - gained[place]
    if low < len(used) - 1:
        value += (room - (used[low] - start)) * (gained[low + 1] - gained[low]) / (used[low + 1] - used[low])
    return value


@kernel()
def knapsacks(
    first: int,
    last: int,
    gains: Array,  # (b, n): to be maximised
    weights: Array,  # (b or 1, d, n), not negative
    capacities: Array,  # (b or 1, d), slack included
    nodes: int,  # a row that takes more ends as FEASIBLE
    y: Array,  # (b, n), zero
    status: Array,  # (b,)
) -> None:
    """Depth first, the most efficient item first; the bound is the surrogate knapsack's (one dimension)."""
    n, d = gains.shape[1], weights.shape[1]
    items = np.empty(n, dtype=np.int64)
    price = np.empty(d)
    for row in range(first, last):
        if status[row] != 0:
            continue
        weight = weights[row if len(weights) > 1 else 0]
        capacity = capacities[row if len(capacities) > 1 else 0]
        m = 0
        for j in range(n):
            if gains[row, j] > 0.0:
                heavy, free = False, True
                for k in range(d):
                    heavy |= weight[k, j] > capacity[k]
                    free &= weight[k, j] == 0.0
                if free:
                    y[row, j] = 1.0
                elif not heavy:
                    items[m] = j
                    m += 1
        if m == 0:
            continue
        gain, load = np.empty(m), np.zeros((d, m))  # capacities scaled to 1; one of 0 binds no item that is left
        for j in range(m):
            gain[j] = gains[row, items[j]]
            for k in range(d):
                if capacity[k] > 0.0:
                    load[k, j] = weight[k, items[j]] / capacity[k]
        price[:] = 1.0
        if d > 1:
            target = _greedy(np.argsort(-gain / load.sum(axis=0), kind="mergesort"), gain, load)
            _multipliers(gain, load, target, price)
        surrogate, least = np.zeros(m), 1e-9 * price.max()
        for k in range(d):
            price[k] = max(price[k], least)
            surrogate += price[k] * load[k]
        order = np.argsort(-gain / surrogate, kind="mergesort")
        if not _search(row, order, items, gain, weight, capacity, surrogate, price, nodes, y):
            status[row] = 1  # FEASIBLE


@kernel()
def _greedy(order: Array, gain: Array, load: Array) -> float:
    """What the items gain that fit one after the other."""
    filled = np.zeros(len(load))
    total = 0.0
    for j in order:
        fits = True
        for k in range(len(load)):
            fits &= filled[k] + load[k, j] <= 1.0
        if fits:
            filled += load[:, j]
            total += gain[j]
    return total


@kernel()
def _search(
    row: int, order: Array, items: Array, gain: Array, weight: Array, capacity: Array, surrogate: Array, price: Array,
    nodes: int, y: Array,
) -> bool:  # fmt: skip
    """Write the best choice into `y[row]`; whether it is proven."""
    m, d = len(order), len(capacity)
    gained, used = np.zeros(m + 1), np.zeros(m + 1)  # sums over the sorted items
    gained[1:], used[1:] = np.cumsum(gain[order]), np.cumsum(surrogate[order])
    heavy = np.empty((m, d))
    alike = np.zeros(m + 1, dtype=np.uint8)  # an item equal to the one before it
    for place in range(m):
        alike[place] = place and gain[order[place]] == gain[order[place - 1]]
        for k in range(d):
            heavy[place, k] = weight[k, items[order[place]]]
            alike[place] &= place and heavy[place, k] == heavy[place - 1, k]
    profit, room = np.zeros(m + 1), np.empty(m + 1)  # before each place
    filled = np.zeros((m + 1, d))
    room[0] = price.sum()
    chosen, best_chosen = np.zeros(m, dtype=np.uint8), np.zeros(m, dtype=np.uint8)
    best = 0.0
    slack = 1e-13 * gained[m]
    place = 0
    proven = True
    visited = 0
    while True:
        visited += 1
        if visited > nodes:
            proven = False
            break
        if profit[place] > best:
            best = profit[place]
            best_chosen[:place] = chosen[:place]
            best_chosen[place:] = 0
        if place == m or profit[place] + _bound(place, room[place], gained, used) <= best + slack:
            place -= 1  # back to the last item that was taken, and leave it
            while place >= 0 and not chosen[place]:
                place -= 1
            if place < 0:
                break
            left = place
            while place == left or (place < m and alike[place]):  # its equals are left too
                chosen[place] = 0
                profit[place + 1], room[place + 1] = profit[place], room[place]
                filled[place + 1] = filled[place]
                place += 1
            continue
        fits = True
        for k in range(d):
            fits &= filled[place, k] + heavy[place, k] <= capacity[k]
        chosen[place] = fits
        profit[place + 1], room[place + 1] = profit[place], room[place]
        filled[place + 1] = filled[place]
        if fits:
            j = order[place]
            profit[place + 1] += gain[j]
            room[place + 1] -= surrogate[j]
            for k in range(d):
                filled[place + 1, k] += heavy[place, k]
        place += 1
    for place in range(m):
        if best_chosen[place]:
            y[row, items[order[place]]] = 1.0
    return proven
