"""What a forked child makes anew: it gets a copy of every lock as it is, but only the thread that called `fork`."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

_owners: weakref.WeakSet[Any] = weakref.WeakSet()


def renew_after_fork(owner: object) -> None:
    """Have `owner.renew()` called in every forked child while the owner lives."""
    _owners.add(owner)


class ForkSafeLock:
    """A lock for `with`, of which a forked child has its own: one that another thread held would never be released.

    >>> lock = ForkSafeLock()
    >>> with lock.current:
    ...     print("held")
    held
    """

    def __init__(self) -> None:
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Replace the lock, not its holder: the thread that forked leaves its `with` block by the old one."""
        self.current = threading.Lock()


def _renew() -> None:
    for owner in list(_owners):
        owner.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
