"""Every core of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Any, Literal, get_args

from combdiff_solvers.compute.threads import available_cores
from combdiff_solvers.pools.executor_worker import ExecutorWorker
from combdiff_solvers.pools.messages import pickle_solver
from combdiff_solvers.pools.pooled import Pooled
from combdiff_solvers.pools.process_worker import ProcessWorker
from combdiff_solvers.pools.worker_pool import Worker
from combdiff_solvers.protocol import Solver

Backend = Literal["threads", "processes"]


class Parallel(Pooled):
    """Solves the rows of a batch on several workers, each with a warm solver of its own.

    The answers are those of the plain solver, whatever the number of workers. Chunks of rows travel, not rows; they
    shrink towards the end of the batch, so that the workers end together.

    - `"threads"` (default) for solvers that let go of the GIL while they work: OR-Tools, SCIP, numba kernels.
    - `"processes"` for solvers written in Python (PySAT's RC2, a function), and for those that crash: a process that
      dies is replaced and its chunk solved again; a row on which workers die again and again becomes an ERROR, alone.
      `sys.exit()` there is an ERROR of its row, while in a thread it ends the call, as without workers. The solver and
      the instances travel by pickle. Processes start when the first batch is worth it (the caller works meanwhile),
      import no torch, and keep their solvers warm.
    - an `Executor` of yours (Dask's `client.get_executor()`, `mpi4py.futures.MPIPoolExecutor`, loky's, the standard
      library's), for a cluster. Its workers need combdiff and whatever the solver is made of, and get both by pickle.
      It stays yours: it is not ended here, Ctrl-C leaves it the chunks that have begun, and when it breaks or is shut
      down the next batch is a RuntimeError, for only you can make another one.

    Workers are used only where they pay: the first rows are timed, and cheap batches stay in the calling thread, so a
    pool is not slower than its solver. `adaptive=False` always sends every row to a worker (to keep a solver that may
    crash out of the calling process).

    Ctrl-C kills processes at once; a thread finishes its chunk (0.3 s or one row, whichever is longer), unheard, so
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

    def __init__(
        self,
        solver: Solver,
        workers: int | Executor | None = None,
        backend: Backend | Executor = "threads",
        adaptive: bool = True,
    ) -> None:
        if isinstance(workers, Executor):
            backend, workers = workers, None
        super().__init__(solver, workers, adaptive)
        if backend not in get_args(Backend) and not isinstance(backend, Executor):
            known = ", ".join(map(repr, get_args(Backend)))
            raise ValueError(f"backend={backend!r} is none of {known}, and no concurrent.futures.Executor")
        self.backend = backend
        self.slow_start = backend != "threads"
        self.chunks_per_worker = 1 if isinstance(backend, str) else 2  # an executor may take long to pass a chunk on
        self.overhead = {"threads": 1e-4, "processes": 1e-3}.get(str(backend), 5e-3)
        self._process = os.getpid()
        self._sent: Any = solver  # what a worker gets
        if backend != "threads":
            self._sent = pickle_solver(solver, ", or use backend='threads'")
        elif not getattr(solver, "thread_safe", False):
            with suppress(TypeError):
                self._sent = pickle_solver(solver)

    def __reduce__(self) -> tuple[Any, ...]:
        if not isinstance(self.backend, str):
            raise TypeError(
                f"a Parallel on a {type(self.backend).__name__} cannot be pickled: make it where it is used"
            )
        return type(self), (self.solver, self.workers, self.backend, self.adaptive)

    def _count_workers(self) -> int:
        return self.workers or available_cores()

    def _worker_maker(self) -> Callable[[], Worker]:
        if not isinstance(self.backend, str):
            return partial(ExecutorWorker, self.backend, self._sent, self._process)
        return partial(ProcessWorker if self.backend == "processes" else Worker, self._sent)
