"""The shortest round trip."""

from __future__ import annotations

from typing import Any, Literal, Unpack

import numpy as np

from combdiff_solvers.compute.sums import unit_rows
from combdiff_solvers.compute.threads import check_threads, for_rows
from combdiff_solvers.limits import LimitOptions
from combdiff_solvers.problems.backends import check_backend, solver_on_cp_sat
from combdiff_solvers.problems.tsp.tour_kernels import tours
from combdiff_solvers.protocol import BatchSolver, Rows, Sense, Sets, Solutions, Status, solve_checked

Backend = Literal["kernel", "cp_sat", "heuristic"]


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
        backend: "kernel", "cp_sat" or "heuristic".
        starts: tours that the local search begins from (the kernel uses it too).
        nodes: most nodes of the kernel for each row; about 0.2 ms each at 50 cities.
        threads: how many rows the kernel solves at a time; every core if None.
        limits: `time_limit`, `batch_time_limit`, `relative_gap` and `absolute_gap` of CP-SAT: see `Limits`.

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
        backend: Backend = "kernel",
        starts: int = 10,
        nodes: int = 100_000,
        threads: int | None = None,
        **limits: Unpack[LimitOptions],
    ) -> None:
        if cities < 3:
            raise ValueError(f"cities={cities} must be at least 3 for a round trip")
        check_backend(backend, Backend, limits, unlimited=("kernel", "heuristic"))
        if starts < 1 or nodes < 1:
            raise ValueError(f"starts={starts} and nodes={nodes} must be at least 1")
        self.cities, self.starts, self.nodes = cities, starts, nodes
        self.edges = np.stack(np.triu_indices(cities, 1), axis=1)
        self.shape, self.sense = (len(self.edges),), Sense(sense)
        self.backend: Backend = backend
        self.threads = check_threads(threads)
        self._model = solver_on_cp_sat(self._circuit, self.sense, limits) if backend == "cp_sat" else None

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        if self._model is not None:
            return solve_checked(self._model, theta, None)
        batch, n = len(theta), self.cities
        low, high = self.edges.T
        cost = np.zeros((batch, n, n))
        cost[:, low, high] = cost[:, high, low] = self.sense.sign * unit_rows(theta)
        order, status = np.zeros((batch, n), dtype=np.int64), np.zeros(batch, dtype=np.uint8)
        nodes, reason = self.nodes, f"not proven optimal within {self.nodes} nodes: raise nodes"
        if self.backend == "heuristic":
            nodes, reason = 0, "a heuristic's tour: use backend='kernel' for a proof"
        for_rows(tours, batch, cost, self.starts, nodes, order, status, threads=self.threads)
        used = np.zeros((batch, n, n))
        used[np.arange(batch)[:, None], order, np.roll(order, -1, axis=1)] = 1.0
        y = used[:, low, high] + used[:, high, low]
        messages = dict.fromkeys(np.flatnonzero(status == Status.FEASIBLE).tolist(), reason)
        return Solutions.from_y(y, theta, self.sense, status, messages, tolerance=1e-12 * n)

    def _circuit(self, cp_model: Any) -> tuple[Any, list[Any]]:
        """A model of the pairs of cities that a circuit uses in either direction."""
        model = cp_model.CpModel()
        used, arcs = [], []
        for i, j in self.edges.tolist():
            there, back, either = (model.new_bool_var("") for _ in range(3))
            arcs += [(i, j, there), (j, i, back)]
            model.add(there + back == either)
            used.append(either)
        model.add_circuit(arcs)
        return model, used
