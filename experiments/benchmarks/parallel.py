"""`Parallel` with two workers against its solver alone: real solvers, and row times from a microsecond to 20 ms.

    pip install -e '.[benchmarks]'
    python -m experiments.benchmarks.parallel

Above 1.8 is the bar for rows of 5 ms and more, with the back end that suits the solver (threads for those that let go
of the GIL, processes for Python); above 0.9 everywhere, whatever the row and the back end. Where Ray is installed:
`OnRay` on a local cluster of two CPUs with rows of 20 ms, whose bar is 1.6, and with a process killed amid a batch.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time
from functools import partial

import numpy as np
from numpy import ndarray
from pysat.formula import CNF

from combdiff.solvers import MixedInteger, OnRay, Parallel, Solver, TopK, wrap
from experiments.benchmarks.busy import Busy
from experiments.benchmarks.timing import race

BATCH_SECONDS = 0.6


def knapsack_weights(items: int) -> ndarray:
    """Of five dimensions."""
    return np.random.default_rng(0).integers(300, 800, (5, items)) / 100


def mixed_integer(items: int, backend: str) -> Solver:
    """A knapsack by OR-Tools."""
    weights = knapsack_weights(items)
    room = weights.sum(axis=1) / 3
    return MixedInteger(weights, room, sense="max", integrality=1, bounds=(0, 1), backend=backend)


def native_scip(items: int) -> Solver:
    """The same by SCIP itself."""
    from pyscipopt import Model, quicksum

    model, weights = Model(), knapsack_weights(items)
    take = [model.addVar(vtype="B") for _ in range(items)]
    for row in weights:
        model.addCons(quicksum(w * x for w, x in zip(row.tolist(), take, strict=True)) <= float(row.sum() / 3))
    return wrap(model, take, sense="max")


def max_sat(variables: int) -> Solver:
    """A random 3-SAT formula under weights, by RC2."""
    rng = np.random.default_rng(0)
    clauses = [
        (rng.choice(variables, 3, replace=False) + 1) * rng.choice([-1, 1], 3) for _ in range(int(3.7 * variables))
    ]
    return wrap(CNF(from_clauses=[clause.tolist() for clause in clauses]), list(range(1, variables + 1)), backend="rc2")


def compare(name: str, solver: Solver, rows: int) -> None:
    """Print what two workers gain."""
    theta = np.random.default_rng(1).uniform(1, 10, (rows, *solver.shape))
    with Parallel(solver, 2, "threads") as threads, Parallel(solver, 2, "processes") as processes:
        expected = solver.solve(theta).y
        for pool in (threads, processes):
            for _ in range(3):  # until the processes run
                np.testing.assert_array_equal(pool.solve(theta).y, expected)
        solvers = {"serial": solver, "threads": threads, "processes": processes}
        seconds = race({key: partial(one.solve, theta) for key, one in solvers.items()}, rounds=7, warm_up=1)
    print(
        f"{name:26} {seconds['serial'] / rows * 1e3:8.3f} ms a row, {rows:5} rows: threads "
        f"{seconds['serial'] / seconds['threads']:.2f} ×, processes {seconds['serial'] / seconds['processes']:.2f} ×",
        flush=True,
    )


def compare_ray(rows: int = 200, seconds_a_row: float = 0.02) -> None:
    """Print what two processes of Ray gain, with and without the death of one."""
    import ray

    solver = Busy(10, seconds_a_row)
    theta = np.random.default_rng(0).normal(size=(rows, 10))
    expected = solver.solve(theta).y
    with OnRay(solver, workers=2) as pool:
        for _ in range(3):  # until both are there
            np.testing.assert_array_equal(pool.solve(theta).y, expected)
        seconds = race({"serial": lambda: solver.solve(theta), "ray": lambda: pool.solve(theta)}, rounds=3, warm_up=1)
        print(f"rows of 20 ms, two processes: {seconds['serial'] / seconds['ray']:.2f} × serial (bar 1.6 ×)")
        pid = ray.get(ray.remote(lambda: os.getpid()).remote())  # of a process that waits for chunks
        threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
        began = time.perf_counter()
        found = pool.solve(theta)
        took = time.perf_counter() - began
        np.testing.assert_array_equal(found.y, expected)
        print(f"one process killed: all rows right, {pool.replaced} replaced, {seconds['serial'] / took:.2f} × serial")


if __name__ == "__main__":
    compare("SCIP", native_scip(30), 60)
    compare("MIP, SCIP in OR-Tools", mixed_integer(24, "scip"), 60)
    compare("MIP, HiGHS in OR-Tools", mixed_integer(24, "highs"), 60)
    compare("CP-SAT", mixed_integer(24, "cp_sat"), 60)
    compare("RC2", max_sat(60), 60)
    for batch in (10_000, 100, 10, 1):
        compare("TopK", TopK(100, 10), batch)
    for row in (1e-5, 1e-4, 1e-3, 5e-3, 2e-2):
        compare(f"Python, {row * 1e3:g} ms", Busy(10, row), min(2000, max(20, int(BATCH_SECONDS / row))))
    if importlib.util.find_spec("ray"):
        compare_ray()
