"""Run a kernel over the rows of a batch on several threads.

Kernels are `kernels.kernel` functions `kernel(first, last, *arrays)` that solve the rows first..last−1 and
write into disjoint rows, so the answer does not depend on the number of threads. A plain thread pool is used
instead of numba's own parallel loops because those may be entered by one thread at a time only (its
`workqueue` layer aborts the process otherwise) and do not survive a fork.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

_pool: ThreadPoolExecutor | None = None


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def available_cores() -> int:
    """The number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int | None) -> int | None:
    """Return `threads` if it is None or at least 1.

    Raises:
        ValueError: otherwise.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads={threads} must be at least 1, or None for every core")
    return threads


def for_rows(kernel: Callable[..., None], rows: int, *arrays: object, threads: int | None, grain: int = 1) -> None:
    """Call `kernel(first, last, *arrays)` over contiguous pieces that cover 0..rows.

    Threads take pieces as they are free, so one that wakes up late, or meets hard rows, is not waited for.

    Args:
        kernel: a function that lets go of the GIL.
        rows: number of rows of the batch.
        arrays: what the kernel reads and writes.
        threads: at most so many pieces at a time; None for every core.
        grain: rows for which it is not worth to wake up another thread; pieces may be a quarter of it.
    """
    count = max(1, min(threads or available_cores(), rows // max(1, grain)))
    if count == 1:
        kernel(0, rows, *arrays)
        return
    todo = deque(_pieces(rows, count, max(1, grain // 4)))

    def work() -> None:
        while True:
            try:
                first, last = todo.popleft()  # atomic
            except IndexError:
                return
            kernel(first, last, *arrays)

    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=available_cores(), thread_name_prefix="combdiff-rows")
    helpers = [_pool.submit(work) for _ in range(count - 1)]
    try:
        work()
    finally:
        for helper in helpers:
            if not helper.cancel():
                helper.result()


def _pieces(rows: int, threads: int, least: int) -> list[tuple[int, int]]:
    """Pieces of at least so many rows, large ones first, so that all threads end at about the same time.

    >>> _pieces(100, 2, 10)
    [(0, 33), (33, 55), (55, 70), (70, 80), (80, 90), (90, 100)]
    """
    cuts = [0]
    while cuts[-1] < rows:
        left = rows - cuts[-1]
        cuts.append(rows if left < 2 * least else cuts[-1] + max(least, left // (threads + 1)))
    return list(pairwise(cuts))
