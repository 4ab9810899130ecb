"""The edges of a polyhedron at a vertex, by pivots between the bases of that vertex."""

from __future__ import annotations

from collections import deque

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

ZERO = 1e-9  # an entry of a tableau, or of a direction of length 1, that is none


def edges_at(
    tight: Float64[ndarray, "k n"],
    equations: Float64[ndarray, "e n"],
    loose: Float64[ndarray, "l n"],
    room: Float64[ndarray, " l"],
    most: int,
) -> tuple[Float64[ndarray, "j n"], bool]:
    """The edges at a vertex y, each as v − y for the vertex v at its other end, and whether they are all there.

    A direction d leads into the polyhedron where s = −tight d ≥ 0 and equations d = 0. A basis holds as many
    independent ones of the s as d has freedoms, at 0, and a tableau of the others and of d as functions of them.
    Raising one of them makes an edge if all others stay ≥ 0; else the vertex is degenerate, and a pivot with one of
    those that do not leads to another basis of it. Any two bases of a vertex are joined by pivots (as of a matroid),
    and each edge is seen from one of them, so that it is enough to visit all.

    Args:
        tight: constraints aᵢ x ≤ bᵢ that hold with equality at y.
        equations: those of A x = b.
        loose: the other constraints, and
        room: how far y is from them, bᵢ − ⟨aᵢ, y⟩ > 0.
        most: bases to visit; those that are left may hide edges.

    Returns:
        (j, n) edges, of largest entry 1 where nothing ends them (a ray of the polyhedron); and whether all bases were
        visited.

    Raises:
        ValueError: where y is no vertex.
    """
    tableau, basis = _first_basis(tight, equations)
    n, found, seen = tight.shape[1], dict[tuple[float, ...], ndarray](), {frozenset(basis)}
    others = [row for row in range(len(tight)) if row not in set(basis)]
    queue = deque([(tableau, basis, others)])
    visited = 0
    while queue and visited < most:
        tableau, basis, others = queue.popleft()
        visited += 1
        slacks = tableau[n:]
        for column in np.flatnonzero((slacks >= -ZERO).all(axis=0)).tolist():
            direction = tableau[:n, column]
            direction = direction / np.abs(direction).max()
            found.setdefault(tuple(np.round(direction, 7) + 0.0), direction)
        for row, column in np.argwhere(np.abs(slacks) > ZERO).tolist():
            exchanged = frozenset([*basis[:column], *basis[column + 1 :], others[row]])
            if exchanged not in seen and len(seen) < 8 * most:
                seen.add(exchanged)
                swapped = basis.copy(), others.copy()
                swapped[0][column], swapped[1][row] = others[row], basis[column]
                queue.append((_pivot(tableau, n + row, column), *swapped))
    edges = np.array(list(found.values())).reshape(-1, n)
    for edge in edges:
        speed = (loose * edge).sum(axis=1)
        ends = (speed > ZERO) & np.isfinite(room)
        if ends.any():
            edge *= (room[ends] / speed[ends]).min()
    return edges + 0.0, not queue


def _first_basis(tight: ndarray, equations: ndarray) -> tuple[ndarray, list[int]]:
    """d and the slacks of the other tight constraints as functions of those of a basis, by elimination.

    Rows of the system: equations d = 0, tight d + s = 0. Each d is solved for; what is left has slacks alone.
    """
    n, k = tight.shape[1], len(tight)
    system = np.zeros((len(equations) + k, n + k))
    system[: len(equations), :n] = equations
    system[len(equations) :, :n], system[len(equations) :, n:] = tight, np.eye(k)
    place = np.full(n, -1)
    free = np.ones(len(system), dtype=bool)
    for column in range(n):
        sizes = np.where(free, np.abs(system[:, column]), 0.0)
        row = int(sizes.argmax()) if len(sizes) else 0
        if not len(sizes) or sizes[row] <= ZERO:
            raise ValueError("it is no vertex: a line through it stays in the polyhedron")
        free[row], place[column] = False, row
        _eliminate(system, row, column)
    dependent = []  # slacks that the relations among them give
    for row in np.flatnonzero(free).tolist():
        column = int(np.abs(system[row, n:]).argmax())
        if k and abs(system[row, n + column]) > ZERO:
            _eliminate(system, row, n + column)
            dependent.append((row, column))
    basis = [column for column in range(k) if column not in {other for _, other in dependent}]
    rows = [*place.tolist(), *(row for row, _ in sorted(dependent, key=lambda pair: pair[1]))]
    return -system[np.ix_(rows, [n + column for column in basis])], basis


def _eliminate(system: ndarray, row: int, column: int) -> None:
    system[row] /= system[row, column]
    factors = system[:, column].copy()
    factors[row] = 0.0
    system -= factors[:, None] * system[row]


def _pivot(tableau: ndarray, row: int, column: int) -> ndarray:
    """The tableau after the variable of a row has changed places with that of a column."""
    by = tableau[row, column]
    line = -tableau[row] / by
    line[column] = 1.0 / by
    found: ndarray = tableau + tableau[:, column, None] * line
    found[:, column] = tableau[:, column] / by
    found[row] = line
    found[np.abs(found) <= ZERO * 1e-3] = 0.0
    return found
