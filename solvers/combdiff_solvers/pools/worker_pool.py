"""Workers that solve chunks, and are replaced when they die.

Each worker has a thread of the calling process, its *driver*, that takes chunks from one queue and waits for the
worker. So a fast worker takes more chunks, and several callers may share a pool.
"""

from __future__ import annotations

import atexit
import ctypes
import pickle
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from numpy import ndarray

from combdiff_solvers.chunks import Timed, solve_safely
from combdiff_solvers.compute.forks import renew_after_fork
from combdiff_solvers.pools.messages import PoolError, pack, unpack
from combdiff_solvers.protocol import Rows, Sets

CLOSED = "the workers were closed while a batch was being solved"
DRIVER = "combdiff-driver"
MAX_CRASHES = 2  # a chunk that so many workers died on is cut into rows, and such a row is given up
JOIN_SECONDS = 2.0  # how long `close` waits for the drivers


class WorkerDiedError(Exception):
    """A worker ended while it had a chunk; the text says how."""


class Worker:
    """A solver in the driver's own thread, which cannot be stopped in the middle of a chunk; and the base of others.

    Args:
        solver: a solver that threads may share, or the pickle of one.
    """

    ready = False

    def __init__(self, solver: Any) -> None:
        self.solver = solver

    def start(self) -> None:
        """Make ready.

        Raises:
            WorkerDiedError: when it ended; any other exception means that another worker would fare no better.
        """
        if isinstance(self.solver, bytes):
            self.solver = pickle.loads(self.solver)

    def solve(self, theta: Rows, instances: Sets) -> Timed:
        """The answer and the seconds it took.

        Raises:
            WorkerDiedError: when the worker ended.
        """
        return solve_safely(self.solver, theta, instances)

    def stop(self) -> None:
        """End now, whatever it does; any thread may call it, at any time."""

    def abandon(self) -> None:
        """Forget it without a word: it belongs to the process that this one was forked from."""


class RemoteWorker(Worker):
    """A worker that is asked by messages; the first one, None, is answered when it has its solver."""

    def ask(self, message: bytes | None) -> bytes:
        """The worker's answer to a message."""
        raise NotImplementedError

    def start(self) -> None:
        unpack(self.ask(None))

    def solve(self, theta: Rows, instances: Sets) -> Timed:
        found, seconds = unpack(self.ask(pack((theta, instances))))
        return found, seconds


class WorkerPool:
    """`size` workers, which start at once and end with `close`.

    Attributes:
        closed: whether it takes no more chunks.
    """

    def __init__(self, make: Callable[[], Worker], size: int) -> None:
        self.size, self.closed, self._end = size, False, CLOSED
        self._make = make
        self._lock = threading.Lock()
        self._tasks: SimpleQueue[tuple[Future[Timed], ndarray, Sets] | None] = SimpleQueue()
        self._workers: set[Worker] = set()
        _pools.add(self)
        renew_after_fork(self)
        self._drivers = [threading.Thread(target=self._drive, name=DRIVER, daemon=True) for _ in range(size)]
        for driver in self._drivers:
            driver.start()

    @property
    def warm(self) -> bool:
        """Whether all workers wait for chunks or have one; while not, the caller had better work, too."""
        return sum(worker.ready for worker in list(self._workers)) == self.size

    def submit(self, theta: Rows, instances: Sets) -> Future[Timed]:
        """Have a chunk solved by the worker that is free first.

        The future may raise ContractError, PoolError and TravelError, which mean what they say; WorkerDiedError, after
        which the chunk may be submitted again; and what is no failure of a row, such as KeyboardInterrupt.

        Raises:
            PoolError: when the workers were closed, or cannot be started.
        """
        future: Future[Timed] = Future()
        with self._lock:
            if self.closed:
                raise PoolError(self._end)
            self._tasks.put((future, theta, instances))
        return future

    def close(self, reason: str = CLOSED) -> None:
        """End every worker."""
        with self._lock:
            if self.closed:
                return
            self.closed, self._end = True, reason
        with suppress(Empty):
            while task := self._tasks.get_nowait():
                if task[0].set_running_or_notify_cancel():
                    task[0].set_exception(PoolError(reason))
        for worker in list(self._workers):
            worker.stop()
        for _ in self._drivers:
            self._tasks.put(None)
        until = time.monotonic() + JOIN_SECONDS
        for driver in self._drivers:
            if driver.is_alive() and driver is not threading.current_thread():
                driver.join(max(0.0, until - time.monotonic()))

    def renew(self) -> None:
        """In a forked child: the threads are gone, and the workers are the parent's."""
        for worker in self._workers:
            worker.abandon()
        self.closed, self._lock, self._workers = True, threading.Lock(), set()

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
                return
            if not self._solve(worker, *task):
                worker = None
            del task  # else its arrays live until the next one

    def _start(self, tries: int = MAX_CRASHES) -> Worker:
        """A worker that is ready."""
        with self._lock:
            if self.closed:
                raise PoolError(self._end)
            worker = self._make()
            self._workers.add(worker)
        try:
            worker.start()
        except WorkerDiedError:
            self._workers.discard(worker)
            if not tries:
                raise
            return self._start(tries - 1)
        worker.ready = True
        return worker

    def _solve(self, worker: Worker, future: Future[Timed], theta: Rows, instances: Sets) -> bool:
        """Give a chunk to a worker; false if it died on it."""
        if not future.set_running_or_notify_cancel():
            return True
        try:
            future.set_result(worker.solve(theta, instances))
        except WorkerDiedError as crash:
            worker.stop()
            self._workers.discard(worker)
            future.set_exception(PoolError(self._end) if self.closed else crash)
            return False
        except BaseException as error:  # sys.exit() in a thread, too: it is the caller's, as without workers
            future.set_exception(error)
        return True


def hang_instead_of_abort() -> None:
    """Have a thread that comes back from C++ after the interpreter's end wait for the end of the process.

    To be called at the end of the interpreter. CPython before 3.14 ends such a thread by `pthread_exit`, which unwinds
    its stack as an exception does; at the first destructor of a C++ library (OR-Tools releases the GIL by one) that is
    `std::terminate`, which aborts the whole process. CPython 3.14 has the thread hang, and so does this: it makes
    `pause` the handler of `std::terminate`. Only glibc unwinds in `pthread_exit`, so other systems need nothing.
    """
    if sys.platform != "linux" or sys.version_info >= (3, 14):
        return
    with suppress(OSError, AttributeError):  # another libc: nothing to mend
        set_terminate = ctypes.CDLL("libstdc++.so.6")._ZSt13set_terminatePFvvE
        set_terminate.argtypes, set_terminate.restype = [ctypes.c_void_p], ctypes.c_void_p
        set_terminate(ctypes.cast(ctypes.CDLL(None).pause, ctypes.c_void_p))


_pools: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    for pool in list(_pools):
        pool.close()
    if any(thread.name == DRIVER for thread in threading.enumerate()):
        hang_instead_of_abort()
