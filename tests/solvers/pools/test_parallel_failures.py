"""Parallel with solvers that break the contract or end the process, under Ctrl-C and in forks."""

import os
import signal
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers import Parallel, Status
from combdiff_solvers.protocol import value
from tests.solvers.probes import DropsRows, Exits, ExitsWhenLoaded, Probe, Unsendable, WithTerm
from tests.solvers.scripts import WAIT, finish, start


@pytest.fixture
def theta() -> Float64[ndarray, "b n"]:
    return np.random.default_rng(0).normal(size=(40, 4))


@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_bad_shapes_of_an_answer_are_refused(backend: Any, adaptive: bool, theta: ndarray) -> None:
    theta[7, 0] = 101.0
    solver = DropsRows(seconds=0.001)
    with Parallel(solver, 2, backend, adaptive) as pool:
        with pytest.raises(ValueError, match=r"DropsRows.solve returned y of shape \(\d+, 4\).*for \d+ rows"):
            pool.solve(theta)
        np.testing.assert_array_equal(pool.solve(theta[:7]).y, solver.solve(theta[:7]).y)


SOLVER_THAT_RAISES = """
import sys
import numpy as np
from combdiff_solvers import Parallel
from tests.solvers.probes import Exits, ExitsWhenLoaded, Interrupted
theta = np.zeros((20, 4))
theta[11, 0] = 201.0
with Parallel({solver}(), 2, "threads", adaptive={adaptive}) as pool:
    try:
        pool.solve(theta)
    except BaseException as error:
        print(type(error).__name__, error)
    print(pool.solve(theta[:11]).status.max() if "{solver}" != "ExitsWhenLoaded" else 0)
    if "{solver}" == "Exits":
        pool.solve(theta)
"""


@pytest.mark.parametrize(
    ("solver", "adaptive", "said", "code"),
    [
        ("Exits", False, "SystemExit 3", 3),
        ("Exits", True, "SystemExit 3", 3),
        ("Interrupted", False, "KeyboardInterrupt ", 0),
        ("Interrupted", True, "KeyboardInterrupt ", 0),
        ("ExitsWhenLoaded", False, "PoolError a worker could not start: 5", 0),
    ],
)
def test_what_ends_a_program_reaches_the_caller_of_threads(solver: str, adaptive: bool, said: str, code: int) -> None:
    ended, out, errors = finish(start(SOLVER_THAT_RAISES.format(solver=solver, adaptive=adaptive)))
    assert (ended, out) == (code, f"{said}\n0\n"), errors


def test_how_a_process_ended_is_said(theta: ndarray) -> None:
    theta[[5, 30], 0] = 201.0, 301.0
    with Parallel(Exits(), 2, "processes", adaptive=False) as pool:
        found = pool.solve(theta)
    assert np.flatnonzero(found.status).tolist() == [5, 30]
    assert found.messages[5] == "SystemExit: 3"
    assert "ended with exit code 7" in found.messages[30]


def test_an_answer_that_cannot_be_pickled_is_said(theta: ndarray) -> None:
    theta[5, 0] = 101.0
    with Parallel(Unsendable(), 2, "processes", adaptive=False) as pool:
        found = pool.solve(theta)
        assert pool.replaced == 0
    assert np.flatnonzero(found.status).tolist() == [5]
    assert "the answer cannot be sent" in found.messages[5]
    assert "pickle" in found.messages[5]
    good = found.status == Status.OPTIMAL
    np.testing.assert_array_equal(found.y[good], Probe().solve(theta[good]).y)


def test_a_row_that_cannot_be_pickled_is_said(theta: ndarray) -> None:
    instances: list[Any] = ["any"] * 40
    instances[5] = lambda: 0
    with Parallel(Probe(), 2, "processes", adaptive=False) as pool:
        found = pool.solve(theta, instances)
    assert np.flatnonzero(found.status).tolist() == [5]
    assert "pickle" in found.messages[5]


def test_a_solver_that_exits_when_it_is_loaded_is_one_clear_error(theta: ndarray) -> None:
    said = "cannot be loaded in another process: SystemExit: 5"
    with (
        Parallel(ExitsWhenLoaded(), 2, "processes", adaptive=False) as pool,
        pytest.raises(RuntimeError, match=said),
    ):
        pool.solve(theta)


def test_value_is_the_solvers(theta: ndarray) -> None:
    y, instances = Probe().solve(theta).y, ["dear", "any"] * 20
    with Parallel(WithTerm(), 2) as pool:
        for given in (None, instances):
            np.testing.assert_array_equal(value(pool, y, theta, given), WithTerm().value(y, theta, given))


