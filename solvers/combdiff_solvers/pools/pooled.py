"""What `Parallel` and `OnRay` share: a solver whose rows workers solve, where that pays."""

from __future__ import annotations

import time
import weakref
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.chunks import concatenate, shrinking, slice_instances, solve_safely
from combdiff_solvers.pools.fork_safe_lock import ForkSafeLock
from combdiff_solvers.pools.offload_policy import OffloadPolicy
from combdiff_solvers.pools.schedule import Answer, ChunkExecutor, Schedule
from combdiff_solvers.pools.wrapper import Wrapper
from combdiff_solvers.protocol import Solutions, Solver, solve_checked

P = TypeVar("P", bound="Pooled")


class Pooled(Wrapper):
    """A solver whose rows are solved by workers, in chunks.

    Attributes:
        replaced: how many workers died in the middle of a chunk.
    """

    overhead = 1e-4  # seconds that a batch costs more when it is sent
    slow_start = False  # whether the caller had better work too until the workers are ready

    def __init__(self, solver: Solver, adaptive: bool) -> None:
        super().__init__(solver)
        self.adaptive = adaptive
        self.replaced = 0
        self._own = ForkSafeLock()  # the caller's solver serves one call at a time
        self._executor: ChunkExecutor | None = None
        self._close_executor: weakref.finalize[Any, Any] | None = None
        self._policy: OffloadPolicy | None = None

    @abstractmethod
    def _count_workers(self) -> int:
        """How many workers there are going to be."""

    @abstractmethod
    def _start_workers(self) -> ChunkExecutor:
        """Begin them."""

    @abstractmethod
    def _describe(self) -> dict[str, Any]:
        """The arguments to make another one of it by."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (type(self), self._describe())

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def policy(self) -> OffloadPolicy:
        """What is known of the speed of the workers and of the solver."""
        if self._policy is None:
            self._policy = OffloadPolicy(self._count_workers(), self.overhead)
        return self._policy

    @property
    def executor(self) -> ChunkExecutor:
        """The workers, which start when they are first asked for, and again after they were closed."""
        with self._own:
            if self._executor is None or self._executor.closed:
                if self._close_executor is not None:
                    self._close_executor.detach()
                self._executor = self._start_workers()
                self._close_executor = weakref.finalize(self, self._executor.close)
            return self._executor

    def close(self) -> None:
        """End the workers. They begin anew with the next batch that needs them."""
        if self._executor is not None:
            self._executor.close()

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        """Solve checked rows. They come back in their order, each once.

        A row whose solve raises has the status ERROR and the exception as its message.

        Raises:
            ValueError: for a solver that does not answer each row.
            RuntimeError: when no worker could be started.
        """
        rows, done = len(theta), 0
        if not rows:
            return solve_checked(self.solver, theta, instances)
        policy = self._policy or self.policy
        pieces: list[tuple[int, Solutions]] = []
        while self.adaptive and done < rows:
            here = policy.rows_to_solve_here(rows - done, first=not done)
            if not here:
                break
            found, seconds = self._solve_here(theta[done : done + here], slice_instances(instances, done, done + here))
            policy.solved_here(here, seconds)
            if here == rows:
                return found
            pieces.append((done, found))
            done += here
        if done < rows:
            sent = self._send(policy, theta[done:], slice_instances(instances, done, rows))
            pieces += [(done + first, piece) for first, piece in sent]
        return concatenate(pieces, *theta.shape)

    def value_checked(
        self, y: Float64[ndarray, "b n"], theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None
    ) -> Float64[ndarray, " b"]:
        """⟨θ, y⟩ + h(y) of every row, by the solver in the calling thread."""
        with self._own:
            return super().value_checked(y, theta, instances)

    def _solve_here(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Answer:
        with self._own:
            return solve_safely(self.solver, theta, instances)

    def _send(
        self, policy: OffloadPolicy, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None
    ) -> list[tuple[int, Solutions]]:
        """The answers of the workers, each with the number of its first row."""
        executor, rows = self.executor, len(theta)
        schedule = Schedule(executor, theta, instances, self.sense)
        warm = executor.warm
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


def _make(kind: type[Pooled], description: dict[str, Any]) -> Pooled:
    return kind(**description)
