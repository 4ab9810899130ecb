"""Workers that have a solver each, and keep it warm: the threads or whatever else an executor runs its tasks in."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from concurrent.futures import CancelledError, Executor, Future
from functools import partial
from typing import Any

from combdiff_solvers.chunks import Timed, solve_safely
from combdiff_solvers.pools.messages import MAIN, PoolError, WorkerDiedError, pack, reply_by_digest, unpack
from combdiff_solvers.protocol import Rows, Sets
from combdiff_solvers.rows import PerThread


class Workers:
    """Threads of an executor, which ends with them.

    Args:
        executor: what runs the chunks.
        solver: a solver that threads may share, or the pickle of one.
    """

    _owned = True
    _starts: Sequence[Future[Any]] = ()

    def __init__(self, executor: Executor, solver: Any) -> None:
        self.executor = executor
        self._solvers = PerThread(partial(_load, solver))

    @property
    def warm(self) -> bool:
        """Whether all have begun; while not, the caller had better work, too."""
        return all(start.done() for start in self._starts)

    def submit(self, theta: Rows, instances: Sets, unknown: bool = False) -> Future[Any]:
        """Have a chunk solved; `unknown` says that a worker did not know the solver.

        Raises:
            PoolError: when no worker is left.
            TravelError: when the rows cannot be sent.
        """
        return self.executor.submit(_solve, self._solvers, theta, instances)

    def result(self, future: Future[Any]) -> Timed | None:
        """The answer and the seconds it took; None if the worker does not know the solver.

        Raises:
            WorkerDiedError: when the worker ended.
            TravelError: when the answer cannot be sent.
            PoolError: when the workers were closed, or none can start; and whatever else the solver has raised.
        """
        found: Timed = _wait(future)
        return found

    def close(self) -> None:
        """End all workers; or call off what has not begun, where the executor is somebody else's."""
        for start in self._starts:
            start.cancel()
        if self._owned:
            self.executor.shutdown()


class RemoteWorkers(Workers):
    """Workers in other processes. The solver is sent to each at the start, and to those that turn out not to know it.

    Args:
        executor: what runs the chunks.
        solver: the pickle of a solver.
        count: how many workers there are.
        owned: whether the executor ends with them.
    """

    def __init__(self, executor: Executor, solver: bytes, count: int, owned: bool) -> None:
        self.executor, self._owned, self._solver = executor, owned, solver
        self._digest = hashlib.sha256(solver).digest()
        self._answered = False
        self._starts = [self._call(solver, None) for _ in range(count)]

    def submit(self, theta: Rows, instances: Sets, unknown: bool = False) -> Future[Any]:
        return self._call(self._solver if unknown else None, pack((theta, instances), main=MAIN in self._solver))

    def result(self, future: Future[Any]) -> Timed | None:
        try:
            answer = _wait(future)
        except PoolError:
            raise
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            if not self._answered and all(start.done() and start.exception() for start in self._starts):
                raise PoolError(f"a worker could not start: {reason}") from error
            raise WorkerDiedError(reason) from error
        self._answered |= answer is not None
        return answer and unpack(answer)

    def _call(self, solver: bytes | None, message: bytes | None) -> Future[bytes | None]:
        try:
            return self.executor.submit(reply_by_digest, self._digest, solver, message)
        except RuntimeError as error:
            raise PoolError(
                f"the {type(self.executor).__name__} takes no more work ({error or type(error).__name__}): make a new "
                "executor, and a new Parallel on it, or give Parallel backend='processes', whose workers are replaced "
                "when they die"
            ) from error


def _load(solver: Any) -> Any:
    try:
        return pickle.loads(solver) if isinstance(solver, bytes) else solver
    except BaseException as error:
        raise PoolError(f"a worker could not start: {error}") from error


def _wait(future: Future[Any]) -> Any:
    try:
        return future.result()
    except CancelledError:
        raise PoolError("the workers were closed while a batch was being solved") from None


def _solve(solvers: PerThread[Any], theta: Rows, instances: Sets) -> Timed:
    return solve_safely(solvers.get(), theta, instances)
