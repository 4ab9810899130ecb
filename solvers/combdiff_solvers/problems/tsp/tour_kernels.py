"""Tours by the 1-tree bound of Held and Karp, branch and bound. See `tsp` for what it means."""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel
from combdiff_solvers.problems.tsp.tour_search_kernels import best_local_tour

FREE, FORCED, FORBIDDEN = 0, 1, 2
ROOT_STEPS, STEPS = 300, 40  # of the subgradient method
SLACK = 1e-12  # times n · max|cost|: what a proof may be short of


@kernel()
def _one_tree(
    cost: Array, state: Array, price: Array, parent: Array, degree: Array, key: Array, inside: Array
) -> float:
    """The cheapest 1-tree under cost + prices that has every forced edge and no forbidden one; inf if there is none.

    A spanning tree of the vertices 1..n−1 by Prim's algorithm (`parent`; that of 1 is −1), and the two cheapest edges
    of vertex 0, whose ends are kept in `parent[0]` and `parent[n]`.
    """
    n = len(cost)
    degree[:] = 0
    inside[:] = 0
    key[:] = np.inf
    parent[:] = -1
    total = 0.0
    at = 1
    inside[1] = 1
    for _ in range(n - 2):
        nearest = np.inf
        following = -1
        for j in range(2, n):
            if inside[j]:
                continue
            kind = state[at, j]
            if kind == FORCED:
                key[j] = -np.inf
                parent[j] = at
            elif kind == FREE and key[j] != -np.inf:
                through = cost[at, j] + price[at] + price[j]
                if through < key[j]:
                    key[j] = through
                    parent[j] = at
            if key[j] < nearest:
                nearest = key[j]
                following = j
        if following < 0:
            return np.inf
        at = following
        inside[at] = 1
        total += cost[at, parent[at]] + price[at] + price[parent[at]]
        degree[at] += 1
        degree[parent[at]] += 1
    for slot in (0, n):
        nearest = np.inf
        for j in range(1, n):
            if state[0, j] == FORBIDDEN or (slot == n and j == parent[0]):
                continue
            through = -np.inf if state[0, j] == FORCED else cost[0, j] + price[0] + price[j]
            if through < nearest:
                nearest = through
                parent[slot] = j
        if parent[slot] < 0:
            return np.inf
        j = parent[slot]
        total += cost[0, j] + price[0] + price[j]
        degree[j] += 1
    degree[0] = 2
    return total - 2.0 * price.sum()


@kernel()
def _ascend(
    cost: Array, state: Array, price: Array, upper: float, steps: int, slack: float,
    parent: Array, degree: Array, key: Array, inside: Array,
) -> float:  # fmt: skip
    """Raise the bound by subgradient steps; leaves the best prices in `price` and their 1-tree in `parent`."""
    n = len(cost)
    here, before = price.copy(), np.zeros(n)
    best = -np.inf
    scale = 1.0 if steps < ROOT_STEPS else 2.0
    stalled = 0
    for _ in range(steps):
        bound = _one_tree(cost, state, here, parent, degree, key, inside)
        if bound > best:
            best = bound
            price[:] = here
            stalled = 0
        else:
            stalled += 1
            if stalled > 4:
                scale *= 0.7
                stalled = 0
        norm = 0.0
        for i in range(n):
            norm += (degree[i] - 2.0) ** 2
        if best >= upper - slack or norm == 0.0:
            break
        step = scale * max(upper - bound, slack) / norm
        for i in range(n):
            here[i] += step * (0.7 * (degree[i] - 2.0) + 0.3 * before[i])
            before[i] = degree[i] - 2.0
    return _one_tree(cost, state, price, parent, degree, key, inside) if best < np.inf else best


@kernel()
def _settle(state: Array) -> bool:
    """Draw the conclusions: two forced edges forbid the others, two edges left are forced; False if no tour is left."""
    n = len(state)
    again = True
    while again:
        again = False
        for i in range(n):
            forced = open_ = 0
            for j in range(n):
                if j != i:
                    forced += state[i, j] == FORCED
                    open_ += state[i, j] != FORBIDDEN
            if forced > 2 or open_ < 2:
                return False
            if (forced == 2 and open_ > 2) or (open_ == 2 and forced < 2):
                again = True
                for j in range(n):
                    if j != i and state[i, j] == FREE:
                        state[i, j] = state[j, i] = FORBIDDEN if forced == 2 else FORCED
    return True


