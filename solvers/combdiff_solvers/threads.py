"""Run a kernel over the rows of a batch on several threads.

Kernels are `kernels.kernel` functions `kernel(first, last, *arrays)` that solve the rows first..last−1 and
write into disjoint rows, so the answer does not depend on the number of threads. A plain thread pool is used
instead of numba's own parallel loops because those may be entered by one thread at a time only (its
`workqueue` layer aborts the process otherwise) and do not survive a fork.
"""

from __future__ import annotations

import os
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
    """Call `kernel(first, last, *arrays)` over contiguous chunks that cover 0..rows.

    Args:
        kernel: a function that lets go of the GIL.
        rows: number of rows of the batch.
        arrays: what the kernel reads and writes.
        threads: at most so many chunks at a time; None for every core.
        grain: rows below which a chunk is not worth a thread.
    """
    chunks = max(1, min(threads or available_cores(), rows // max(1, grain)))
    if chunks == 1:
        kernel(0, rows, *arrays)
        return
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=available_cores(), thread_name_prefix="combdiff-rows")
    cuts = [rows * chunk // chunks for chunk in range(chunks + 1)]
    waiting = [_pool.submit(kernel, first, last, *arrays) for first, last in pairwise(cuts[1:])]
    try:
        kernel(cuts[0], cuts[1], *arrays)
    finally:
        for chunk in waiting:
            chunk.result()
