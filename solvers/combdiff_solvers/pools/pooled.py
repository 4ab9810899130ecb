"""What `Parallel` and `OnRay` share: a solver before a crew of workers."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.chunks import concatenate, shrinking, slice_instances, solve_safely
from combdiff_solvers.pools.crew import Crew, Worker
from combdiff_solvers.pools.fork_safe_lock import ForkSafeLock
from combdiff_solvers.pools.pace import Pace
from combdiff_solvers.protocol import (
    Described,
    Instances,
    Sense,
    Solutions,
    Solver,
    as_instances,
    as_rows,
    check_count,
    value,
)

P = TypeVar("P", bound="Pooled")


class Pooled(Described):
    """A solver whose rows are solved by workers, in chunks.

    Subclasses say in `_hire` what a worker is and how many there are, and in `_describe` how they are pickled.
    """

    overhead = 1e-4  # seconds that a batch costs more when it is sent
    slow_start = False  # whether the caller had better work too until a worker is ready

    def __init__(self, solver: Solver, adaptive: bool) -> None:
        if not isinstance(solver, Solver):
            raise TypeError(
                f"a {type(solver).__name__} is not a Solver (it needs sense, shape and solve): make one with wrap"
            )
        self.solver = solver
        self.sense: Sense = solver.sense
        self.shape: tuple[int, ...] = solver.shape
        self.adaptive = adaptive
        self._own = ForkSafeLock()  # the caller's solver serves one call at a time
        self._crew: Crew | None = None
        self._pace: Pace | None = None

    def _hire(self) -> Crew:
        raise NotImplementedError

    def _describe(self) -> dict[str, Any]:
        """The arguments to make another one of it by."""
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), self._describe())

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def crew(self) -> Crew:
        """The workers."""
        if self._crew is not None:
            return self._crew
        with self._own:
            if self._crew is None:
                crew = self._hire()
                crew.sense = self.sense
                self._pace = Pace(crew.size, self.overhead)
                weakref.finalize(self, crew.close)
                self._crew = crew
            return self._crew

    @property
    def replaced(self) -> int:
        """How many workers died in the middle of a chunk, and were replaced."""
        return 0 if self._crew is None else self._crew.replaced

    def close(self) -> None:
        """End the workers. They begin anew with the next batch that needs them."""
        if self._crew is not None:
            self._crew.close()

    def solve(self, theta: Float64[ndarray, "b n"], instances: Instances | None = None) -> Solutions:
        """Solve every row of θ, (b, n). The rows come back in their order, each once.

        A row whose solve raises has the status ERROR and the exception as its message.

        Raises:
            ValueError: for θ of another shape, instances that the solver does not take, or a solver that does not
                answer each row.
            RuntimeError: when no worker could be started.
        """
        instances = as_instances(instances)
        crew, pace = self.crew, self._pace
        assert pace is not None
        whole = self._solve_whole(pace, theta, instances)
        if whole is not None and not whole.messages:
            return whole
        theta = as_rows(theta, self.shape)
        if instances is not None:
            check_count(instances, len(theta))
        if instances is not None or not len(theta):
            empty = self.solver.solve(theta[:0], slice_instances(instances, 0, 0))  # raises for what it does not take
            if not len(theta):
                return empty
        if whole is not None:
            return whole
        pieces: list[tuple[int, Solutions]] = []
        done = 0
        while self.adaptive and done < len(theta):
            rows = pace.rows_to_solve_here(len(theta) - done, first=not done)
            if not rows:
                break
            found, seconds = self._solve_here(theta[done : done + rows], slice_instances(instances, done, done + rows))
            pace.solved_here(rows, seconds)
            pieces.append((done, found))
            done += rows
        if done < len(theta):
            pieces += self._send(crew, pace, theta[done:], slice_instances(instances, done, len(theta)), done)
        return concatenate(pieces, *theta.shape)

    def value(
        self, y: Float64[ndarray, "b n"], theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None = None
    ) -> Float64[ndarray, " b"]:
        """⟨θ, y⟩ + h(y) of every row, by the solver in the calling thread."""
        with self._own:
            return value(self.solver, y, theta, instances)

    def _solve_whole(self, pace: Pace, theta: ndarray, instances: Sequence[Any] | None) -> Solutions | None:
        """The answer to a batch that is not worth the workers, None for one that is.

        θ is not checked: the solver does that, and its time may be that of a few array operations.
        """
        if not self.adaptive or np.ndim(theta) != 2 or (instances is not None and len(instances) != len(theta)):
            return None
        rows = len(theta)
        if not rows or (rows > pace.few and pace.rows_to_solve_here(rows, first=True) != rows):
            return None
        found, seconds = self._solve_here(theta, instances)
        if pace.is_news(rows, seconds):
            pace.solved_here(rows, seconds)
        return found

    def _solve_here(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> tuple[Solutions, float]:
        with self._own:
            return solve_safely(self.solver, theta, instances)

    def _send(
        self, crew: Crew, pace: Pace, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None, done: int
    ) -> list[tuple[int, Solutions]]:
        rows = len(theta)
        most, least = pace.chunk_sizes(rows) if pace.row else (max(1, rows // (4 * crew.size)), 1)
        warm = crew.ready == crew.size
        began = time.perf_counter()
        cuts = shrinking(rows, crew.size, most, least)
        batch = crew.run(theta, instances, cuts, self._solve_here if self.adaptive and self.slow_start else None)
        pace.solved_there(rows, time.perf_counter() - began, batch.pace, warm)
        return [(done + first, piece) for first, piece in batch.pieces]


def _make(kind: type[Pooled], description: dict[str, Any]) -> Pooled:
    return kind(**description)


class ThreadWorker:
    """A solver for one thread of this process."""

    def __init__(self, solver: Solver) -> None:
        self._solver = solver

    def start(self) -> None:
        """Nothing to do."""

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> tuple[Solutions, float]:
        """Solve in the driver's own thread."""
        return solve_safely(self._solver, theta, instances)

    def stop(self) -> None:
        """Nothing to end: a thread finishes its chunk."""

    def abandon(self) -> None:
        """Nothing to forget."""


__all__ = ["Pooled", "ThreadWorker", "Worker"]
