"""A cluster, through Ray."""

from __future__ import annotations

import os
import threading
from typing import Any

from combdiff_solvers.pools.messages import LoadError, load_solver, pack, pickle_solver, reply, unpack
from combdiff_solvers.pools.pooled import Pooled
from combdiff_solvers.pools.schedule import ChunkExecutor
from combdiff_solvers.pools.worker_pool import RemoteWorker, WorkerDiedError, WorkerPool
from combdiff_solvers.protocol import Solver

__all__ = ["OnRay"]


class OnRay(Pooled):
    """Solves the rows of a batch on the actors of a Ray cluster, each with a warm solver of its own.

    The contract is that of `Parallel`: the answers are those of the plain solver, chunks of rows travel, an actor
    that dies is replaced and its chunk solved again, Ctrl-C ends all actors, and cheap batches stay here.

    Where Ray does not run in this process yet, `ray.init(address)` is called: without an address it starts a local
    cluster with this machine's cores. The nodes of a remote cluster need combdiff (its solvers, not torch) and
    whatever the solver is made of; give them by `runtime_env`, or call `ray.init` yourself before.

    Args:
        solver: what solves a chunk; it travels by pickle, once for each actor.
        workers: how many actors; one for each CPU of the cluster if None.
        address: of a cluster, such as "auto" or "ray://head:10001"; None for a local one.
        cpus: what each actor takes of its node.
        runtime_env: Ray's description of what the actors need (`pip`, `py_modules`, ...).
        adaptive: whether cheap batches are solved in the calling thread.

    Attributes:
        replaced: how many actors died in the middle of a chunk.

    Raises:
        ImportError: when Ray is not installed.
        ValueError: for fewer than one worker, or `cpus` that are not positive.
        TypeError: for what is no solver or cannot be pickled.

    Source: P. Moritz et al. (2018), "Ray: a distributed framework for emerging AI applications".
    """

    overhead = 5e-3
    slow_start = True

    def __init__(
        self,
        solver: Solver,
        workers: int | None = None,
        address: str | None = None,
        cpus: float = 1.0,
        runtime_env: dict[str, Any] | None = None,
        adaptive: bool = True,
    ) -> None:
        super().__init__(solver, adaptive)
        if workers is not None and workers < 1:
            raise ValueError(f"workers={workers} must be at least 1, or None for one a CPU")
        if cpus <= 0:
            raise ValueError(f"cpus={cpus} must be above 0")
        _ray()
        self._options: dict[str, Any] = {
            "workers": workers, "address": address, "cpus": cpus, "runtime_env": runtime_env
        }  # fmt: skip
        self._pickled = pickle_solver(solver)

    def _count_workers(self) -> int:
        ray, options = _ray(), self._options
        if not ray.is_initialized():
            local = {"include_dashboard": False} if options["address"] is None else {}
            ray.init(address=options["address"], log_to_driver=False, logging_level="warning", **local)
        return options["workers"] or max(1, int(ray.cluster_resources().get("CPU", 1.0) / options["cpus"]))

    def _start_workers(self) -> ChunkExecutor:
        pickled, cpus, runtime_env = self._pickled, self._options["cpus"], self._options["runtime_env"]
        return WorkerPool(lambda: ActorWorker(pickled, cpus, runtime_env), self.policy.workers)

    def _describe(self) -> dict[str, Any]:
        return {"solver": self.solver, "adaptive": self.adaptive, **self._options}


class ActorWorker(RemoteWorker):
    """One actor with a warm solver."""

    def __init__(self, solver: bytes, cpus: float, runtime_env: dict[str, Any] | None) -> None:
        self._solver = solver
        self._options = {"num_cpus": cpus, "max_restarts": 0, "runtime_env": runtime_env}
        self._actor: Any = None
        self._stopped = False
        self._lock = threading.Lock()
        self.pid = 0

    def start(self) -> None:
        """Have the actor made, and wait until it has its solver."""
        with self._lock:
            if self._stopped:
                raise WorkerDiedError("it was stopped before it began")
            self._actor = _ray().remote(Actor).options(**self._options).remote()
        self.pid = self._ask("pid")
        unpack(self._ask("load", self._solver))

    def ask(self, message: bytes) -> bytes:
        """Send a message and wait for its answer."""
        answer: bytes = self._ask("reply", message)
        return answer

    def _ask(self, method: str, *arguments: object) -> Any:
        ray = _ray()
        try:
            return ray.get(getattr(self._actor, method).remote(*arguments))
        except ray.exceptions.RayActorError as crash:
            raise WorkerDiedError(str(crash).splitlines()[0]) from None

    def stop(self) -> None:
        """Kill the actor."""
        ray = _ray()
        with self._lock:
            self._stopped = True
            if self._actor is not None and ray.is_initialized():
                ray.kill(self._actor)

    def abandon(self) -> None:
        """Leave the actor to the parent."""
        self._actor = None


class Actor:
    """What runs on a node of the cluster."""

    def pid(self) -> int:
        """Of this process."""
        return os.getpid()

    def load(self, pickled: bytes) -> bytes:
        """Unpickle the solver."""
        try:
            self._solver = load_solver(pickled)
        except LoadError as error:
            return pack(error)
        return pack("ready")

    def reply(self, message: bytes) -> bytes:
        """The answers to the rows of a message."""
        return reply(self._solver, message)


def _ray() -> Any:
    try:
        import ray
    except ImportError as missing:
        raise ImportError("OnRay needs Ray, which is not installed: pip install 'combdiff[ray]'") from missing
    return ray
