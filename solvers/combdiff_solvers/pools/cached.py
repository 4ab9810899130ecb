"""Answers that were found before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.chunks import check_solutions
from combdiff_solvers.compute.forks import ForkSafeLock
from combdiff_solvers.compute.sums import row_products
from combdiff_solvers.compute.threads import for_rows
from combdiff_solvers.instances import instance_key, select
from combdiff_solvers.pools.solution_pool_kernels import cheapest
from combdiff_solvers.pools.wrapper import Wrapper
from combdiff_solvers.protocol import PerRow, Row, Rows, Sense, Sets, Solutions, Solver, Status, solve_checked
from combdiff_solvers.rows import Answer, answer_of, as_solutions

GOLDEN = 0.6180339887498949
KEPT = (Status.OPTIMAL, Status.FEASIBLE, Status.INFEASIBLE, Status.UNBOUNDED)

Key = tuple[bytes, Hashable]  # θ and the instance
Answers = dict[Key, Answer]


class SolutionPool:
    """Different solutions of one feasible set, each with its h(y); at most `size`, the latest found."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._rest: dict[bytes, tuple[Row, float]] = {}
        self._stacked: tuple[Float64[ndarray, "n k"], Float64[ndarray, " k"]] | None = None

    def add(self, y: Row, rest: float) -> None:
        """Keep a solution; `rest` is the part h(y) of its objective that θ does not price."""
        key = y.tobytes()
        if key not in self._rest:
            self._rest[key] = (y, rest)
            self._stacked = None
            if len(self._rest) > self._size:
                del self._rest[next(iter(self._rest))]

    @property
    def y(self) -> Float64[ndarray, "k n"]:
        """All solutions, the oldest first."""
        return self._stack()[0].T.copy()

    def _stack(self) -> tuple[Float64[ndarray, "n k"], Float64[ndarray, " k"]]:
        if self._stacked is None:
            y, rest = zip(*self._rest.values(), strict=True)
            self._stacked = np.stack(y, axis=1), np.array(rest)
        return self._stacked

    def best(self, theta: Rows, sense: Sense) -> tuple[Rows, PerRow]:
        """For each row of θ the best solution (the oldest among equals) and its objective.

        No matrix product: BLAS adds in an order that depends on the size of the batch, and its threads may hang a
        process that forks meanwhile.
        """
        columns, rest = self._stack()
        chosen = np.zeros(len(theta), dtype=np.int64)
        for_rows(cheapest, len(theta), sense.sign * theta, columns, sense.sign * rest, chosen, threads=None, grain=64)
        y = columns.T[chosen]
        return y, row_products(theta, y) + rest[chosen]


