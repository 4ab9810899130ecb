"""Our own executor of chunks: workers that are replaced when they die.

Each worker has a thread of the calling process, its *driver*, that takes chunks from one queue and waits for the
worker. So a fast worker takes more chunks, and several callers may share a pool.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.chunks import solve_safely
from combdiff_solvers.pools.messages import pack, unpack
from combdiff_solvers.pools.quiet_exit import hang_instead_of_abort
from combdiff_solvers.pools.schedule import MAX_CRASHES, Answer, PoolError
from combdiff_solvers.protocol import Solver

CLOSED = "the workers were closed while a batch was being solved"
DRIVER = "combdiff-driver"
JOIN_SECONDS = 2.0  # how long `close` waits for the drivers


class WorkerDiedError(Exception):
    """A worker ended while it had a chunk; the text says how."""


class Worker:
    """Whoever solves chunks. `stop` may be called from any thread, at any time."""

    def start(self) -> None:
        """Make ready.

        Raises:
            WorkerDiedError: when it ended; any other exception means that another worker would fare no better.
        """

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Answer:
        """The answer and the seconds it took.

        Raises:
            WorkerDiedError: when the worker ended.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """End now, whatever it does."""

    def abandon(self) -> None:
        """Forget it without a word: it belongs to the process that this one was forked from."""


class ThreadWorker(Worker):
    """A solver for one thread of this process, which cannot be stopped in the middle of a chunk."""

    def __init__(self, solver: Solver) -> None:
        self._solver = solver

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Answer:
        """Solve in the driver's own thread."""
        return solve_safely(self._solver, theta, instances)


class RemoteWorker(Worker):
    """A worker that is asked by messages."""

    def ask(self, message: bytes) -> bytes:
        """The worker's answer to a message."""
        raise NotImplementedError

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Answer:
        """Send a chunk and wait for its answer."""
        found: Answer = unpack(self.ask(pack((theta, instances))))
        return found


class _Task(NamedTuple):
    future: Future[Any]
    theta: Float64[ndarray, "b n"]
    instances: Sequence[Any] | None


class WorkerPool:
    """`size` workers, which start at once and end with `close`."""

    def __init__(self, make: Callable[[], Worker], size: int) -> None:
        self.size = size
        self.closed = False
        self._end = CLOSED  # what is said of it
        self._make = make
        self._lock = threading.Lock()
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._workers: set[Worker] = set()
        self._ready: set[Worker] = set()
        _pools.add(self)
        self._drivers = [threading.Thread(target=self._drive, name=DRIVER, daemon=True) for _ in range(size)]
        for driver in self._drivers:
            driver.start()

    @property
    def warm(self) -> bool:
        """Whether all workers wait for chunks or have one."""
        return len(self._ready) == self.size

    def submit(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None, again: bool) -> Future[Any]:
        """Have a chunk solved by the worker that is free first."""
        task = _Task(Future(), theta, instances)
        with self._lock:
            if self.closed:
                raise PoolError(self._end)
            self._tasks.put(task)
        return task.future

    def close(self, reason: str = CLOSED) -> None:
        """End every worker."""
        with self._lock:
            if not self.closed:
                self.closed, self._end = True, reason
            drivers, self._drivers = self._drivers, []
            workers, self._workers = self._workers, set()
        with suppress(Empty):
            while True:
                task = self._tasks.get_nowait()
                if task is not None and task.future.set_running_or_notify_cancel():
                    task.future.set_exception(PoolError(self._end))
        for worker in workers:
            worker.stop()
        for _ in drivers:
            self._tasks.put(None)
        until = time.monotonic() + JOIN_SECONDS
        for driver in drivers:
            if driver.is_alive() and driver is not threading.current_thread():
                driver.join(max(0.0, until - time.monotonic()))

    def abandon(self) -> None:
        """In a forked child: the threads are gone, and the workers are the parent's."""
        for worker in self._workers:
            worker.abandon()
        self.closed, self._lock, self._drivers, self._workers = True, threading.Lock(), [], set()

    def _drive(self) -> None:
        """The life of a driver: one chunk after the other."""
        worker: Worker | None = None
        while not self.closed:
            try:
                worker = worker or self._start()
            except BaseException as error:
                self.close(f"a worker could not start: {error}")
                return
            task = self._tasks.get()
            if task is None:
                break
            if task.future.set_running_or_notify_cancel() and not self._solve(worker, task):
                worker = None
            del task  # else its arrays live until the next one
        if worker is not None:
            worker.stop()

    def _solve(self, worker: Worker, task: _Task) -> bool:
        """Give a chunk to a worker; false if it died on it."""
        try:
            found = worker.solve(task.theta, task.instances)
        except WorkerDiedError as crash:
            worker.stop()
            with self._lock:
                self._workers.discard(worker)
                self._ready.discard(worker)
            task.future.set_exception(PoolError(self._end) if self.closed else crash)
            return False
        except BaseException as error:  # sys.exit() in a thread, too: it is the caller's, as without workers
            task.future.set_exception(error)
        else:
            task.future.set_result(found)
        return True

    def _start(self) -> Worker:
        """A worker that is ready."""
        for attempt in range(1 + MAX_CRASHES):
            worker = self._make()
            with self._lock:
                if self.closed:
                    raise PoolError(CLOSED)
                self._workers.add(worker)
            try:
                worker.start()
            except WorkerDiedError:
                with self._lock:
                    self._workers.discard(worker)
                if attempt == MAX_CRASHES:
                    raise
                continue
            self._ready.add(worker)
            return worker
        raise AssertionError


_pools: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.abandon()


def _at_exit() -> None:
    for pool in list(_pools):
        pool.close()
    if any(thread.name == DRIVER for thread in threading.enumerate()):
        hang_instead_of_abort()


atexit.register(_at_exit)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
