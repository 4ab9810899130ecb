"""Perfect matchings of general graphs by the primal-dual blossom algorithm. See `matching` for what it means.

Vertices are 1..n and blossoms n+1..; 0 is nobody. A blossom keeps for every other vertex or blossom x its tightest edge
to x (`end_a[b, x]`, `end_b[b, x]`: the vertices inside and outside). All numbers are integers, so "tight" is exact.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

UNSEEN, OUTER, INNER = -1, 0, 1
MAX = np.iinfo(np.int64).max

Array = Any  # numba compiles these functions


class Forest(NamedTuple):
    """The state of the search; N is one more than the number of vertices and possible blossoms."""

    weight: Array  # (n + 1, n + 1), to be maximised
    end_a: Array  # (N, N); 0 where there is no edge
    end_b: Array  # (N, N)
    dual: Array  # (N,)
    mate: Array  # (N,): the vertex outside that it is matched to
    tightest: Array  # (N,): the outer vertex with the least slack to it
    top: Array  # (N,): the outermost blossom it lies in, 0 for a blossom that is not in use
    parent: Array  # (N,): the vertex of the tree that it was reached from
    label: Array  # (N,)
    mark: Array  # (N,)
    child_with: Array  # (N, n + 1): the child of a blossom that has a vertex
    children: Array  # (N, n + 1), in the order of the cycle, the base first
    count: Array  # (N,): how many
    queue: Array  # (N * 4,)
    ends: Array  # (4,): head and tail of the queue, the highest number in use, and the clock of the marks
    stack: Array  # (N * 4,)


@njit(nogil=True, cache=True)
def _slack(f: Forest, a: int, b: int) -> int:
    u, v = f.end_a[a, b], f.end_b[a, b]
    return f.dual[u] + f.dual[v] - 2 * f.weight[u, v]


@njit(nogil=True, cache=True)
def _offer(f: Forest, u: int, x: int) -> None:
    if f.tightest[x] == 0 or _slack(f, u, x) < _slack(f, f.tightest[x], x):
        f.tightest[x] = u


@njit(nogil=True, cache=True)
def _find_tightest(f: Forest, x: int) -> None:
    f.tightest[x] = 0
    for u in range(1, len(f.weight)):
        if f.end_a[u, x] and f.top[u] != x and f.label[f.top[u]] == OUTER:
            _offer(f, u, x)


@njit(nogil=True, cache=True)
def _enqueue(f: Forest, x: int) -> None:
    """All vertices in x."""
    f.stack[0] = x
    size = 1
    while size:
        size -= 1
        x = f.stack[size]
        if x < len(f.weight):
            f.queue[f.ends[1]] = x
            f.ends[1] += 1
        else:
            for place in range(f.count[x] - 1, -1, -1):
                f.stack[size] = f.children[x, place]
                size += 1


@njit(nogil=True, cache=True)
def _put_in(f: Forest, x: int, blossom: int) -> None:
    """Everything in x lies in the blossom now."""
    f.stack[0] = x
    size = 1
    while size:
        size -= 1
        x = f.stack[size]
        f.top[x] = blossom
        if x >= len(f.weight):
            for place in range(f.count[x]):
                f.stack[size] = f.children[x, place]
                size += 1


@njit(nogil=True, cache=True)
def _turn(f: Forest, blossom: int, first: int, last: int) -> None:
    """Reverse the children first..last−1."""
    last -= 1
    while first < last:
        f.children[blossom, first], f.children[blossom, last] = f.children[blossom, last], f.children[blossom, first]
        first += 1
        last -= 1


@njit(nogil=True, cache=True)
def _even_place(f: Forest, blossom: int, child: int) -> int:
    """The place of a child, after turning the cycle so that it is at an even distance from the base."""
    place = 0
    while f.children[blossom, place] != child:
        place += 1
    if place % 2:
        _turn(f, blossom, 1, f.count[blossom])
        return int(f.count[blossom] - place)
    return place


@njit(nogil=True, cache=True)
def _match(f: Forest, u: int, v: int) -> None:
    """Match u (a vertex or blossom) over its edge to v, and all within it."""
    f.stack[0], f.stack[1] = u, v
    size = 2
    while size:
        size -= 2
        u, v = f.stack[size], f.stack[size + 1]
        f.mate[u] = f.end_b[u, v]
        if u < len(f.weight):
            continue
        child = f.child_with[u, f.end_a[u, v]]
        place = _even_place(f, u, child)
        for i in range(place):
            f.stack[size], f.stack[size + 1] = f.children[u, i], f.children[u, i ^ 1]
            size += 2
        f.stack[size], f.stack[size + 1] = child, v
        size += 2
        # The child becomes the base: rotate by three reversals.
        _turn(f, u, 0, place)
        _turn(f, u, place, f.count[u])
        _turn(f, u, 0, f.count[u])


@njit(nogil=True, cache=True)
def _augment(f: Forest, u: int, v: int) -> None:
    while True:
        following = f.top[f.mate[u]]
        _match(f, u, v)
        if following == 0:
            return
        _match(f, following, f.top[f.parent[following]])
        u, v = f.top[f.parent[following]], following


@njit(nogil=True, cache=True)
def _meeting(f: Forest, u: int, v: int) -> int:
    """The first common ancestor of two outer ones; 0 if they are in different trees."""
    f.ends[3] += 1
    while u or v:
        if u:
            if f.mark[u] == f.ends[3]:
                return u
            f.mark[u] = f.ends[3]
            u = f.top[f.mate[u]]
            if u:
                u = f.top[f.parent[u]]
        u, v = v, u
    return 0


@njit(nogil=True, cache=True)
def _add_blossom(f: Forest, u: int, base: int, v: int) -> None:
    n = len(f.weight) - 1
    b = n + 1
    while b <= f.ends[2] and f.top[b]:
        b += 1
    f.ends[2] = max(f.ends[2], b)
    f.dual[b] = 0
    f.label[b] = OUTER
    f.mate[b] = f.mate[base]
    f.children[b, 0] = base
    count = 1
    for side in range(2):
        x = u if side == 0 else v
        while x != base:
            inner = f.top[f.mate[x]]
            f.children[b, count], f.children[b, count + 1] = x, inner
            count += 2
            _enqueue(f, inner)
            x = f.top[f.parent[inner]]
        if side == 0:
            f.count[b] = count
            _turn(f, b, 1, count)
    f.count[b] = count
    _put_in(f, b, b)
    for x in range(1, f.ends[2] + 1):
        f.end_a[b, x] = f.end_a[x, b] = 0
    f.child_with[b, :] = 0
    for place in range(count):
        child = f.children[b, place]
        for x in range(1, f.ends[2] + 1):
            if f.end_a[child, x] and (f.end_a[b, x] == 0 or _slack(f, child, x) < _slack(f, b, x)):
                f.end_a[b, x], f.end_b[b, x] = f.end_a[child, x], f.end_b[child, x]
                f.end_a[x, b], f.end_b[x, b] = f.end_b[child, x], f.end_a[child, x]
        for x in range(1, n + 1):
            if (child <= n and child == x) or (child > n and f.child_with[child, x]):
                f.child_with[b, x] = child
    _find_tightest(f, b)


@njit(nogil=True, cache=True)
def _expand(f: Forest, b: int) -> None:
    """Dissolve an inner blossom whose dual is zero."""
    for place in range(f.count[b]):
        _put_in(f, f.children[b, place], f.children[b, place])
    entry = f.child_with[b, f.end_a[b, f.parent[b]]]
    place = _even_place(f, b, entry)
    for i in range(0, place, 2):
        inner, outer = f.children[b, i], f.children[b, i + 1]
        f.parent[inner] = f.end_a[outer, inner]
        f.label[inner], f.label[outer] = INNER, OUTER
        f.tightest[inner] = 0
        _find_tightest(f, outer)
        _enqueue(f, outer)
    f.label[entry] = INNER
    f.parent[entry] = f.parent[b]
    for i in range(place + 1, f.count[b]):
        f.label[f.children[b, i]] = UNSEEN
        _find_tightest(f, f.children[b, i])
    f.top[b] = 0


@njit(nogil=True, cache=True)
def _grow(f: Forest, a: int, b: int) -> bool:
    """Use a tight edge from an outer vertex; whether the matching grew."""
    start, end = f.end_a[a, b], f.end_b[a, b]
    u, v = f.top[start], f.top[end]
    if f.label[v] == UNSEEN:
        f.parent[v] = start
        f.label[v] = INNER
        beyond = f.top[f.mate[v]]
        f.tightest[v] = f.tightest[beyond] = 0
        f.label[beyond] = OUTER
        _enqueue(f, beyond)
    elif f.label[v] == OUTER:
        base = _meeting(f, u, v)
        if base == 0:
            _augment(f, u, v)
            _augment(f, v, u)
            return True
        _add_blossom(f, u, base, v)
    return False


@njit(nogil=True, cache=True)
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
            _enqueue(f, x)
    while True:
        while f.ends[0] < f.ends[1]:
            u = f.queue[f.ends[0]]
            f.ends[0] += 1
            if f.label[f.top[u]] == INNER:
                continue
            for v in range(1, n + 1):
                if f.end_a[u, v] and f.top[u] != f.top[v]:
                    if _slack(f, u, v) == 0:
                        if _grow(f, u, v):
                            return True
                    else:
                        _offer(f, u, f.top[v])
        step = MAX
        for x in range(1, f.ends[2] + 1):
            if f.top[x] == x:
                if x > n and f.label[x] == INNER:
                    step = min(step, f.dual[x] // 2)
                if f.tightest[x] and f.label[x] != INNER:
                    slack = _slack(f, f.tightest[x], x)
                    step = min(step, slack if f.label[x] == UNSEEN else slack // 2)
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
            if f.top[x] == x and u and f.top[u] != x and _slack(f, u, x) == 0 and _grow(f, u, x):
                return True
        for b in range(n + 1, f.ends[2] + 1):
            if f.top[b] == b and f.label[b] == INNER and f.dual[b] == 0:
                _expand(f, b)


@njit(nogil=True, cache=True)
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
        for x in range(1, n + 1):
            f.top[x] = x
            f.dual[x] = highest
        f.ends[2] = n
        f.ends[3] = 0
        pairs = 0
        while 2 * pairs < n and _phase(f):
            pairs += 1
        if 2 * pairs < n:
            status[row] = 2  # INFEASIBLE
            continue
        for u in range(1, n + 1):
            if f.mate[u] > u:
                y[row, edge[u, f.mate[u]]] = 1.0