@kernel()
def _eliminate(cost: Array, state: Array, price: Array, parent: Array, bound: float, upper: float, most: Array) -> None:
    """Forbid the edges whose exchange into the 1-tree would lift the bound to `upper`.

    `most[i, j]` is the dearest free edge on the tree's way from i to j.
    """
    n = len(cost)
    last = cost[0, parent[n]] + price[0] + price[parent[n]]
    if state[0, parent[n]] != FORCED:
        for j in range(1, n):
            outside = state[0, j] == FREE and j != parent[0] and j != parent[n]
            if outside and bound + cost[0, j] + price[0] + price[j] - last > upper:
                state[0, j] = state[j, 0] = FORBIDDEN
    placed = np.zeros(n, dtype=np.uint8)
    placed[1] = 1
    order = np.empty(n - 1, dtype=np.int64)
    order[0] = 1
    size = 1
    for vertex in range(2, n):
        v = vertex
        chain = 0
        while not placed[v]:  # climb to the part that is done, then come back down
            chain += 1
            v = parent[v]
        for depth in range(chain, 0, -1):
            v = vertex
            for _ in range(depth - 1):
                v = parent[v]
            p = parent[v]
            edge = -np.inf if state[v, p] == FORCED else cost[v, p] + price[v] + price[p]
            for place in range(size):
                u = order[place]
                most[u, v] = most[v, u] = edge if u == p else max(most[u, p], edge)
            order[size] = v
            size += 1
            placed[v] = 1
    for i in range(1, n):
        for j in range(i + 1, n):
            outside = state[i, j] == FREE and parent[i] != j and parent[j] != i
            if outside and bound + cost[i, j] + price[i] + price[j] - most[i, j] > upper:
                state[i, j] = state[j, i] = FORBIDDEN


@kernel()
def tours(
    first: int,
    last: int,
    costs: Array,  # (b, n, n), symmetric
    starts: int,  # of the local search
    nodes: int,  # a row that takes more ends as FEASIBLE; 0 for the local search alone
    found: Array,  # (b, n): the vertices in the order of the tour
    status: Array,  # (b,)
) -> None:
    """Depth first; each node is bounded, its edges are thinned out, and a vertex of too high degree is branched on."""
    n = costs.shape[1]
    parent, degree, key = np.empty(n + 1, dtype=np.int64), np.empty(n, dtype=np.int64), np.empty(n)
    inside, most = np.empty(n, dtype=np.uint8), np.zeros((n, n))
    room = 64
    states, prices, bounds = np.empty((room, n, n), dtype=np.uint8), np.empty((room, n)), np.empty(room)
    for row in range(first, last):
        cost = costs[row]
        best = best_local_tour(cost, starts, found[row])
        if nodes == 0:
            status[row] = 1
            continue
        slack = SLACK * n * np.abs(cost).max()
        states[0] = FREE
        for i in range(n):
            states[0, i, i] = FORBIDDEN
        prices[0] = 0.0
        bounds[0] = -np.inf
        size = 1
        visited = 0
        while size > 0:
            size -= 1
            if bounds[size] >= best - slack:
                continue
            visited += 1
            if visited > nodes:
                status[row] = 1  # FEASIBLE
                break
            state, price = states[size], prices[size]
            if not _settle(state):
                continue
            steps = ROOT_STEPS if visited == 1 else STEPS
            bound = _ascend(cost, state, price, best, steps, slack, parent, degree, key, inside)
            if bound >= best - slack:
                continue
            if degree.max() == 2:  # a 1-tree without branches is a tour
                length = _take_tour(cost, parent, found[row], best)
                best = min(best, length)
                continue
            _eliminate(cost, state, price, parent, bound, best - slack, most)
            # Branch at the vertex with the most edges, on its dearest free one: without it, and with it.
            at = np.argmax(degree)
            dearest, other = -np.inf, -1
            for j in range(n):
                in_tree = (j > 0 and at > 0 and (parent[j] == at or parent[at] == j)) or (
                    j == 0 and (parent[0] == at or parent[n] == at)
                )
                if in_tree and state[at, j] == FREE and cost[at, j] + price[at] + price[j] > dearest:
                    dearest = cost[at, j] + price[at] + price[j]
                    other = j
            if size + 2 > room:
                states = np.concatenate((states, np.empty_like(states)))
                prices = np.concatenate((prices, np.empty_like(prices)))
                bounds = np.concatenate((bounds, np.empty_like(bounds)))
                room *= 2
            states[size + 1] = states[size]
            prices[size + 1] = prices[size]
            bounds[size] = bounds[size + 1] = bound
            states[size, at, other] = states[size, other, at] = FORCED
            states[size + 1, at, other] = states[size + 1, other, at] = FORBIDDEN
            size += 2


@kernel()
def _take_tour(cost: Array, parent: Array, tour: Array, best: float) -> float:
    """Keep the tour that a 1-tree is, if it is shorter than the best; its length."""
    n = len(cost)
    near = np.full((n, 2), -1, dtype=np.int64)
    for v in range(2, n + 2):
        a, b = (v, parent[v]) if v < n else (0, parent[0] if v == n else parent[n])
        near[a, 0 if near[a, 0] < 0 else 1] = b
        near[b, 0 if near[b, 0] < 0 else 1] = a
    way = np.zeros(n, dtype=np.int64)
    length = 0.0
    for step in range(1, n):
        v = way[step - 1]
        back = way[step - 2] if step > 1 else near[0, 1]
        way[step] = near[v, 0] if near[v, 0] != back else near[v, 1]
        length += cost[v, way[step]]
    length += cost[way[n - 1], 0]
    if length < best:
        tour[:] = way
    return length
