"""Quadratic functions of bits: QUBO and MaxCut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.compute.threads import check_threads, for_rows
from combdiff_solvers.compute.unit_rows import unit_rows
from combdiff_solvers.problems.edges import as_edges
from combdiff_solvers.problems.qubo_kernels import best_bits
from combdiff_solvers.protocol import BatchSolver, Sense, Solutions, Solver, rounding, row_products, solve_checked

__all__ = ["MaxCut", "Qubo"]

Backend = Literal["auto", "enumeration", "cp_sat"]
FEW = 16  # bits up to which "auto" enumerates: about a millisecond
MANY = 26  # bits up to which enumeration is allowed


class Qubo(BatchSolver):
    """Quadratic unconstrained binary optimisation, as a linear problem over the products of bits.

    Solves min (or max) xᵀ Θ x = ⟨Θ, y⟩ over y = x xᵀ, x ∈ {0, 1}ⁿ. θ and y are (n, n); the bits are y's diagonal. θ
    need not be symmetric: θᵢⱼ and θⱼᵢ price the same product.

    - `"enumeration"`: all 2ⁿ points by a Gray code, over the batch by threads. Exact up to 1e-12 · Σ|θ|.
    - `"cp_sat"`: OR-Tools' CP-SAT over the products as booleans (`CpSatModel` says how exact it is). Dense matrices of
      30 bits or more can take long: give a `time_limit`, and a row may end as FEASIBLE.
    - `"auto"` (default): enumeration up to 16 bits, CP-SAT above.

    Args:
        bits: n.
        sense: "min" or "max".
        backend: "auto", "enumeration" (at most 26 bits) or "cp_sat".
        time_limit: seconds for each row with CP-SAT; None for no limit.
        threads: how many rows are enumerated at a time; every core if None.

    Raises:
        ValueError: for no bits, or more than can be enumerated.
        ImportError: when CP-SAT is needed and OR-Tools is not installed.

    >>> Qubo(2).solve(np.array([[-1.0, 3.0, 0.0, -2.0]])).y.reshape(2, 2)
    array([[0., 0.],
           [0., 1.]])
    """

    def __init__(
        self,
        bits: int,
        sense: Sense | str = Sense.MIN,
        backend: Backend = "auto",
        time_limit: float | None = None,
        threads: int | None = None,
    ) -> None:
        if bits < 1:
            raise ValueError(f"bits={bits} must be at least 1")
        self.shape: tuple[int, ...] = (bits, bits)
        self.sense = Sense(sense)
        self.backend = _choose(backend, bits)
        self.threads = check_threads(threads)
        self._pairs = np.stack(np.triu_indices(bits), axis=1)
        self._model: Solver | None = None
        if self.backend == "cp_sat":
            self._model = _products(bits, self._pairs, self.sense, time_limit)

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        n = self.shape[0]
        square = theta.reshape(-1, n, n)
        if self._model is None:
            square = unit_rows(theta).reshape(-1, n, n)
            bits = _enumerate(0.5 * self.sense.sign * (square + square.swapaxes(1, 2)), self.threads)
            y = (bits[:, :, None] * bits[:, None, :]).reshape(theta.shape)
            return Solutions.from_y(y, theta, self.sense, tolerance=1e-12)
        i, j = self._pairs.T
        huge = np.abs(theta).max(axis=1, initial=0.0) > np.finfo(np.float64).max / 4  # θᵢⱼ + θⱼᵢ could overflow
        square = np.where(huge[:, None, None], square / 4, square)
        once = np.where(i == j, square[:, i, j], square[:, i, j] + square[:, j, i])
        found = solve_checked(self._model, np.ascontiguousarray(once), None)
        y = np.empty_like(square)
        y[:, i, j] = y[:, j, i] = found.y
        messages = {row: said + " (for theta / 4)" if huge[row] else said for row, said in found.messages.items()}
        y = y.reshape(theta.shape)
        with np.errstate(over="ignore"):
            bound = np.where(huge, 4.0 * found.bound, found.bound) - self.sense.sign * rounding(theta)
        return Solutions(y, row_products(theta, y), bound=bound, status=found.status, messages=messages)


class MaxCut(BatchSolver):
    """The heaviest (or lightest) cut of a graph, as a 0/1 vector over its edges: 1 where it is cut.

    Solves max (or min) ⟨θ, y⟩ over the cuts. θ may be negative; with θ ≥ 0 and sense "min" the empty cut is best. The
    back ends are those of `Qubo`, over the vertices but one (which side is which does not matter).

    Args:
        edges: (edges, 2) integers, the ends of each edge.
        vertices: number of vertices; the largest in `edges` + 1 if None.
        sense: "max" (default) or "min".
        backend: "auto", "enumeration" or "cp_sat".
        time_limit: seconds for each row with CP-SAT; None for no limit.
        threads: how many rows are enumerated at a time; every core if None.

    Raises:
        ValueError, ImportError: as `Qubo`, and for edges that are not pairs of vertices.

    >>> MaxCut([(0, 1), (1, 2), (0, 2)]).solve(np.array([[1.0, 3.0, 2.0]])).y
    array([[0., 1., 1.]])
    """

    def __init__(
        self,
        edges: ndarray | Sequence[tuple[int, int]],
        vertices: int | None = None,
        sense: Sense | str = Sense.MAX,
        backend: Backend = "auto",
        time_limit: float | None = None,
        threads: int | None = None,
    ) -> None:
        self.edges, self.vertices = as_edges(edges, vertices)
        self.shape: tuple[int, ...] = (len(self.edges),)
        self.sense = Sense(sense)
        self.backend = _choose(backend, self.vertices - 1)
        self.threads = check_threads(threads)
        self._model = _cuts(self.vertices, self.edges, self.sense, time_limit) if self.backend == "cp_sat" else None

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        if self._model is not None:
            return solve_checked(self._model, theta, None)
        u, v = self.edges.T
        weight = np.zeros((len(theta), self.vertices, self.vertices))
        rows = np.arange(len(theta))[:, None]
        cost = np.where(u == v, 0.0, self.sense.sign * unit_rows(theta))
        # θ · [x_u ≠ x_v] = θ · (x_u + x_v − 2 x_u x_v)
        for a, b, factor in ((u, u, 1.0), (v, v, 1.0), (u, v, -1.0), (v, u, -1.0)):
            np.add.at(weight, (rows, a, b), factor * cost)
        side = np.zeros((len(theta), self.vertices))
        if self.vertices > 1:
            side[:, 1:] = _enumerate(np.ascontiguousarray(weight[:, 1:, 1:]), self.threads)
        return Solutions.from_y(np.abs(side[:, u] - side[:, v]), theta, self.sense, tolerance=1e-12)


def _choose(backend: Backend, bits: int) -> Literal["enumeration", "cp_sat"]:
    if backend not in get_args(Backend):
        raise ValueError(f"backend={backend!r} is none of {', '.join(map(repr, get_args(Backend)))}")
    if backend == "enumeration" and bits > MANY:
        raise ValueError(f"{bits} bits have 2^{bits} points, too many to enumerate (at most {MANY}): use 'cp_sat'")
    if backend == "auto":
        return "enumeration" if bits <= FEW else "cp_sat"
    return backend


def _enumerate(cost: Float64[ndarray, "b n n"], threads: int | None) -> Float64[ndarray, "b n"]:
    bits = np.zeros(cost.shape[:2])
    for_rows(best_bits, len(cost), np.ascontiguousarray(cost), bits, threads=threads, grain=1 + (4096 >> cost.shape[1]))
    return bits


def _products(bits: int, pairs: ndarray, sense: Sense, time_limit: float | None) -> Solver:
    """CP-SAT over the products of bits i ≤ j."""
    cp_model, wrap_cp_sat = _cp_sat()
    model = cp_model.CpModel()
    x = [model.new_bool_var("") for _ in range(bits)]
    products = []
    for i, j in pairs.tolist():
        if i == j:
            products.append(x[i])
            continue
        both = model.new_bool_var("")
        model.add_bool_or([both, ~x[i], ~x[j]])
        model.add_implication(both, x[i])
        model.add_implication(both, x[j])
        products.append(both)
    found: Solver = wrap_cp_sat(model, products, sense=sense, time_limit=time_limit)
    return found


def _cuts(vertices: int, edges: ndarray, sense: Sense, time_limit: float | None) -> Solver:
    """CP-SAT over the edges of a cut, the first vertex on side 0."""
    cp_model, wrap_cp_sat = _cp_sat()
    model = cp_model.CpModel()
    side = [model.new_bool_var("") for _ in range(vertices)]
    model.add(side[0] == 0)
    cut = []
    for u, v in edges.tolist():
        apart = model.new_bool_var("")
        model.add_bool_xor([side[u], side[v], apart, True])
        cut.append(apart)
    found: Solver = wrap_cp_sat(model, cut, sense=sense, time_limit=time_limit)
    return found


def _cp_sat() -> tuple[Any, Any]:
    try:
        from ortools.sat.python import cp_model

        from combdiff_solvers.models.cp_sat import wrap_cp_sat
    except ImportError as missing:
        raise ImportError(f"backend='cp_sat' needs OR-Tools: pip install 'combdiff[ortools]' ({missing})") from missing
    return cp_model, wrap_cp_sat
