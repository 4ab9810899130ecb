"""Coordinate descent on unit vectors, and the linear system of its derivative by the same steps.

A step needs g_i = Σ_{j≠i} c_ij v_j. Steps are taken in blocks of four rows: one product of four rows of C with all of V
(tiles of 4 × 4 sums, which stay in registers), then the four steps in turn, each of which mends the g that are left. In
exact arithmetic this is one step after the other. V is kept transposed, so that sums run along contiguous memory.
"""

from typing import Any

import numpy as np

from combdiff_solvers.compute.kernels import Array, kernel

TILE = 4
LANES = 16  # rows are padded with zeros to a multiple
SUMS = {"reassoc", "contract", "nsz"}  # what vector sums need; NaN and infinity stay what they are


@kernel(counted=False, fastmath=SUMS)
def _products(count: int, i: int, c: Array, v: Array, g: Array) -> None:
    """g[r, t] = Σ_j c[i + r, j] v[t, j] for the four rows r and all t."""
    width = (count + LANES - 1) // LANES * LANES
    for t in range(0, v.shape[0], TILE):
        a00 = a01 = a02 = a03 = a10 = a11 = a12 = a13 = c.dtype.type(0)
        a20 = a21 = a22 = a23 = a30 = a31 = a32 = a33 = c.dtype.type(0)
        for j in range(width):
            c0, c1, c2, c3 = c[i, j], c[i + 1, j], c[i + 2, j], c[i + 3, j]
            v0, v1, v2, v3 = v[t, j], v[t + 1, j], v[t + 2, j], v[t + 3, j]
            a00 += c0 * v0
            a01 += c0 * v1
            a02 += c0 * v2
            a03 += c0 * v3
            a10 += c1 * v0
            a11 += c1 * v1
            a12 += c1 * v2
            a13 += c1 * v3
            a20 += c2 * v0
            a21 += c2 * v1
            a22 += c2 * v2
            a23 += c2 * v3
            a30 += c3 * v0
            a31 += c3 * v1
            a32 += c3 * v2
            a33 += c3 * v3
        g[0, t], g[0, t + 1], g[0, t + 2], g[0, t + 3] = a00, a01, a02, a03
        g[1, t], g[1, t + 1], g[1, t + 2], g[1, t + 3] = a10, a11, a12, a13
        g[2, t], g[2, t + 1], g[2, t + 2], g[2, t + 3] = a20, a21, a22, a23
        g[3, t], g[3, t + 1], g[3, t + 2], g[3, t + 3] = a30, a31, a32, a33


