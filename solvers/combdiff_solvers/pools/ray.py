"""A cluster, through Ray."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

from combdiff_solvers.pools.messages import pickle_solver, reply_by_digest
from combdiff_solvers.pools.pooled import Pooled
from combdiff_solvers.pools.worker_pool import RemoteWorker, Worker, WorkerDiedError
from combdiff_solvers.protocol import Solver


class OnRay(Pooled):
    """Solves the rows of a batch in the processes of a Ray cluster, each with a warm solver of its own.

    The contract is that of `Parallel`: the answers are those of the plain solver, chunks of rows travel, that of a
    process that dies is solved again, Ctrl-C ends those at work, and cheap batches stay here.

    Where Ray does not run in this process yet, `ray.init(address)` is called: without an address it starts a local
    cluster with this machine's cores. The nodes of a remote cluster need combdiff (its solvers, not torch) and
    whatever the solver is made of; give them by `runtime_env`, or call `ray.init` yourself before.

    Args:
        solver: what solves a chunk; it travels by pickle, once for each process.
        workers: how many chunks are solved at once; one for each CPU of the cluster if None.
        address: of a cluster, such as "auto" or "ray://head:10001"; None for a local one.
        cpus: what each chunk takes of its node.
        runtime_env: Ray's description of what the processes need (`pip`, `py_modules`, ...).
        adaptive: whether cheap batches are solved in the calling thread.

    Attributes:
        replaced: how many processes died in the middle of a chunk.

    Raises:
        ImportError: when Ray is not installed.
        ValueError: for fewer than one worker, or `cpus` that are not positive.
        TypeError: for what is no solver or cannot be pickled.

    Source: P. Moritz et al. (2018), "Ray: a distributed framework for emerging AI applications".
    """

    def __init__(
        self,
        solver: Solver,
        workers: int | None = None,
        address: str | None = None,
        cpus: float = 1.0,
        runtime_env: dict[str, Any] | None = None,
        adaptive: bool = True,
    ) -> None:
        super().__init__(solver, workers, adaptive)
        if cpus <= 0:
            raise ValueError(f"cpus={cpus} must be above 0")
        _ray()
        self.address, self.cpus, self.runtime_env = address, cpus, runtime_env
        self._sent = pickle_solver(solver)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.solver, self.workers, self.address, self.cpus, self.runtime_env, self.adaptive)

    def _count_workers(self) -> int:
        ray = _ray()
        if not ray.is_initialized():
            local = {"include_dashboard": False} if self.address is None else {}
            ray.init(address=self.address, log_to_driver=False, logging_level="warning", **local)
        return self.workers or max(1, int(ray.cluster_resources().get("CPU", 1.0) / self.cpus))

    def _worker_maker(self) -> Callable[[], Worker]:
        task = _ray().remote(reply_by_digest).options(num_cpus=self.cpus, max_retries=0, runtime_env=self.runtime_env)
        return partial(RayWorker, self._sent, task)


class RayWorker(RemoteWorker):
    """Has one chunk after the other solved by a task of Ray, in processes that Ray starts, keeps and replaces.

    Args:
        solver: the pickled solver.
        task: `reply_by_digest`, as Ray's.
    """

    def __init__(self, solver: bytes, task: Any) -> None:
        super().__init__(solver)
        self._task, self._digest = task, hashlib.sha256(solver).digest()
        self._place = _ray().put(solver)  # whence each process takes it
        self._running: Any = None

    def ask(self, message: bytes | None) -> bytes:
        """The answer of whichever process Ray picks."""
        ray = _ray()
        self._running = self._task.remote(self._digest, self._place, message)
        try:
            return bytes(ray.get(self._running))
        except ray.exceptions.RayError as crash:
            raise WorkerDiedError(str(crash).splitlines()[0]) from None
        finally:
            self._running = None

    def stop(self) -> None:
        """Kill the process that is at work, if one is.

        Ray 2.60 aborts our own process where a task is cancelled that has just ended ("Tried to complete task that was
        not pending"): so what has ended is never cancelled.
        """
        ray, running = _ray(), self._running
        if running is not None and ray.is_initialized():
            ray.cancel(running, force=True)


def _ray() -> Any:
    try:
        import ray
    except ImportError as missing:
        raise ImportError("OnRay needs Ray, which is not installed: pip install 'combdiff[ray]'") from missing
    return ray
