"""What `Parallel` and `OnRay` share: a solver whose rows workers solve, where that pays."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from combdiff_solvers.chunks import Timed, concatenate, shrinking, slice_instances, solve_safely
from combdiff_solvers.compute.forks import ForkSafeLock
from combdiff_solvers.pools.offload_policy import OffloadPolicy
from combdiff_solvers.pools.schedule import Schedule
from combdiff_solvers.pools.worker_pool import Worker, WorkerPool
from combdiff_solvers.pools.wrapper import Wrapper
from combdiff_solvers.protocol import PerRow, Rows, Sets, Solutions, Solver, solve_checked

P = TypeVar("P", bound="Pooled")


class Pooled(Wrapper):
    """A solver whose rows are solved by workers, in chunks."""

    overhead = 5e-3  # seconds that a batch costs more when it is sent
    slow_start = True  # whether the caller had better work too until the workers are ready
    chunks_per_worker = 1  # that are on their way at once
    _pool: WorkerPool | None = None

    def __init__(self, solver: Solver, workers: int | None, adaptive: bool) -> None:
        super().__init__(solver)
        if workers is not None and workers < 1:
            raise ValueError(f"workers={workers} must be at least 1, or None for one a core")
        self.workers, self.adaptive = workers, adaptive
        self.replaced = 0  # how many workers died in the middle of a chunk
        self._own = ForkSafeLock()  # the caller's solver serves one call at a time

    @abstractmethod
    def _count_workers(self) -> int:
        """How many workers there are going to be."""

    @abstractmethod
    def _worker_maker(self) -> Callable[[], Worker]:
        """What makes a worker; it must not refer to this object, whose end is that of the workers."""

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    @cached_property
    def policy(self) -> OffloadPolicy:
        """What is known of the speed of the workers and of the solver."""
        return OffloadPolicy(self._count_workers(), self.overhead)

    @property
    def executor(self) -> WorkerPool:
        """The workers, which start when they are first asked for, and again after they were closed."""
        with self._own.current:
            if self._pool is None or self._pool.closed:
                self._pool = WorkerPool(self._worker_maker(), self.policy.workers * self.chunks_per_worker)
            return self._pool

    def close(self) -> None:
        """End the workers. They begin anew with the next batch that needs them."""
        if self._pool is not None:
            self._pool.close()

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        """Solve checked rows. They come back in their order, each once.

        A row whose solve raises has the status ERROR and the exception as its message.

        Raises:
            ValueError: for a solver that does not answer each row.
            RuntimeError: when no worker could be started.
        """
        policy, rows, done = self.policy, len(theta), 0
        if self.adaptive and 0 < rows <= policy.min_offload_rows:  # the rest would cost a short row a tenth
            with self._own.current:
                found, seconds = solve_safely(self.solver, theta, instances)
            policy.solved_here(rows, seconds)
            return found
        if not rows:
            return solve_checked(self.solver, theta, instances)
        pieces: list[tuple[int, Solutions]] = []
        while self.adaptive and done < rows:
            here = policy.rows_to_solve_here(rows - done, first=not done)
            if not here:
                break
            part = theta[done : done + here], slice_instances(instances, done, done + here)
            found, seconds = self._solve_here(*part)
            policy.solved_here(here, seconds)
            if here == rows:
                return found
            pieces.append((done, found))
            done += here
        if done < rows:
            sent = self._send(theta[done:], slice_instances(instances, done, rows))
            pieces += [(done + first, piece) for first, piece in sent]
        return concatenate(pieces, *theta.shape)

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """⟨θ, y⟩ + h(y) of every row, by the solver in the calling thread."""
        with self._own.current:
            return super().value_checked(y, theta, instances)

    def _solve_here(self, theta: Rows, instances: Sets) -> Timed:
        with self._own.current:
            return solve_safely(self.solver, theta, instances)

    def _send(self, theta: Rows, instances: Sets) -> list[tuple[int, Solutions]]:
        """The answers of the workers, each with the number of its first row."""
        pool, policy, rows = self.executor, self.policy, len(theta)
        schedule = Schedule(pool, theta, instances, self.sense)
        warm = pool.warm
        began = time.perf_counter()
        try:
            schedule.run(
                shrinking(rows, policy.workers, *policy.chunk_sizes(rows)),
                self._solve_here if self.adaptive and self.slow_start else None,
            )
        finally:
            self.replaced += schedule.crashes
        policy.solved_there(rows, time.perf_counter() - began, schedule.seconds, warm)
        return schedule.pieces