class Cached(Wrapper):
    """Solves a row once: a row whose θ (to the last bit) and instance were seen before is answered from memory.

    Rows that repeat within a batch are solved once too. The least recently used rows are forgotten first. Rows that
    ended in LIMIT or ERROR are not kept: they may fare better the next time.

    **A solution pool instead of a solve** (Mulamba et al. 2021, "Contrastive losses and solution caching for
    predict-and-optimize"): with `solve_ratio` below 1, only that share of the rows that are not in the cache is
    solved. The others are answered by the best of the solutions found so far *for the same instance*: an inner
    approximation, feasible but not proven optimal, whose status is FEASIBLE. Which rows are solved follows from how
    many were asked before (the golden-ratio sequence, which keeps the share exactly and has no period), so a run can
    be repeated, but the answer to one θ depends on what was asked before it.

    Args:
        solver: what solves the rows that are not known.
        rows: how many rows to remember.
        solve_ratio: the share of unknown rows to solve, above 0 and at most 1.
        pool_size: how many solutions to keep for each instance, if `solve_ratio` is below 1; the latest found.

    Attributes:
        hits: rows answered from memory (the pool not counted).
        misses: rows solved.
        pooled: rows answered by the pool.

    Raises:
        ValueError: for `rows` or `pool_size` below 1, or `solve_ratio` outside (0, 1].

    >>> from combdiff_solvers import TopK
    >>> solver = Cached(TopK(4, 2))
    >>> theta = np.array([[0.3, 2.0, -1.0, 0.9], [0.3, 2.0, -1.0, 0.9]])
    >>> solver.solve(theta).cached, solver.solve(theta).cached
    (1, 2)
    """

    def __init__(self, solver: Solver, rows: int = 100_000, solve_ratio: float = 1.0, pool_size: int = 1000) -> None:
        super().__init__(solver)
        if rows < 1 or pool_size < 1:
            raise ValueError(f"rows={rows} and pool_size={pool_size} must be at least 1")
        if not 0.0 < solve_ratio <= 1.0:
            raise ValueError(f"solve_ratio={solve_ratio} must be above 0 and at most 1")
        self.rows, self.solve_ratio, self.pool_size = rows, solve_ratio, pool_size
        self._lock = ForkSafeLock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock.current:
            self.hits = self.misses = self.pooled = 0
            self._asked = 0
            self._known: OrderedDict[Key, Answer] = OrderedDict()
            self._pools: OrderedDict[Hashable, SolutionPool] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.solver, self.rows, self.solve_ratio, self.pool_size)

    def solutions(self, instance: Any = None) -> Float64[ndarray, "k n"]:
        """The pool of an instance: the different solutions found so far, the oldest first.

        It is empty unless `solve_ratio` is below 1.
        """
        with self._lock.current:
            pool = self._pools.get(instance_key(instance))
            return np.empty((0, int(np.prod(self.shape)))) if pool is None else pool.y.copy()

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        """Solve checked rows.

        Raises:
            ValueError: for a solver that does not answer each row.
        """
        given = [None] * len(theta) if instances is None else instances
        keys = [(row.tobytes(), instance_key(given[number])) for number, row in enumerate(theta)]
        found: Answers = {}
        with self._lock.current:
            missing = self._look_up(keys, found)
            if self.solve_ratio < 1.0:
                missing = self._ask_pools(keys, theta, missing, found)
        if missing or not keys:
            self._solve(theta, instances, keys, missing, found)
        answers = as_solutions([found[key] for key in keys], theta.shape[1], self.sense)
        return replace(answers, cached=len(keys) - len(missing))

    def _look_up(self, keys: list[Key], found: Answers) -> list[int]:
        """Put what is known into `found`; the numbers of the other rows, each different row once."""
        missing: dict[Key, int] = {}
        for number, key in enumerate(keys):
            if key in self._known:
                self._known.move_to_end(key)
                found[key] = self._known[key]
            else:
                missing.setdefault(key, number)
        self.hits += len(keys) - len(missing)
        return list(missing.values())

    def _ask_pools(self, keys: list[Key], theta: Rows, missing: list[int], found: Answers) -> list[int]:
        """Answer a share of the rows by the pools; the numbers of those that are to be solved."""
        to_solve: list[int] = []
        by_pool: dict[Hashable, list[int]] = {}
        for number in missing:
            self._asked += 1
            instance = keys[number][1]
            solve = self._asked * GOLDEN % 1.0 < self.solve_ratio or instance not in self._pools
            (to_solve if solve else by_pool.setdefault(instance, [])).append(number)
        for instance, rows in by_pool.items():
            best = self._pools[instance].best(theta[rows], self.sense)
            found |= {keys[row]: Answer(Status.FEASIBLE, *one) for row, *one in zip(rows, *best, strict=True)}
            self.pooled += len(rows)
        return to_solve

    def _solve(self, theta: Rows, instances: Sets, keys: list[Key], missing: list[int], found: Answers) -> None:
        if instances is not None and len(missing) < len(theta):
            instances = select(instances, np.array(missing))
        solved = solve_checked(self.solver, theta[missing], instances)
        check_solutions(self.solver, solved, theta[missing])
        with self._lock.current:
            self.misses += len(missing)
            for place, number in enumerate(missing):
                answer = answer_of(solved, place)
                found[keys[number]] = answer
                if answer.status in KEPT:
                    self._known[keys[number]] = answer
                if answer.y is not None and self.solve_ratio < 1.0:
                    pool = self._pools.setdefault(keys[number][1], SolutionPool(self.pool_size))
                    pool.add(answer.y, answer.objective - float(theta[number] @ answer.y))
            for memory in (self._known, self._pools):
                while len(memory) > self.rows:
                    memory.popitem(last=False)
