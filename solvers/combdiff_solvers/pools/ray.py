"""A cluster, through Ray."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from combdiff_solvers.compute.forks import renew_after_fork
from combdiff_solvers.pools.parallel import Parallel
from combdiff_solvers.pools.workers import RemoteWorkers, Workers
from combdiff_solvers.protocol import Solver


class OnRay(Parallel):
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
        if cpus <= 0:
            raise ValueError(f"cpus={cpus} must be above 0")
        _ray()
        self.address, self.cpus, self.runtime_env = address, cpus, runtime_env
        super().__init__(solver, workers, "processes", adaptive)
        self._overhead, self._chunks_per_worker = 5e-3, 1

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.solver, self.workers, self.address, self.cpus, self.runtime_env, self.adaptive)

    def _count_workers(self) -> int:
        ray = _ray()
        if not ray.is_initialized():
            local = {"include_dashboard": False} if self.address is None else {}
            ray.init(address=self.address, log_to_driver=False, logging_level="warning", **local)
        return self.workers or max(1, int(ray.cluster_resources().get("CPU", 1.0) / self.cpus))

    def _start(self) -> Workers:
        executor = RayExecutor(num_cpus=self.cpus, runtime_env=self.runtime_env)
        return RemoteWorkers(executor, self._sent, self.policy.workers, owned=True)


class RayExecutor(Executor):
    """Runs functions as tasks of Ray, in processes that Ray starts, keeps and replaces.

    Args:
        options: of the tasks, as Ray calls them.
    """

    def __init__(self, **options: Any) -> None:
        self._call = _ray().remote(_call).options(max_retries=0, **options)
        renew_after_fork(self)
        self.renew()

    def renew(self) -> None:
        """In a forked child: the tasks are the parent's."""
        self._running: dict[Future[Any], Any] = {}

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        task = self._call.remote(function, *arguments)
        future: Future[Any] = task.future()
        future.set_running_or_notify_cancel()  # it may be
        self._running[future] = task
        future.add_done_callback(self._running.pop)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """Kill the processes that are at work.

        Ray 2.60 aborts our own process where a task is cancelled that has just ended ("Tried to complete task that was
        not pending"): so what has ended is never cancelled.
        """
        ray = _ray()
        for task in list(self._running.values()):
            if ray.is_initialized() and not ray.wait([task], timeout=0)[0]:
                ray.cancel(task, force=True)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _ray() -> Any:
    try:
        import ray
    except ImportError as missing:
        raise ImportError("OnRay needs Ray, which is not installed: pip install 'combdiff[ray]'") from missing
    return ray
