"""Executors of ours: threads that do not keep the interpreter alive, each of which may have a process of its own."""

from __future__ import annotations

import atexit
import ctypes
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from combdiff_solvers.compute.forks import renew_after_fork

JOIN_SECONDS = 2.0  # how long `shutdown` waits for the threads


class WorkerPool(Executor):
    """`size` threads. A `ThreadPoolExecutor` would have the interpreter wait at its end for a row of ten minutes.

    Attributes:
        closed: whether it takes no more tasks. It takes none in a forked child, where the threads are gone.
    """

    def __init__(self, size: int) -> None:
        self.closed = False
        self.processes: dict[int, Any] = {}  # those of the threads, in a `ProcessPool`
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[..., Any], Any] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(size)]
        _executors.add(self)
        renew_after_fork(self)
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._tasks.put((future, function, arguments))
        if self.closed:  # since when nobody has looked for tasks
            future.cancel()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """Cancel what has not begun, kill the processes, and wait a little for the threads."""
        if self.closed:
            return
        self.closed = True
        with suppress(Empty):
            while task := self._tasks.get_nowait():
                task[0].cancel()
        for process in list(self.processes.values()):
            process.kill()
            process.wait()
        for _ in self._threads:
            self._tasks.put(None)
        until = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def renew(self) -> None:
        """In a forked child: the threads are gone, and the processes are the parent's."""
        for process in self.processes.values():
            process.pipe.close()
        self.closed, self.processes, self._threads = True, {}, []

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns, in one of the threads."""
        return function(*arguments)

    def _run(self) -> None:
        while task := self._tasks.get():
            self._answer(*task)
            del task  # else its arrays live until the next one

    def _answer(self, future: Future[Any], function: Callable[..., Any], arguments: Any) -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(self.call(function, *arguments))
            except BaseException as error:  # sys.exit(), too: it is the caller's, as without workers
                future.set_exception(error)


_executors: weakref.WeakSet[WorkerPool] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    """End all threads; one that comes back from C++ later waits for the end of the process.

    CPython before 3.14 ends such a thread by `pthread_exit`, which unwinds its stack as an exception does; at the first
    destructor of a C++ library (OR-Tools releases the GIL by one) that is `std::terminate`, which aborts the whole
    process. CPython 3.14 has the thread hang, and so does this: it makes `pause` the handler of `std::terminate`. Only
    glibc unwinds in `pthread_exit`, so other systems need nothing.
    """
    for executor in list(_executors):
        executor.shutdown()
    busy = any(thread.is_alive() for executor in list(_executors) for thread in executor._threads)
    if busy and sys.platform == "linux" and sys.version_info < (3, 14):
        with suppress(OSError, AttributeError):  # another libc: nothing to mend
            pause = ctypes.cast(ctypes.CDLL(None).pause, ctypes.c_void_p)
            ctypes.CDLL("libstdc++.so.6")._ZSt13set_terminatePFvvE(pause)
