"""`Parallel` with two workers against its solver alone, over row times from a microsecond to 20 ms.

    pip install ortools
    python -m experiments.benchmarks.parallel

Above 1.8 is the bar for rows of 5 ms and more, with the back end that suits the solver (threads for SCIP, which lets
go of the GIL, processes for Python); above 0.9 everywhere, whatever the row and the back end.
"""

from __future__ import annotations

import numpy as np

from combdiff.solvers import Knapsack, Parallel, Solver, TopK
from experiments.benchmarks.busy import Busy
from experiments.benchmarks.timing import race

BATCH_SECONDS = 1.0


def hard_knapsack(items: int) -> Knapsack:
    """Solved by SCIP in several milliseconds a row."""
    weights = np.random.default_rng(0).integers(300, 800, (5, items)) / 100
    return Knapsack(weights, weights.sum(axis=1) / 3, backend="mip")


def compare(name: str, solver: Solver, rows: int) -> None:
    """Print what two workers gain."""
    theta = np.random.default_rng(1).uniform(1, 10, (rows, *solver.shape))
    with Parallel(solver, 2, "threads") as threads, Parallel(solver, 2, "processes") as processes:
        expected = solver.solve(theta).y
        for pool in (threads, processes):
            for _ in range(3):  # until the processes run
                np.testing.assert_array_equal(pool.solve(theta).y, expected)
        seconds = race(
            {
                "serial": lambda: solver.solve(theta),
                "threads": lambda: threads.solve(theta),
                "processes": lambda: processes.solve(theta),
            },
            rounds=7,
            warm_up=1,
        )
    print(
        f"{name:26} {seconds['serial'] / rows * 1e3:8.3f} ms a row, {rows:5} rows: threads "
        f"{seconds['serial'] / seconds['threads']:.2f} ×, processes {seconds['serial'] / seconds['processes']:.2f} ×"
    )


if __name__ == "__main__":
    compare("TopK", TopK(100, 10), 10_000)
    compare("TopK, one row", TopK(100, 10), 1)
    for row in (1e-5, 1e-4, 1e-3, 5e-3, 2e-2):
        compare(f"Python, {row * 1e3:g} ms", Busy(10, row), min(2000, max(20, int(BATCH_SECONDS / row))))
    compare("SCIP, knapsack of 40", hard_knapsack(40), 60)
    compare("SCIP, knapsack of 60", hard_knapsack(60), 30)
