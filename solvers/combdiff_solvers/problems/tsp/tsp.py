"""The shortest round trip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.compute.threads import check_threads, for_rows
from combdiff_solvers.compute.unit_rows import unit_rows
from combdiff_solvers.problems.tsp.tour_kernels import tours
from combdiff_solvers.protocol import BatchSolver, Sense, Solutions, Solver, Status

__all__ = ["TravelingSalesman"]

Method = Literal["kernel", "cp_sat", "heuristic"]


class TravelingSalesman(BatchSolver):
    """The shortest (or longest) round trip through all cities, as a 0/1 vector over the pairs of cities.

    Solves min (or max) ⟨θ, y⟩ over the Hamiltonian cycles of the complete graph of `cities` vertices. θ holds the
    length of each pair i < j in the order of `numpy.triu_indices(cities, 1)`, which is `self.edges`; it need not be a
    metric, and may be negative.

    - `"kernel"` (default): branch and bound with the 1-tree bound of Held and Karp and elimination of edges, over the
      batch by threads. Exact up to 1e-12 · cities · max|θ|; 50 cities take about 10 ms. A row that takes more than
      `nodes` nodes ends as FEASIBLE with the best tour found.
    - `"cp_sat"`: a circuit constraint in OR-Tools' CP-SAT (`CpSatModel` says how exact it is); slower by far, and
      independent.
    - `"heuristic"`: the best of several nearest-neighbour tours after 2-opt and Or-opt moves. Its status is always
      FEASIBLE: it is within a few percent of the optimum, and no proof is tried.

    Args:
        cities: their number, at least 3.
        sense: "min" or "max".
        method: "kernel", "cp_sat" or "heuristic".
        starts: tours that the local search begins from (the kernel uses it too).
        nodes: most nodes of the kernel for each row; about 0.2 ms each at 50 cities.
        time_limit: seconds for each row with CP-SAT; None for no limit.
        threads: how many rows the kernel solves at a time; every core if None.

    Raises:
        ValueError: for fewer than 3 cities, or any other value that makes no sense.
        ImportError: when CP-SAT is asked for and OR-Tools is not installed.

    Source: M. Held and R. M. Karp (1971), "The traveling-salesman problem and minimum spanning trees: part II";
    T. Volgenant and R. Jonker (1982).

    >>> square = TravelingSalesman(4)
    >>> square.edges.tolist()
    [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    >>> square.solve(np.array([[1.0, 1.4, 1.0, 1.0, 1.4, 1.0]])).y
    array([[1., 0., 1., 1., 0., 1.]])
    """

    def __init__(
        self,
        cities: int,
        sense: Sense | str = Sense.MIN,
        method: Method = "kernel",
        starts: int = 10,
        nodes: int = 100_000,
        time_limit: float | None = None,
        threads: int | None = None,
    ) -> None:
        if cities < 3:
            raise ValueError(f"cities={cities} must be at least 3 for a round trip")
        if method not in get_args(Method):
            raise ValueError(f"method={method!r} is none of {', '.join(map(repr, get_args(Method)))}")
        if starts < 1 or nodes < 1:
            raise ValueError(f"starts={starts} and nodes={nodes} must be at least 1")
        self.cities = cities
        self.edges = np.stack(np.triu_indices(cities, 1), axis=1)
        self.shape: tuple[int, ...] = (len(self.edges),)
        self.sense = Sense(sense)
        self.method: Method = method
        self.starts = starts
        self.nodes = nodes
        self.time_limit = time_limit
        self.threads = check_threads(threads)
        self._circuit: Solver | None = self._as_circuit() if method == "cp_sat" else None

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        if self._circuit is not None:
            return self._circuit.solve(theta)
        batch, n = len(theta), self.cities
        low, high = self.edges.T
        cost = np.zeros((batch, n, n))
        cost[:, low, high] = cost[:, high, low] = self.sense.sign * unit_rows(theta)
        order, status = np.zeros((batch, n), dtype=np.int64), np.zeros(batch, dtype=np.uint8)
        nodes = 0 if self.method == "heuristic" else self.nodes
        for_rows(tours, batch, cost, self.starts, nodes, order, status, threads=self.threads)
        used = np.zeros((batch, n, n))
        used[np.arange(batch)[:, None], order, np.roll(order, -1, axis=1)] = 1.0
        y = used[:, low, high] + used[:, high, low]
        reason = (
            "a heuristic's tour: use method='kernel' for a proof"
            if self.method == "heuristic"
            else f"not proven optimal within {self.nodes} nodes: raise nodes"
        )
        return Solutions.from_y(
            y,
            theta,
            self.sense,
            status,
            {int(row): reason for row in np.flatnonzero(status == Status.FEASIBLE)},
            tolerance=1e-12 * self.cities,
        )

    def _as_circuit(self) -> Solver:
        try:
            from ortools.sat.python import cp_model

            from combdiff_solvers.models.cp_sat import wrap_cp_sat
        except ImportError as missing:
            raise ImportError(
                f"method='cp_sat' needs OR-Tools: pip install 'combdiff[ortools]' ({missing})"
            ) from missing
        model = cp_model.CpModel()
        used, arcs = [], []
        for i, j in self.edges.tolist():
            there, back = model.new_bool_var(""), model.new_bool_var("")
            arcs += [(i, j, there), (j, i, back)]
            either = model.new_bool_var("")
            model.add(there + back == either)
            used.append(either)
        model.add_circuit(arcs)
        return wrap_cp_sat(model, used, sense=self.sense, time_limit=self.time_limit)
