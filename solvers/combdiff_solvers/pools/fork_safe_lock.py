"""A lock that a forked child does not inherit from a thread that it has not got."""

from __future__ import annotations

import os
import threading
import weakref


class ForkSafeLock:
    """A `threading.Lock` for `with`, made anew in a forked child unless the thread that forked holds it.

    `fork` copies a lock as it is, but of all threads only the one that called it: a lock that another thread held
    would stay locked in the child for ever.

    >>> lock = ForkSafeLock()
    >>> with lock:
    ...     print("held")
    held
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._holder = None
        self._lock.release()

    def after_fork(self) -> None:
        """In a forked child: free the lock of a thread that is not here."""
        if self._holder != threading.get_ident():
            self._lock, self._holder = threading.Lock(), None


_locks: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


def _after_fork() -> None:
    for lock in list(_locks):
        lock.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
