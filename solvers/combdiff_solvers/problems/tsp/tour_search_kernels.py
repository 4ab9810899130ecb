"""Good tours quickly: nearest neighbours from several vertices, improved by 2-opt and Or-opt moves."""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel


@kernel()
def _length(cost: Array, tour: Array) -> float:
    total = cost[tour[-1], tour[0]]
    for place in range(len(tour) - 1):
        total += cost[tour[place], tour[place + 1]]
    return total


@kernel()
def _nearest_neighbours(cost: Array, start: int, tour: Array) -> None:
    n = len(cost)
    seen = np.zeros(n, dtype=np.uint8)
    at = start
    for place in range(n):
        tour[place] = at
        seen[at] = 1
        following = -1
        for j in range(n):
            if not seen[j] and (following < 0 or cost[at, j] < cost[at, following]):
                following = j
        at = following


@kernel()
def _two_opt(cost: Array, tour: Array, least: float) -> bool:
    """Turn stretches of the tour round as long as that shortens it."""
    n = len(tour)
    changed = False
    for i in range(n - 1):
        for j in range(i + 2, n if i > 0 else n - 1):
            a, b, c, d = tour[i], tour[i + 1], tour[j], tour[(j + 1) % n]
            if cost[a, c] + cost[b, d] < cost[a, b] + cost[c, d] - least:
                tour[i + 1 : j + 1] = tour[i + 1 : j + 1][::-1].copy()
                changed = True
    return changed


@kernel()
def _or_opt(cost: Array, tour: Array, least: float) -> bool:
    """Move one to three vertices elsewhere, in either direction, as long as that shortens the tour."""
    n = len(tour)
    changed = False
    for size in range(1, min(3, n - 3) + 1):
        for start in range(n):
            head, tail = tour[start], tour[(start + size - 1) % n]
            before, after = tour[start - 1], tour[(start + size) % n]
            gain = cost[before, head] + cost[tail, after] - cost[before, after]
            best, place, turned = least, -1, False
            for step in range(size, n - 1):
                a, b = tour[(start + step) % n], tour[(start + step + 1) % n]
                plain = gain + cost[a, b] - cost[a, head] - cost[tail, b]
                round_ = gain + cost[a, b] - cost[a, tail] - cost[head, b]
                if max(plain, round_) > best:
                    best, place, turned = max(plain, round_), step, round_ > plain
            if place < 0:
                continue
            way = np.roll(tour, -start)
            if turned:
                way[:size] = way[:size][::-1].copy()
            tour[:] = np.concatenate((way[size : place + 1], way[:size], way[place + 1 :]))
            changed = True
    return changed


@kernel()
def best_local_tour(cost: Array, starts: int, tour: Array) -> float:
    """Write the best tour found from so many starting vertices; its length."""
    n = len(cost)
    least = 1e-12 * n * np.abs(cost).max()
    way = np.empty(n, dtype=np.int64)
    best = np.inf
    for start in range(min(starts, n)):
        _nearest_neighbours(cost, start * n // min(starts, n), way)
        while n > 3 and (_two_opt(cost, way, least) or _or_opt(cost, way, least)):
            continue
        length = _length(cost, way)
        if length < best:
            best = length
            tour[:] = way
    return best
