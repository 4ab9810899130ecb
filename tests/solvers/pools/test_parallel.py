"""Parallel: the contract, dying workers, Ctrl-C and forks."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff.testing import HYPERSIMPLEX, SolverContract
from combdiff_solvers import KSubset, KSubsetInstances, Parallel, ShortestPath, Solver, Status, TopK
from tests.solvers.probes import Dies, Probe, Raises, Reports
from tests.solvers.scripts import finish, start, wait_until


@pytest.fixture
def theta() -> Float64[ndarray, "b n"]:
    return np.random.default_rng(0).normal(size=(60, 4))


def alive(pid: int) -> bool:
    """Whether a process runs (one that ended and was not collected does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(pool: Parallel) -> list[int]:
    """The worker processes."""
    workers: Any = pool.executor.executor
    return [process.pid for process in list(workers.processes.values())]


class TestThreads(SolverContract):
    def make(self) -> Solver:
        return Parallel(TopK(4, 2), workers=2, adaptive=False)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return HYPERSIMPLEX


class TestAdaptive(SolverContract):
    def make(self) -> Solver:
        return Parallel(KSubset(4, 2), workers=2)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return HYPERSIMPLEX

    def instances(self, solver: Solver, rows: int) -> KSubsetInstances:
        return KSubsetInstances(allowed=np.arange(4 * rows).reshape(rows, 4) % 3 > 0)

    def feasible_set_of(self, solver: Solver, instance: Any) -> Float64[ndarray, "k n"]:
        return HYPERSIMPLEX[(instance["allowed"] >= HYPERSIMPLEX).all(axis=1)]


class TestProcesses(SolverContract):
    pool: Parallel | None = None

    def make(self) -> Solver:
        if TestProcesses.pool is None:
            TestProcesses.pool = Parallel(TopK(4, 2), workers=2, backend="processes", adaptive=False)
        return TestProcesses.pool

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return HYPERSIMPLEX

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def close(cls) -> Iterator[None]:
        yield
        if TestProcesses.pool is not None:
            TestProcesses.pool.close()
            TestProcesses.pool = None


@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.parametrize("workers", [1, 3])
def test_answers_are_those_of_the_solver_in_order(backend: Any, workers: int, theta: ndarray) -> None:
    instances = ["nothing" if row % 7 == 3 else "any" for row in range(60)]
    expected = Probe().solve(theta, instances)
    with Parallel(Probe(), workers, backend, adaptive=False) as pool:
        found = pool.solve(theta, instances)
    np.testing.assert_array_equal(found.y, expected.y)
    np.testing.assert_array_equal(found.objective, expected.objective)
    np.testing.assert_array_equal(found.status, expected.status)
    assert found.messages == expected.messages


def test_instances_in_columns_are_cut_with_the_rows() -> None:
    rng = np.random.default_rng(0)
    solver = ShortestPath.grid(4)
    walls = [{"obstacles": rng.random((4, 4)) < 0.2} for _ in range(50)]
    theta = rng.random((50, 16))
    with Parallel(solver, 2, adaptive=False) as pool:
        np.testing.assert_array_equal(pool.solve(theta, walls).y, solver.solve(theta, walls).y)


@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_an_exception_is_the_status_of_its_row(backend: Any, adaptive: bool, theta: ndarray) -> None:
    theta[[5, 40], 0] = 101.0, 102.0
    with Parallel(Raises(), 2, backend, adaptive) as pool:
        found = pool.solve(theta)
    assert np.flatnonzero(found.status).tolist() == [5, 40]
    assert found.messages == {5: "RuntimeError: no 101, please", 40: "RuntimeError: no 102, please"}
    assert np.isnan(found.y[[5, 40]]).all()
    good = found.status == Status.OPTIMAL
    np.testing.assert_array_equal(found.y[good], Probe().solve(theta[good]).y)


def test_a_misuse_is_an_error_as_without_the_pool(theta: ndarray) -> None:
    with Parallel(TopK(4, 2), 2, adaptive=False) as pool, pytest.raises(ValueError, match="takes no instances"):
        pool.solve(theta, [None] * 60)


def test_each_worker_has_a_warm_solver_without_torch(theta: ndarray) -> None:
    assert "torch" in sys.modules
    with Parallel(Reports(seconds=0.001), 2, "processes", adaptive=False) as pool:
        seen = np.vstack([pool.solve(theta).y[:, :3] for _ in range(3)])
    assert 1 <= len(set(seen[:, 0])) <= 2
    assert os.getpid() not in seen[:, 0]
    assert (seen[:, 1] == 1).all()
    assert not seen[:, 2].any()


def test_each_thread_has_a_solver_of_its_own(theta: ndarray) -> None:
    before = Reports.made
    with Parallel(Reports(seconds=0.001), 2, adaptive=False) as pool:
        for _ in range(3):
            pool.solve(theta)
    assert 1 <= Reports.made - before <= 2


def test_a_killed_worker_is_replaced_and_its_chunk_solved_again(theta: ndarray) -> None:
    with Parallel(Probe(seconds=0.01), 2, "processes", adaptive=False) as pool:
        pool.solve(theta[:4])
        assert wait_until(lambda: pool.executor.warm)  # one that is killed at its start has no chunk
        killed: list[int] = []

        def kill() -> None:
            time.sleep(0.05)
            killed.append(pids(pool)[0])
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        found = pool.solve(theta)
        killer.join()
        np.testing.assert_array_equal(found.y, Probe().solve(theta).y)
        assert (found.status == Status.OPTIMAL).all()
        pool.solve(theta)  # and goes on
        assert pool.replaced == 1
        assert killed[0] not in pids(pool)


def test_a_row_that_kills_costs_no_other_row(theta: ndarray, tmp_path: Path) -> None:
    theta[[3, 20], 0] = 101.0, 201.0  # once, always
    with Parallel(Dies(folder=str(tmp_path)), 2, "processes", adaptive=False) as pool:
        found = pool.solve(theta)
    assert np.flatnonzero(found.status).tolist() == [20]
    assert found.status[20] == Status.ERROR
    assert "signal 9" in found.messages[20]
    good = found.status == Status.OPTIMAL
    np.testing.assert_array_equal(found.y[good], Probe().solve(theta[good]).y)


def test_callers_may_share_a_pool(theta: ndarray) -> None:
    with Parallel(Probe(seconds=0.0002), 2, adaptive=False) as pool:
        answers: dict[int, Any] = {}
        callers = [threading.Thread(target=lambda k=k: answers.update({k: pool.solve(theta + k).y})) for k in range(6)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    for k in range(6):
        np.testing.assert_array_equal(answers[k], Probe().solve(theta + k).y)


def test_no_worker_waits_for_the_caller(theta: ndarray) -> None:
    with Parallel(Probe(seconds=0.05), 2, adaptive=False) as pool:
        caller = threading.Thread(target=pool.solve, args=(theta,))
        caller.start()
        waiting: Any = pool.executor.executor
        assert wait_until(lambda: waiting._tasks.qsize() > 4)  # all chunks, and not two a worker
        caller.join()


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_the_other_callers_of_a_closed_pool_are_told(backend: Any, theta: ndarray) -> None:
    pool = Parallel(Probe(seconds=0.02), 2, backend, adaptive=False)
    pool.solve(theta[:2])
    closing = threading.Timer(0.3, pool.close)
    closing.start()
    with pytest.raises(RuntimeError, match="closed while a batch was being solved"):
        pool.solve(theta)
    closing.join()


def test_workers_end_with_the_pool_however_it_ends(theta: ndarray) -> None:
    pool = Parallel(Probe(), 2, "processes", adaptive=False)
    pool.solve(theta)
    first = pids(pool)
    pool.close()
    assert wait_until(lambda: not any(map(alive, first)))
    np.testing.assert_array_equal(pool.solve(theta).y, Probe().solve(theta).y)  # begins anew
    second = pids(pool)
    assert not set(first) & set(second)
    del pool
    gc.collect()
    assert wait_until(lambda: not any(map(alive, second)))


SCRIPT = """
import sys, threading, time
import numpy as np
from combdiff_solvers import Parallel
from tests.solvers.probes import Probe
pool = Parallel(Probe(seconds=SECONDS), 2, "BACKEND", adaptive=False)
def tell():
    while not pool.executor.warm:
        time.sleep(0.01)
    print(*[process.pid for process in pool.executor.executor.processes.values()], flush=True)
threading.Thread(target=tell, daemon=True).start()
try:
    pool.solve(np.zeros((8, 4)))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def begin(backend: str, seconds: float) -> tuple["subprocess.Popen[str]", list[int]]:
    """A script in the middle of a batch, and the processes that work for it."""
    running = start(SCRIPT.replace("SECONDS", str(seconds)).replace("BACKEND", backend))
    assert running.stdout is not None
    return running, [int(pid) for pid in running.stdout.readline().split()]


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_ctrl_c_ends_all(backend: str) -> None:
    running, workers = begin(backend, seconds=600.0)
    running.send_signal(signal.SIGINT)
    ended, said, errors = finish(running)
    assert (ended, said) == (0, "interrupted\n"), errors
    assert len(workers) == (2 if backend == "processes" else 0)
    assert wait_until(lambda: not any(map(alive, workers)))


def test_no_worker_outlives_a_killed_caller() -> None:
    running, workers = begin("processes", seconds=600.0)
    running.kill()
    running.communicate()
    assert len(workers) == 2
    assert wait_until(lambda: not any(map(alive, workers)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_a_forked_child_has_workers_of_its_own(backend: Any, theta: ndarray) -> None:
    expected = Probe().solve(theta).y
    with Parallel(Probe(), 2, backend, adaptive=False) as pool:
        pool.solve(theta)
        child = os.fork()
        if not child:
            same = False
            try:
                same = np.array_equal(pool.solve(theta).y, expected)
                pool.close()
            finally:
                os._exit(0 if same else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        np.testing.assert_array_equal(pool.solve(theta).y, expected)
        assert pool.replaced == 0


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"workers": 0}, ValueError, "workers=0"),
        ({"backend": "fibres"}, ValueError, "'fibres' is none of"),
        ({"solver": 3}, TypeError, "int is not a Solver"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Parallel(**{"solver": TopK(4), **arguments})


@pytest.mark.parametrize("rows", [1, 7])
def test_bad_theta_is_an_error_as_without_the_pool(rows: int) -> None:
    theta = np.zeros((rows, 4))
    theta[-1, 2] = np.nan
    with Parallel(TopK(4, 2), 2) as pool:
        for _ in range(2):
            with pytest.raises(ValueError, match=rf"theta\[{rows - 1}, 2\] is nan"):
                pool.solve(theta)
            pool.solve(np.zeros((rows, 4)))  # then the speed is known
