"""`OnRay` on a local cluster of two CPUs against its solver alone, and with a process killed in the middle of a batch.

    pip install -e '.[benchmarks]'
    python -m experiments.benchmarks.ray

The bar is 1.6 × for rows of 20 ms.
"""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import ray

from combdiff.solvers import OnRay
from experiments.benchmarks.busy import Busy
from experiments.benchmarks.timing import race

ROWS, SECONDS = 200, 0.02


def main() -> None:
    """Print both."""
    solver = Busy(10, SECONDS)
    theta = np.random.default_rng(0).normal(size=(ROWS, 10))
    expected = solver.solve(theta).y
    with OnRay(solver, workers=2) as pool:
        for _ in range(3):  # until both are there
            np.testing.assert_array_equal(pool.solve(theta).y, expected)
        seconds = race({"serial": lambda: solver.solve(theta), "ray": lambda: pool.solve(theta)}, rounds=3, warm_up=1)
        print(f"rows of 20 ms, two processes: {seconds['serial'] / seconds['ray']:.2f} × serial (bar 1.6 ×)")
        pid = ray.get(ray.remote(os.getpid).remote())  # of a process that waits for chunks
        threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
        began = time.perf_counter()
        found = pool.solve(theta)
        took = time.perf_counter() - began
        assert np.array_equal(found.y, expected)
        print(f"one process killed: all rows right, {pool.replaced} replaced, {seconds['serial'] / took:.2f} × serial")


if __name__ == "__main__":
    main()
