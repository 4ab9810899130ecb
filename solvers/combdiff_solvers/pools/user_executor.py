"""Whatever executor a user brings, as an executor of chunks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.pools.messages import pack, reply_by_digest
from combdiff_solvers.pools.schedule import PoolError

NEW = "make a new executor, and a new Parallel on it"


class UserExecutor:
    """Sends chunks through an `Executor`, which stays its owner's: it is neither ended nor rebuilt here.

    The solver travels with the chunks until one has come back, and again with those whose worker did not know it.

    Args:
        executor: what runs the chunks.
        solver: the pickled solver.
    """

    closed = False

    def __init__(self, executor: Executor, solver: bytes) -> None:
        self.warm = False
        self._executor, self._solver = executor, solver
        self._digest = hashlib.sha256(solver).digest()
        self._process = os.getpid()

    def submit(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None, again: bool) -> Future[Any]:
        """Have a chunk solved by whichever worker the executor picks."""
        message = pack((theta, instances))
        name = type(self._executor).__name__
        if os.getpid() != self._process:
            raise PoolError(f"the workers of this {name} are those of the process that this one was forked from: {NEW}")
        solver = self._solver if again or not self.warm else None
        try:
            future: Future[Any] = self._executor.submit(reply_by_digest, self._digest, solver, message)
        except (BrokenExecutor, RuntimeError) as error:
            raise PoolError(
                f"the {name} takes no more work ({error or type(error).__name__}): {NEW}, or give Parallel "
                "backend='processes', whose workers are replaced when they die"
            ) from error
        future.add_done_callback(self._note)
        return future

    def close(self) -> None:
        """Nothing to end: chunks that have begun run to their end."""

    def _note(self, future: Future[Any]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.warm = future.result() is not None
