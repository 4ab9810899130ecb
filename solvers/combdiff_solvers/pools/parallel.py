"""Every core of this machine, or of a cluster."""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import Executor
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal, TypeVar, get_args

from combdiff_solvers.chunks import Timed, concatenate, shrinking, slice_instances, solve_safely
from combdiff_solvers.compute.forks import ForkSafeLock
from combdiff_solvers.compute.threads import available_cores
from combdiff_solvers.pools.batch import Batch
from combdiff_solvers.pools.messages import PoolError, dumps, pickle_solver
from combdiff_solvers.pools.offload_policy import OffloadPolicy
from combdiff_solvers.pools.process_pool import ProcessPool
from combdiff_solvers.pools.worker_pool import WorkerPool
from combdiff_solvers.pools.workers import RemoteWorkers, Workers
from combdiff_solvers.pools.wrapper import Wrapper
from combdiff_solvers.protocol import PerRow, Rows, Sets, Solutions, Solver, solve_checked

Backend = Literal["threads", "processes"]
P = TypeVar("P", bound="Parallel")


class Parallel(Wrapper):
    """Solves the rows of a batch on several workers, each with a warm solver of its own.

    The answers are those of the plain solver, whatever the number of workers. Chunks of rows travel, not rows; they
    shrink towards the end of the batch, so that the workers end together.

    - `"threads"` (default) for solvers that let go of the GIL while they work: OR-Tools, SCIP, numba kernels.
    - `"processes"` for solvers written in Python (PySAT's RC2, a function), and for those that crash: a process that
      dies is replaced and its chunk solved again; a row on which workers die again and again becomes an ERROR, alone.
      `sys.exit()` there is an ERROR of its row, while in a thread it ends the call, as without workers. The solver and
      the instances travel by pickle; what the main module defines travels by value, for processes do not import it,
      and so no torch. They start when the first batch is worth it (the caller works meanwhile), and keep solvers warm.
    - an `Executor` of yours (Dask's `client.get_executor()`, `mpi4py.futures.MPIPoolExecutor`, loky's, the standard
      library's), for a cluster. Its workers need combdiff and whatever the solver is made of, and get both by pickle.
      It stays yours: it is not ended here, Ctrl-C leaves it the chunks that have begun, and when it breaks or is shut
      down the next batch is a RuntimeError, for only you can make another one.

    Workers are used only where they pay: the first rows are timed, and cheap batches stay in the calling thread, so a
    pool is not slower than its solver. `adaptive=False` always sends every row to a worker (to keep a solver that may
    crash out of the calling process).

    Ctrl-C kills processes at once; a thread finishes its chunk (0.3 s or one row, whichever is longer) for nothing, so
    give rows that can take long a time limit, or use processes. Rows end there too when the object is collected, in
    `close()`, at the end of a `with` block, and when the interpreter ends or is killed. After a fork the child has
    workers of its own.

    Args:
        solver: what solves a chunk. It is copied by pickle, once for each worker. Threads share it where it has an
            attribute `thread_safe` that is true (a `Factory` has) or cannot be pickled; processes cannot
            have the latter.
        workers: how many; every core of this machine if None. An executor may be given here, too.
        backend: "threads", "processes" or an executor, which has then so many `workers`.
        adaptive: whether cheap batches stay in the calling thread.

    Attributes:
        replaced: how many workers died in the middle of a chunk.

    Raises:
        ValueError: for fewer than one worker, or another backend.
        TypeError: for what is no solver, or cannot be pickled and is to be sent to processes.
        RuntimeError: in `solve`, when no worker can be started, or an executor of yours has ended.

    >>> import numpy as np
    >>> from combdiff_solvers import TopK
    >>> with Parallel(TopK(4, 2), workers=2) as pool:
    ...     pool.solve(np.array([[0.3, 2.0, -1.0, 0.9]])).y
    array([[0., 1., 0., 1.]])
    """

    _workers: Workers | None = None

    def __init__(
        self,
        solver: Solver,
        workers: int | Executor | None = None,
        backend: Backend | Executor = "threads",
        adaptive: bool = True,
    ) -> None:
        super().__init__(solver)
        if isinstance(workers, Executor):
            backend, workers = workers, None
        if workers is not None and workers < 1:
            raise ValueError(f"workers={workers} must be at least 1, or None for one a core")
        if backend not in get_args(Backend) and not isinstance(backend, Executor):
            known = ", ".join(map(repr, get_args(Backend)))
            raise ValueError(f"backend={backend!r} is none of {known}, and no concurrent.futures.Executor")
        self.workers, self.backend, self.adaptive = workers, backend, adaptive
        self.replaced = 0
        self._chunks_per_worker = sys.maxsize if isinstance(backend, str) else 2  # that are on their way at once
        self._overhead = {"threads": 1e-4, "processes": 1e-3}.get(str(backend), 5e-3)
        self._own = ForkSafeLock()  # the caller's solver serves one call at a time
        self._process = os.getpid()
        self._sent: Any = solver  # what a worker gets
        if backend != "threads":
            self._sent = pickle_solver(solver)
        elif not getattr(solver, "thread_safe", False):
            with suppress(Exception):
                self._sent = dumps(solver)

    def __reduce__(self) -> tuple[Any, ...]:
        if not isinstance(self.backend, str):
            raise TypeError(
                f"a Parallel on a {type(self.backend).__name__} cannot be pickled: make it where it is used"
            )
        return type(self), (self.solver, self.workers, self.backend, self.adaptive)

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _count_workers(self) -> int:
        return self.workers or available_cores()

    def _start(self) -> Workers:
        """New workers; they must not refer to this object, whose end is theirs."""
        count = self.policy.workers
        if self.backend == "threads":
            return Workers(WorkerPool(count), self._sent)
        if self.backend == "processes":
            return RemoteWorkers(ProcessPool(count), self._sent, count, owned=True)
        return RemoteWorkers(self.backend, self._sent, count, owned=False)

    @cached_property
    def policy(self) -> OffloadPolicy:
        """What is known of the speed of the workers and of the solver."""
        return OffloadPolicy(self._count_workers(), self._overhead)

    @property
    def executor(self) -> Workers:
        """The workers, which start when they are first asked for, and again after they were closed."""
        with self._own.current:
            if isinstance(self.backend, Executor) and os.getpid() != self._process:
                raise PoolError(
                    f"the workers of this {type(self.backend).__name__} are those of the process that this one was "
                    "forked from: make a new executor, and a new Parallel on it"
                )
            if self._workers is None or getattr(self._workers.executor, "closed", False):
                self._workers = self._start()
            return self._workers

    def close(self) -> None:
        """End the workers. They begin anew with the next batch that needs them."""
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.close()

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
        while self.adaptive and (here := policy.rows_to_solve_here(rows - done, first=not done)):
            found, seconds = self._solve_here(theta[done : done + here], slice_instances(instances, done, done + here))
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
        """The answers of the workers, each with the number of its first row; until all are ready, the caller helps."""
        workers, policy, rows = self.executor, self.policy, len(theta)
        batch = Batch(theta, instances, self.sense, workers)
        cuts = shrinking(rows, policy.workers, *policy.chunk_sizes(rows))
        warm, began = workers.warm, time.perf_counter()
        try:
            batch.solve(cuts, self._chunks_per_worker * policy.workers, self._solve_here if self.adaptive else None)
        except BaseException:
            self.close()
            raise
        finally:
            self.replaced += batch.crashes
        policy.solved_there(rows, time.perf_counter() - began, batch.seconds, warm)
        return batch.pieces