FORKS = """
import os, signal, sys, threading, time
import numpy as np
from combdiff_solvers import Cached, Factory, Parallel, TopK
from tests.solvers.probes import Probe

class SlowToHash(int):
    def __hash__(self):
        time.sleep(0.002)
        return int(self) % 3

def build(k):
    return TopK(50, int(k))

rng = np.random.default_rng(0)
theta = rng.normal(size=(1000, 50))
instances = None
if "{solver}" == "Parallel":
    theta = theta[:1]  # one row is solved by the caller
    solver = Parallel(Probe(50, seconds=0.05), 2)
elif "{solver}" == "Cached":  # busy with its pool of solutions
    solver = Cached(TopK(50, 5), solve_ratio=0.1)
    for _ in range(10):
        solver.solve(rng.normal(size=(1000, 50)))
else:
    theta, instances = theta[:3], [SlowToHash(k) for k in (1, 2, 3)]
    solver = Factory(build, shape=(50,), sense="max")
solver.solve(theta, instances)  # compiles
stop = threading.Event()

def work(seed):
    own = np.random.default_rng(seed)
    while not stop.is_set():
        solver.solve(own.normal(size=theta.shape), instances)

thread = threading.Thread(target=work, args=(1,))
thread.start()
children = []
for _ in range(10):
    time.sleep(0.05)
    child = os.fork()
    if not child:
        signal.alarm({seconds})  # a child that hangs is killed
        found = solver.solve(theta, instances)
        os._exit(0 if (found.status <= 1).all() else 1)
    children.append(child)
stop.set()
thread.join()
print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("solver", ["Parallel", "Cached", "Factory"])
def test_a_child_that_was_forked_in_the_middle_of_a_batch_can_solve(solver: str) -> None:
    ended, out, errors = finish(start(FORKS.format(solver=solver, seconds=WAIT // 3)))
    assert (ended, out.split()) == (0, ["0"] * 10), errors


LONG_ROWS = """
import sys, threading, time
import numpy as np
from combdiff_solvers import MixedInteger, Parallel
from combdiff_solvers.pools import worker_pool

class KeepsTheEnd:  # of the interpreter busy until the rows have come back from the engine
    def __del__(self, sleep=time.sleep):
        sleep(2.5)

worker_pool.JOIN_SECONDS = 0.1  # so that the end comes first

rng = np.random.default_rng(0)
weights = rng.integers(1, 100, (5, 60)).astype(float)
half = np.floor(weights.sum(axis=1) / 2)
engine = dict(backend="{backend}", time_limit=2.0)
solver = MixedInteger(weights, half, lower=half, integrality=1, bounds=(0, 1), **engine)
pool = Parallel(solver, 2, adaptive=False)
keeps = KeepsTheEnd()
threading.Timer(0.5, lambda: print("go", flush=True)).start()
try:
    pool.solve(rng.normal(size=(8, 60)))
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(6)
"""


@pytest.mark.parametrize("backend", ["scip", "highs"])
def test_ctrl_c_in_long_native_rows_does_not_abort(backend: str) -> None:
    pytest.importorskip("ortools")
    running = start(LONG_ROWS.format(backend=backend))
    assert running.stdout is not None
    assert running.stdout.readline() == "go\n"
    running.send_signal(signal.SIGINT)
    ended, out, errors = finish(running)
    assert (ended, out) == (6, "interrupted\n"), errors


SCIP_IN_THREADS = """
import os, signal, threading, time
import numpy as np
from pyscipopt import Model, quicksum
from combdiff_solvers import Parallel, wrap
from combdiff_solvers.pools import worker_pool

worker_pool.JOIN_SECONDS = 0.1
rng = np.random.default_rng(0)

def solver(n, hard):
    model = Model()
    model.hideOutput()
    x = [model.addVar(vtype="B") for _ in range(n)]
    for weights in rng.integers(1, 100, (5 if hard else 2, n)).tolist():
        used = quicksum(weight * one for weight, one in zip(weights, x))
        model.addCons(used == sum(weights) // 2 if hard else used <= sum(weights) // 2)
    return wrap(model, x, sense="max")

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

easy = Parallel(solver(20, False), 2, adaptive=False)
for _ in range(5):
    easy.solve(rng.random((40, 20)))
    try:
        interrupt()
        time.sleep(0.1)
        print("Ctrl-C was lost")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
easy.close()
hard = Parallel(solver(60, True), 2, adaptive=False)
threading.Timer(0.5, interrupt).start()
try:
    hard.solve(rng.random((8, 60)))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_is_heard_with_scip_models_in_threads() -> None:
    pytest.importorskip("pyscipopt")
    ended, out, errors = finish(start(SCIP_IN_THREADS))
    assert (ended, out.split()) == (0, ["interrupted"] * 6), (out, errors)