@kernel(counted=False)
def _gather(row: int, gram: Array, free: Array, index: Array, c: Array) -> int:
    """The free variables of a row into `index`, their part of C (without its diagonal) into c; how many there are."""
    count = 0
    for i in range(free.shape[1]):
        if free[row, i]:
            index[count] = i
            count += 1
    width = min((count + LANES - 1) // LANES * LANES, c.shape[1])
    height = min((count + TILE - 1) // TILE * TILE, c.shape[0])
    for a in range(height):
        for b in range(width):
            c[a, b] = gram[index[a], index[b]] if a < count and b < count and a != b else 0
    return count


@kernel()
def _scratch(gram: Array, k: int) -> Any:
    """index; c; v and b, transposed; g."""
    n = gram.shape[0]
    width, depth = (n + LANES - 1) // LANES * LANES, (k + TILE - 1) // TILE * TILE
    return (
        np.zeros(width, np.int64),
        np.zeros((width, width), gram.dtype),
        np.zeros((depth, width), gram.dtype),
        np.zeros((width, depth), gram.dtype),
        np.zeros((TILE, depth), gram.dtype),
    )


@kernel(counted=False, fastmath=SUMS)
def _descend(row: int, gram: Array, free: Array, vectors: Array, norms: Array, most: int, eps: float, room: Any) -> int:
    """One row of `descend`."""
    index, c, v, b, g = room
    n, k = vectors.shape[1], vectors.shape[2]
    count = _gather(row, gram, free, index, c)
    width = (count + LANES - 1) // LANES * LANES
    for a in range(count):
        for t in range(k):
            b[a, t] = 0
        for j in range(n):
            if not free[row, j]:
                weight = gram[index[a], j]
                for t in range(k):
                    b[a, t] += weight * vectors[row, j, t]
    for t in range(k):
        for a in range(width):
            v[t, a] = vectors[row, index[a], t] if a < count else 0
    first, sweeps = 0.0, 0
    while sweeps < most:
        sweeps += 1
        gained = 0.0
        for start in range(0, count, TILE):
            _products(count, start, c, v, g)
            for r in range(min(TILE, count - start)):
                i = start + r
                square = c.dtype.type(0)
                for t in range(k):
                    g[r, t] += b[i, t]
                    square += g[r, t] * g[r, t]
                norm = np.sqrt(square)
                norms[row, index[i]] = norm
                if norm == 0:
                    continue
                moved = c.dtype.type(0)
                for t in range(k):
                    new = -g[r, t] / norm
                    change = new - v[t, i]
                    v[t, i] = new
                    moved += change * change
                    for rest in range(r + 1, TILE):
                        g[rest, t] += c[start + rest, i] * change
                gained += norm * moved
        if sweeps == 1:
            first = gained
        elif gained <= eps * first:
            break
    for a in range(count):
        for t in range(k):
            vectors[row, index[a], t] = v[t, a]
    return sweeps


@kernel()
def descend(
    first: int, last: int, gram: Array, free: Array, vectors: Array, norms: Array, most: int, eps: float, sweeps: Array
) -> None:
    """Minimise Σ_ij c_ij ⟨v_i, v_j⟩ over the free unit vectors of the rows first..last−1.

    Args:
        gram: (n, n), C, symmetric; its diagonal counts for nothing.
        free: (rows, n), bool.
        vectors: (rows, n, k), V, unit vectors; the free ones are written.
        norms: (rows, n), written where free: ‖g_i‖ of the last step.
        most: sweeps over the free variables, at most.
        eps: a sweep ends the descent that gains at most this share of what the first one gained.
        sweeps: (rows,), written: how many there were.
    """
    room = _scratch(gram, vectors.shape[2])
    for row in range(first, last):
        sweeps[row] = _descend(row, gram, free, vectors, norms, most, eps, room)


@kernel(counted=False, fastmath=SUMS)
def _solve_adjoint(
    row: int, gram: Array, free: Array, vectors: Array, norms: Array, gradient: Array, adjoint: Array, most: int,
    eps: float, prox: float, room: Any,
) -> None:  # fmt: skip
    """One row of `solve_adjoint`."""
    index, c, u, v, g = room
    k = vectors.shape[2]
    count = _gather(row, gram, free, index, c)
    for a in range(count):
        for t in range(k):
            v[a, t] = vectors[row, index[a], t]
    for t in range(k):
        for a in range(u.shape[1]):
            u[t, a] = 0
    first = 0.0
    for sweep in range(most):
        gained = 0.0
        for start in range(0, count, TILE):
            _products(count, start, c, u, g)
            for r in range(min(TILE, count - start)):
                i = start + r
                norm = norms[row, index[i]] + prox
                if norm == 0:
                    continue
                along = c.dtype.type(0)
                for t in range(k):
                    g[r, t] += gradient[row, index[i], t]
                    along += g[r, t] * v[i, t]
                moved = c.dtype.type(0)
                for t in range(k):
                    new = (along * v[i, t] - g[r, t]) / norm
                    change = new - u[t, i]
                    u[t, i] = new
                    moved += change * change
                    for rest in range(r + 1, TILE):
                        g[rest, t] += c[start + rest, i] * change
                gained += norm * moved
        if sweep == 0:
            first = gained
        elif gained <= eps * first:
            break
    for a in range(count):
        for t in range(k):
            adjoint[row, index[a], t] = u[t, a]


@kernel()
def solve_adjoint(
    first: int, last: int, gram: Array, free: Array, vectors: Array, norms: Array, gradient: Array, adjoint: Array,
    most: int, eps: float, prox: float,
) -> None:  # fmt: skip
    """Solve (‖g_i‖ + prox) u_i = −P_i (∂L/∂v_i + Σ_{j≠i} c_ij u_j) with P_i = I − v_i v_iᵀ, over the free variables.

    Args:
        gram, free, vectors, norms, most, eps: as of `descend`, which has written the vectors.
        gradient: (rows, n, k), ∂L/∂V.
        adjoint: (rows, n, k), zero; written where free: U.
        prox: what the diagonal is raised by.
    """
    room = _scratch(gram, vectors.shape[2])
    for row in range(first, last):
        _solve_adjoint(row, gram, free, vectors, norms, gradient, adjoint, most, eps, prox, room)
