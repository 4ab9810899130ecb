"""A cluster, through Ray."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from typing import Any

from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.chunks import solve_safely
from combdiff_solvers.pools.crew import Crew, WorkerBrokenError, WorkerDiedError
from combdiff_solvers.pools.pooled import Pooled
from combdiff_solvers.protocol import Solutions, Solver

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
        replaced: how many actors died and were replaced.

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
        try:
            self._pickled = pickle.dumps(solver, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            raise TypeError(
                f"the {type(solver).__name__} cannot be sent to an actor ({error}): define its function at the top "
                "of a module (a lambda cannot be pickled)"
            ) from error

    def _hire(self) -> Crew:
        ray, options, pickled = _ray(), self._options, self._pickled
        if not ray.is_initialized():
            local = {"include_dashboard": False} if options["address"] is None else {}
            ray.init(address=options["address"], log_to_driver=False, logging_level="warning", **local)
        workers = options["workers"] or max(1, int(ray.cluster_resources().get("CPU", 1.0) / options["cpus"]))
        return Crew(lambda: ActorWorker(pickled, options["cpus"], options["runtime_env"]), workers)

    def _describe(self) -> dict[str, Any]:
        return {"solver": self.solver, "adaptive": self.adaptive, **self._options}


class ActorWorker:
    """One actor with a warm solver."""

    def __init__(self, solver: bytes, cpus: float, runtime_env: dict[str, Any] | None) -> None:
        self._solver = solver
        self._options = {"num_cpus": cpus, "max_restarts": 0, "runtime_env": runtime_env}
        self._actor: Any = None
        self._stopped = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Have the actor made, and wait until it has its solver."""
        kind = _ray().remote(Actor).options(**self._options)
        with self._lock:
            if self._stopped:
                raise WorkerDiedError("it was stopped before it began")
            self._actor = kind.remote(self._solver)
        trouble = self._ask("load")
        if trouble is not None:
            raise WorkerBrokenError(trouble)

    @property
    def pid(self) -> int:
        """Of the actor's process, on its node."""
        number: int = self._ask("pid")
        return number

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> tuple[Solutions, float]:
        """Send a chunk and wait for its answer."""
        found: tuple[Solutions, float] = self._ask("solve", theta, instances)
        return found

    def _ask(self, method: str, *arguments: object) -> Any:
        ray = _ray()
        try:
            return ray.get(getattr(self._actor, method).remote(*arguments))
        except ray.exceptions.RayActorError as death:
            raise WorkerDiedError(str(death).splitlines()[0]) from None

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

    def __init__(self, solver: bytes) -> None:
        self._pickled = solver

    def load(self) -> str | None:
        """Unpickle the solver; what went wrong, or None."""
        try:
            self._solver: Solver = pickle.loads(self._pickled)
        except BaseException as error:
            return f"the solver cannot be loaded on a node: {type(error).__name__}: {error}"
        return None

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> tuple[Solutions, float]:
        """A chunk."""
        return solve_safely(self._solver, theta, instances, caught=BaseException)

    def pid(self) -> int:
        """Of this process."""
        import os

        return os.getpid()


def _ray() -> Any:
    try:
        import ray
    except ImportError as missing:
        raise ImportError("OnRay needs Ray, which is not installed: pip install 'combdiff[ray]'") from missing
    return ray
