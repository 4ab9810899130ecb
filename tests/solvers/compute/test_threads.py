"""Rows on several threads."""

import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from combdiff_solvers.compute.threads import _pieces, for_rows


@pytest.mark.parametrize("rows", [2, 3, 10, 97, 1000])
@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize("least", [1, 7, 5000])
def test_pieces_cover_every_row_once_and_suffice_for_all_threads(rows: int, threads: int, least: int) -> None:
    pieces = _pieces(rows, threads, least)
    assert [row for first, last in pieces for row in range(first, last)] == list(range(rows))
    assert all(last - first >= min(least, rows) for first, last in pieces)
    assert len(pieces) >= min(threads, rows // least)


def test_every_row_is_done_once_for_callers_at_the_same_time() -> None:
    def call(caller: int) -> np.ndarray:
        done = np.zeros(503, np.int64)

        def count(first: int, last: int, target: np.ndarray) -> None:
            target[first:last] += 1

        for_rows(count, 503, done, threads=4, grain=3)
        return done

    with ThreadPoolExecutor(8) as callers:
        assert all((done == 1).all() for done in callers.map(call, range(40)))


def test_a_thread_that_is_free_takes_the_next_piece() -> None:
    """The first piece waits until all others are done, so they must have been done elsewhere."""
    others, by = threading.Event(), Counter[str]()

    def slow(first: int, last: int) -> None:
        if first == 0:
            assert others.wait(60), "nobody else took the other pieces"
        by[threading.current_thread().name] += last - first
        if last == 100:
            others.set()

    for_rows(slow, 100, threads=2, grain=1)
    assert sum(by.values()) == 100
    assert len(by) == 2


def test_an_error_in_any_piece_arrives() -> None:
    def fail(first: int, last: int) -> None:
        if last == 100:
            raise ZeroDivisionError(f"rows {first} to {last}")

    with pytest.raises(ZeroDivisionError, match="to 100"):
        for_rows(fail, 100, threads=2, grain=1)


BUSY_THREADS = """
import os, threading
import numpy as np
from combdiff_solvers import Assignment, Cached, Knapsack, ShortestPath, TopK

def used(of_ours):
    ours = {str(thread.native_id) for thread in threading.enumerate()}
    tasks = [task for task in os.listdir("/proc/self/task") if (task in ours) == of_ours]
    return sum(int(open(f"/proc/self/task/{task}/schedstat").read().split()[0]) for task in tasks)

rng = np.random.default_rng(0)
pool = Cached(TopK(40, 5), solve_ratio=0.1)
for solver in (ShortestPath.grid(12), Assignment(12), pool, Knapsack(rng.random((1, 40)), 5.0), TopK(40, 3)):
    theta = rng.random((4000, int(np.prod(solver.shape))))
    solver.solve(theta)
before = used(False)
for solver in (ShortestPath.grid(12), Assignment(12), pool, Knapsack(rng.random((1, 40)), 5.0), TopK(40, 3)):
    for _ in range(3):
        solver.solve(rng.random((4000, int(np.prod(solver.shape)))))
print((used(False) - before) / used(True))
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not tell the threads of a process")
def test_no_thread_but_ours_is_busy_in_a_batch() -> None:
    """Threads of BLAS spin between its calls: they would take the cores of those that solve."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", BUSY_THREADS], env=environment, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 0.02
