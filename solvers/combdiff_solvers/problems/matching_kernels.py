"""Perfect matchings of general graphs by the primal-dual blossom algorithm. See `matching` for what it means."""

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel
from combdiff_solvers.problems.blossom_kernels import INNER, OUTER, UNSEEN, Forest, enqueue, expand, grow, offer, slack

MAX = np.iinfo(np.int64).max


@kernel()
def _phase(f: Forest) -> bool:
    """Make the matching one edge larger; False if it cannot be."""
    n = len(f.weight) - 1
    f.label[:] = UNSEEN
    f.tightest[:] = 0
    f.ends[0] = f.ends[1] = 0
    for x in range(1, f.ends[2] + 1):
        if f.top[x] == x and f.mate[x] == 0:
            f.parent[x] = 0
            f.label[x] = OUTER
            enqueue(f, x)
    while True:
        while f.ends[0] < f.ends[1]:
            u = f.queue[f.ends[0]]
            f.ends[0] += 1
            if f.label[f.top[u]] == INNER:
                continue
            for v in range(1, n + 1):
                if f.end_a[u, v] and f.top[u] != f.top[v]:
                    if slack(f, u, v) == 0:
                        if grow(f, u, v):
                            return True
                    else:
                        offer(f, u, f.top[v])
        step = MAX
        for x in range(1, f.ends[2] + 1):
            if f.top[x] == x:
                if x > n and f.label[x] == INNER:
                    step = min(step, f.dual[x] // 2)
                if f.tightest[x] and f.label[x] != INNER:
                    most = slack(f, f.tightest[x], x)
                    step = min(step, most if f.label[x] == UNSEEN else most // 2)
        if step == MAX:
            return False
        for u in range(1, n + 1):
            if f.label[f.top[u]] == OUTER:
                f.dual[u] -= step
            elif f.label[f.top[u]] == INNER:
                f.dual[u] += step
        for b in range(n + 1, f.ends[2] + 1):
            if f.top[b] == b and f.label[b] != UNSEEN:
                f.dual[b] += 2 * step if f.label[b] == OUTER else -2 * step
        f.ends[0] = f.ends[1] = 0
        for x in range(1, f.ends[2] + 1):
            u = f.tightest[x]
            if f.top[x] == x and u and f.top[u] != x and slack(f, u, x) == 0 and grow(f, u, x):
                return True
        for b in range(n + 1, f.ends[2] + 1):
            if f.top[b] == b and f.label[b] == INNER and f.dual[b] == 0:
                expand(f, b)


@kernel()
def matchings(
    first: int,
    last: int,
    cost: Array,  # (b, edges) int64
    edges: Array,  # (edges, 2)
    vertices: int,
    y: Array,  # (b, edges), zero
    status: Array,  # (b,)
) -> None:
    """The cheapest perfect matching of each row."""
    n = vertices
    size = n + n // 2 + 2
    end_a, end_b = np.zeros((size, size), dtype=np.int64), np.zeros((size, size), dtype=np.int64)
    edge = np.empty((n + 1, n + 1), dtype=np.int64)
    f = Forest(
        np.zeros((n + 1, n + 1), dtype=np.int64), end_a, end_b, np.zeros(size, dtype=np.int64),
        np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64),
        np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64),
        np.zeros((size, n + 1), dtype=np.int64), np.zeros((size, n + 1), dtype=np.int64),
        np.zeros(size, dtype=np.int64), np.zeros(4 * size, dtype=np.int64), np.zeros(4, dtype=np.int64),
        np.zeros(4 * size, dtype=np.int64),
    )  # fmt: skip
    for row in range(first, last):
        end_a[:] = 0
        highest = -MAX
        for number in range(len(edges)):
            u, v = edges[number, 0] + 1, edges[number, 1] + 1
            gain = -cost[row, number]
            if u != v and (end_a[u, v] == 0 or gain > f.weight[u, v]):
                f.weight[u, v] = f.weight[v, u] = gain
                edge[u, v] = edge[v, u] = number
                end_a[u, v], end_b[u, v] = u, v
                end_a[v, u], end_b[v, u] = v, u
                highest = max(highest, gain)
        f.mate[:] = 0
        f.mark[:] = 0
        f.top[:] = 0
        f.top[: n + 1] = np.arange(n + 1)
        f.dual[: n + 1] = highest
        f.ends[2], f.ends[3] = n, 0
        pairs = 0
        while 2 * pairs < n and _phase(f):
            pairs += 1
        if 2 * pairs < n:
            status[row] = 2  # INFEASIBLE
            continue
        for u in range(1, n + 1):
            if f.mate[u] > u:
                y[row, edge[u, f.mate[u]]] = 1.0
