"""Every core of this machine."""

from __future__ import annotations

import pickle
from typing import Any, Literal, get_args

from combdiff_solvers.compute.threads import available_cores
from combdiff_solvers.pools.crew import Crew
from combdiff_solvers.pools.pooled import Pooled, ThreadWorker
from combdiff_solvers.pools.process_worker import ProcessWorker
from combdiff_solvers.protocol import Solver

__all__ = ["Parallel"]

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
        workers: how many; every core if None.
        backend: "threads" or "processes".
        adaptive: whether cheap batches stay in the calling thread.

    Attributes:
        replaced: how many workers died and were replaced.

    Raises:
        ValueError: for fewer than one worker, or another backend.
        TypeError: for what is no solver, or cannot be pickled and is to be sent to processes.

    >>> import numpy as np
    >>> from combdiff_solvers import TopK
    >>> with Parallel(TopK(4, 2), workers=2) as pool:
    ...     pool.solve(np.array([[0.3, 2.0, -1.0, 0.9]])).y
    array([[0., 1., 0., 1.]])
    """

    def __init__(
        self, solver: Solver, workers: int | None = None, backend: Backend = "threads", adaptive: bool = True
    ) -> None:
        super().__init__(solver, adaptive)
        if workers is not None and workers < 1:
            raise ValueError(f"workers={workers} must be at least 1, or None for every core")
        if backend not in get_args(Backend):
            raise ValueError(f"backend={backend!r} is none of {', '.join(map(repr, get_args(Backend)))}")
        self.workers = workers or available_cores()
        self._given = workers
        self.backend: Backend = backend
        self.slow_start = backend == "processes"
        self.overhead = 1e-4 if backend == "threads" else 1e-3
        self._pickled = self._pickle()

    def _pickle(self) -> bytes | None:
        """The description of the solver; None if threads are to share it."""
        if self.backend == "threads" and getattr(self.solver, "thread_safe", False):
            return None
        try:
            return pickle.dumps(self.solver, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            if self.backend == "threads":
                return None
            raise TypeError(
                f"the {type(self.solver).__name__} cannot be sent to another process ({error}): define its function "
                "at the top of a module (a lambda cannot be pickled), or use backend='threads'"
            ) from error

    def _hire(self) -> Crew:
        pickled, shared = self._pickled, self.solver

        def thread() -> ThreadWorker:
            return ThreadWorker(shared if pickled is None else pickle.loads(pickled))

        def process() -> ProcessWorker:
            assert pickled is not None
            return ProcessWorker(pickled)

        return Crew(thread if self.backend == "threads" else process, self.workers)

    def _describe(self) -> dict[str, Any]:
        return {
            "solver": self.solver, "workers": self._given, "backend": self.backend, "adaptive": self.adaptive
        }  # fmt: skip
