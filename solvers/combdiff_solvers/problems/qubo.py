"""Quadratic functions of bits: QUBO and MaxCut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Unpack

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.compute.sums import rounding, row_products, unit_rows
from combdiff_solvers.compute.threads import check_threads, for_rows
from combdiff_solvers.limits import LimitOptions
from combdiff_solvers.problems.backends import check_backend, solver_on_cp_sat
from combdiff_solvers.problems.edges import EdgeSolver
from combdiff_solvers.problems.qubo_kernels import best_bits
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions, solve_checked

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
        threads: how many rows are enumerated at a time; every core if None.
        limits: `time_limit`, `batch_time_limit`, `relative_gap` and `absolute_gap` of CP-SAT: see `Limits`.

    Raises:
        ValueError: for no bits, or more than can be enumerated, or limits of an enumeration.
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
        threads: int | None = None,
        **limits: Unpack[LimitOptions],
    ) -> None:
        if bits < 1:
            raise ValueError(f"bits={bits} must be at least 1")
        self.shape, self.sense = (bits, bits), Sense(sense)
        self.backend, self.threads = _choose(backend, bits, limits), check_threads(threads)
        self._pairs = np.stack(np.triu_indices(bits), axis=1)
        self._model = solver_on_cp_sat(self._products, self.sense, limits) if self.backend == "cp_sat" else None

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
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

    def _products(self, cp_model: Any) -> tuple[Any, list[Any]]:
        """A model of the products of bits i ≤ j."""
        model = cp_model.CpModel()
        x = [model.new_bool_var("") for _ in range(self.shape[0])]
        products = []
        for i, j in self._pairs.tolist():
            both = x[i] if i == j else model.new_bool_var("")
            if i != j:
                model.add_bool_or([both, ~x[i], ~x[j]])
                model.add_implication(both, x[i])
                model.add_implication(both, x[j])
            products.append(both)
        return model, products


class MaxCut(EdgeSolver):
    """The heaviest (or lightest) cut of a graph, as a 0/1 vector over its edges: 1 where it is cut.

    Solves max (or min) ⟨θ, y⟩ over the cuts. θ may be negative; with θ ≥ 0 and sense "min" the empty cut is best. The
    back ends are those of `Qubo`, over the vertices but one (which side is which does not matter).

    Args:
        edges: (edges, 2) integers, the ends of each edge.
        vertices: number of vertices; the largest in `edges` + 1 if None.
        sense: "max" (default) or "min".
        backend, threads, limits: as for `Qubo`.

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
        threads: int | None = None,
        **limits: Unpack[LimitOptions],
    ) -> None:
        super().__init__(edges, vertices, sense, threads)
        self.backend = _choose(backend, self.vertices - 1, limits)
        self._model = solver_on_cp_sat(self._cuts, self.sense, limits) if self.backend == "cp_sat" else None

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
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
            side[:, 1:] = _enumerate(weight[:, 1:, 1:], self.threads)
        return Solutions.from_y(np.abs(side[:, u] - side[:, v]), theta, self.sense, tolerance=1e-12)

    def _cuts(self, cp_model: Any) -> tuple[Any, list[Any]]:
        """A model of the edges of a cut, the first vertex on side 0."""
        model = cp_model.CpModel()
        side = [model.new_bool_var("") for _ in range(self.vertices)]
        model.add(side[0] == 0)
        cut = [model.new_bool_var("") for _ in self.edges]
        for (u, v), apart in zip(self.edges.tolist(), cut, strict=True):
            model.add_bool_xor([side[u], side[v], apart, True])
        return model, cut


def _choose(backend: Backend, bits: int, limits: LimitOptions) -> Backend:
    check_backend(backend, Backend, limits, unlimited=("enumeration",))
    if backend == "enumeration" and bits > MANY:
        raise ValueError(f"{bits} bits have 2^{bits} points, too many to enumerate (at most {MANY}): use 'cp_sat'")
    return backend if backend != "auto" else "enumeration" if bits <= FEW else "cp_sat"


def _enumerate(cost: Float64[ndarray, "b n n"], threads: int | None) -> Rows:
    bits = np.zeros(cost.shape[:2])
    for_rows(best_bits, len(cost), np.ascontiguousarray(cost), bits, threads=threads, grain=1 + (4096 >> cost.shape[1]))
    return bits
