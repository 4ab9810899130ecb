"""Shortest paths on grids (vertex costs) and directed graphs (edge costs), a whole batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy import ndarray

from combdiff_solvers.compute.sums import exponents, row_products, unit_rows
from combdiff_solvers.compute.threads import check_threads
from combdiff_solvers.instances import select
from combdiff_solvers.problems.shortest_path.found import CLAMP, EXACT, HUGE, REFUSE, Found
from combdiff_solvers.problems.shortest_path.graph import GraphPaths
from combdiff_solvers.problems.shortest_path.grid import GridPaths
from combdiff_solvers.protocol import BatchSolver, Row, Rows, Sense, Sets, Solutions, Status

Negative = Literal["raise", "clamp", "exact"]


class ShortestPath(BatchSolver):
    """The cheapest path from a start to a goal, as a 0/1 vector over the vertices or edges it uses.

    Make it by `ShortestPath.grid` (a cost a vertex, 4 or 8 neighbours; the start and the goal are paid for) or
    by `ShortestPath.graph` (a cost an edge of a directed graph).

    Negative costs: Dijkstra's search is wrong with them, so `negative` says what happens to a row that has any:

    - `"raise"` (default): the row is refused, its status is ERROR and a layer raises;
    - `"clamp"`: they count as 0. The path is right for the clamped costs, and no more than FEASIBLE for the given ones,
      and so says its status. `Interpolation` and additive noise want this (or costs far above zero);
    - `"exact"`: solved exactly; only for graphs without cycles.

    A start or goal on an obstacle, or no way between them, makes that row INFEASIBLE, and only that row.
    Costs may have any finite size: a row with entries above 1e289 is searched as a multiple of itself, and only its
    objective may be more than a float64 holds (±inf).

    Rows are solved on `threads` threads (None: every core); the answer does not depend on their number.

    Source: E. W. Dijkstra (1959), searching from both ends on grids (Pohl 1971).

    Instances: `GridInstances` or `GraphInstances` (the ends and, on a grid, the obstacles), or a sequence of mappings
    with their fields as keys.

    Args:
        domain: where the paths run; `grid` and `graph` make it.
        negative: as above.
        threads: as above.
    """

    takes_instances = True

    def __init__(self, domain: GridPaths | GraphPaths, negative: Negative, threads: int | None) -> None:
        if negative not in get_args(Negative):
            raise ValueError(f"negative={negative!r} is none of {', '.join(map(repr, get_args(Negative)))}")
        if negative == "exact" and not domain.acyclic:
            raise ValueError(
                "negative='exact' needs a graph without cycles, and this one has a cycle: "
                "use 'clamp', or keep the costs positive (multiplicative noise does)"
            )
        self._domain, self.negative, self.threads = domain, negative, check_threads(threads)
        self.shape, self.sense = domain.shape, Sense.MIN

    @classmethod
    def grid(
        cls,
        rows: int,
        cols: int | None = None,
        *,
        neighbors: Literal[4, 8] = 8,
        start: tuple[int, int] = (0, 0),
        goal: tuple[int, int] = (-1, -1),
        obstacles: ndarray | None = None,
        negative: Negative = "raise",
        threads: int | None = None,
    ) -> ShortestPath:
        """Paths over the cells of a grid; θ has shape (rows, cols), one cost a cell.

        Args:
            rows: number of rows.
            cols: number of columns; as many as rows if None.
            neighbors: 8 moves (diagonals too) or 4.
            start: (row, column), the same for all rows of a batch unless `GridInstances` gives others.
            goal: likewise. Negative numbers count from the end, as in NumPy.
            obstacles: (rows, cols), true where no path may go.
            negative: "raise" or "clamp".
            threads: how many rows are solved at a time.

        Raises:
            ValueError: for a start or goal outside the grid, or any other value that makes no sense.

        >>> cost = np.array([[1.0, 9, 1], [1, 9, 1], [1, 1, 1]])
        >>> found = ShortestPath.grid(3, neighbors=4, goal=(0, 2)).solve(cost.reshape(1, 9))
        >>> found.y.reshape(3, 3), found.objective
        (array([[1., 0., 1.],
               [1., 0., 1.],
               [1., 1., 1.]]), array([7.]))
        """
        domain = GridPaths(rows, rows if cols is None else cols, neighbors, start, goal, obstacles)
        return cls(domain, negative, threads)

    @classmethod
    def graph(
        cls,
        edges: ndarray | Sequence[tuple[int, int]],
        source: int | None = None,
        target: int | None = None,
        *,
        vertices: int | None = None,
        negative: Negative = "raise",
        threads: int | None = None,
    ) -> ShortestPath:
        """Paths in a directed graph; θ has shape (edges,), one cost an edge.

        Args:
            edges: (edges, 2) integers, the tail and head of each edge; parallel edges are fine.
            source: where paths begin, unless `GraphInstances` says.
            target: where they end, unless `GraphInstances` says.
            vertices: number of vertices; the largest in `edges` + 1 if None.
            negative: "raise", "clamp", or "exact" for a graph without cycles.
            threads: how many rows are solved at a time.

        Raises:
            ValueError: for edges or vertices out of range, or `"exact"` on a graph with a cycle.

        >>> solver = ShortestPath.graph([(0, 1), (1, 2), (0, 2)], source=0, target=2, negative="exact")
        >>> solver.solve(np.array([[1.0, 1.0, 3.0], [1.0, 1.0, -3.0]])).y
        array([[1., 1., 0.],
               [0., 0., 1.]])
        """
        return cls(GraphPaths(edges, source, target, vertices), negative, threads)

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        negative = {"raise": REFUSE, "clamp": CLAMP, "exact": EXACT}[self.negative]
        found, messages = self._search(theta, negative, instances)
        y, objective, bound, status = found
        if np.count_nonzero(status):
            huge = np.flatnonzero(status == HUGE)
            if len(huge):
                part = None if instances is None else select(instances, huge)
                for whole, rows in zip(found, self._search(unit_rows(theta[huge]), negative, part)[0], strict=True):
                    whole[huge] = rows
                objective[huge] = row_products(theta[huge], y[huge])
                with np.errstate(over="ignore"):
                    bound[huge] = np.minimum(np.ldexp(bound[huge], exponents(theta[huge])), np.finfo(np.float64).max)
            for row in np.flatnonzero(status == Status.ERROR).tolist():
                if row not in messages:
                    messages[row] = self._refusal(theta[row], entry=int(objective[row]))
            failed = status > Status.FEASIBLE
            y[failed], objective[failed] = np.nan, np.nan
        return Solutions(y, objective, bound=bound, status=status, messages=messages)

    def _search(self, cost: Rows, negative: int, instances: Sets) -> tuple[Found, dict[int, str]]:
        found = Found.empty(*cost.shape)
        return found, self._domain.search(cost, negative, instances, self.threads, found)

    def _refusal(self, cost: Row, entry: int) -> str:
        where = tuple(int(i) for i in np.unravel_index(entry, self.shape))
        fix = "negative='exact'" if self._domain.acyclic else "negative='clamp' (they count as 0)"
        return (
            f"the cost at {where if len(where) > 1 else where[0]} is {cost[entry]:.6g}, and a shortest path needs "
            f"costs that are not negative: keep them positive (softplus, multiplicative noise) or use {fix}"
        )
