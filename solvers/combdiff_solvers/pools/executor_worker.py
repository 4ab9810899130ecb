"""A worker that is a place in an executor which a user brings."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import BrokenExecutor, Executor, Future

from combdiff_solvers.pools.messages import PoolError, reply_by_digest
from combdiff_solvers.pools.worker_pool import RemoteWorker, WorkerDiedError

NEW = "make a new executor, and a new Parallel on it"


class ExecutorWorker(RemoteWorker):
    """Sends one chunk after the other through an `Executor`, which stays its owner's: it is not ended here.

    The solver travels at the start, and with chunks whose worker turns out not to know it.

    Args:
        executor: what runs the chunks.
        solver: the pickled solver.
        process: that the executor was given in; its workers are not those of a forked child.
    """

    def __init__(self, executor: Executor, solver: bytes, process: int) -> None:
        super().__init__(solver)
        self._executor, self._process = executor, process
        self._digest = hashlib.sha256(solver).digest()
        self._running: Future[bytes | None] | None = None

    def ask(self, message: bytes | None) -> bytes:
        """The answer of whichever worker the executor picks."""
        answer = None if message is None else self._submit(None, message)
        answer = answer or self._submit(self.solver, message)
        assert answer is not None
        return answer

    def stop(self) -> None:
        """Call off what has not begun; a chunk that has runs to its end."""
        if self._running is not None:
            self._running.cancel()

    def _submit(self, solver: bytes | None, message: bytes | None) -> bytes | None:
        name = type(self._executor).__name__
        if os.getpid() != self._process:
            raise PoolError(f"the workers of this {name} are those of the process that this one was forked from: {NEW}")
        try:
            self._running = self._executor.submit(reply_by_digest, self._digest, solver, message)
        except (BrokenExecutor, RuntimeError) as error:
            raise PoolError(
                f"the {name} takes no more work ({error or type(error).__name__}): {NEW}, or give Parallel "
                "backend='processes', whose workers are replaced when they die"
            ) from error
        try:
            return self._running.result()
        except Exception as error:
            raise WorkerDiedError(str(error) or type(error).__name__) from error
