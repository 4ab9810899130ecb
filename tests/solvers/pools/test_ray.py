"""OnRay on a local cluster: the answers, dying actors, errors."""

import os
import pickle
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers import OnRay, Status, TopK
from combdiff_solvers.pools.ray import RayExecutor
from combdiff_solvers.protocol import value
from tests.solvers.probes import Dies, DropsRows, Exits, Probe, Raises, Reports, Unsendable, WithTerm
from tests.solvers.scripts import finish, start, wait_until

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()


@pytest.fixture
def theta() -> Float64[ndarray, "b n"]:
    return np.random.default_rng(0).normal(size=(60, 4))


@pytest.mark.usefixtures("cluster")
def test_answers_are_those_of_the_solver_in_order(theta: ndarray) -> None:
    theta[[5, 40], 0] = 101.0, 102.0
    instances = ["nothing" if row % 7 == 3 else "any" for row in range(60)]
    expected = Probe().solve(theta, instances)
    with OnRay(Raises(), adaptive=False) as pool:
        found = pool.solve(theta, instances)
        assert pool.policy.workers == 2
    good = found.status != Status.ERROR
    assert np.flatnonzero(~good).tolist() == [5, 40]
    np.testing.assert_array_equal(found.y[good], expected.y[good])
    np.testing.assert_array_equal(found.status[good], expected.status[good])
    raised = {5: "RuntimeError: no 101, please", 40: "RuntimeError: no 102, please"}
    assert found.messages == {**expected.messages, **raised}


@pytest.mark.usefixtures("cluster")
def test_the_chunk_of_a_process_that_died_is_solved_again(theta: ndarray, tmp_path: Path) -> None:
    theta[30, 0] = 101.0  # once
    with OnRay(Dies(folder=str(tmp_path)), workers=2, adaptive=False) as pool:
        found = pool.solve(theta)
        assert pool.replaced == 1
    np.testing.assert_array_equal(found.y, Probe().solve(theta).y)
    assert (found.status == Status.OPTIMAL).all()


@pytest.mark.usefixtures("cluster")
def test_actors_keep_their_solvers_warm_and_import_no_torch(theta: ndarray) -> None:
    with OnRay(Reports(seconds=0.001), workers=2, adaptive=False) as pool:
        seen = np.vstack([pool.solve(theta).y[:, :3] for _ in range(2)])
        assert os.getpid() not in seen[:, 0]
        assert (seen[:, 1] == 1).all()
        assert not seen[:, 2].any()
        again = pickle.loads(pickle.dumps(pool))
        assert isinstance(again, OnRay)
        assert again.shape == pool.shape


@pytest.mark.usefixtures("cluster")
def test_a_solver_that_cannot_be_loaded_is_one_clear_error(theta: ndarray) -> None:
    pool = OnRay(Probe(), workers=1, adaptive=False)
    pool._sent = pickle.dumps(Probe()).replace(b"probes", b"nowher")
    with pytest.raises(RuntimeError, match="No module named"):
        pool.solve(theta)


@pytest.mark.usefixtures("cluster")
def test_how_a_row_ended_its_actor_is_said(theta: ndarray) -> None:
    theta[[5, 30], 0] = 201.0, 301.0
    with OnRay(Exits(), workers=2, adaptive=False) as pool:
        found = pool.solve(theta)
    assert np.flatnonzero(found.status).tolist() == [5, 30]
    assert found.messages[5] == "SystemExit: 3"
    assert "workers died on this row" in found.messages[30]


@pytest.mark.usefixtures("cluster")
def test_a_task_that_has_ended_is_not_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[Any] = []
    monkeypatch.setattr(ray, "cancel", lambda task, force: cancelled.append((task, force)))
    executor = RayExecutor(num_cpus=1)
    assert executor.submit(abs, -3).result() == 3
    assert wait_until(lambda: not executor._running)
    ended = executor._call.remote(abs, -3)
    assert ray.get(ended) == 3
    executor._running[Future()] = ended  # before its callback has run
    executor.shutdown()
    assert not cancelled
    running = executor.submit(time.sleep, 1.0)
    executor.shutdown()
    assert [force for _, force in cancelled] == [True]
    running.result()


@pytest.mark.usefixtures("cluster")
def test_an_answer_that_cannot_be_pickled_is_said(theta: ndarray) -> None:
    theta[5, 0] = 101.0
    with OnRay(Unsendable(), workers=2, adaptive=False) as pool:
        found = pool.solve(theta)
        assert pool.replaced == 0
    assert np.flatnonzero(found.status).tolist() == [5]
    assert "pickle" in found.messages[5]


@pytest.mark.usefixtures("cluster")
def test_bad_shapes_of_an_answer_are_refused(theta: ndarray) -> None:
    theta[7, 0] = 101.0
    with (
        OnRay(DropsRows(), workers=2, adaptive=False) as pool,
        pytest.raises(ValueError, match=r"DropsRows.solve returned y of shape \(\d+, 4\).*for \d+ rows"),
    ):
        pool.solve(theta)


@pytest.mark.usefixtures("cluster")
def test_value_is_the_solvers(theta: ndarray) -> None:
    y = Probe().solve(theta).y
    np.testing.assert_array_equal(value(OnRay(WithTerm(), workers=1), y, theta), WithTerm().value(y, theta))


SCRIPT = """
import threading, time
import numpy as np
from combdiff_solvers import OnRay
from tests.solvers.probes import Probe
pool = OnRay(Probe(seconds=600.0), workers=1, address="ADDRESS", adaptive=False)
def tell():
    while not pool.executor.warm:
        time.sleep(0.01)
    print("warm", flush=True)
threading.Thread(target=tell, daemon=True).start()
try:
    pool.solve(np.zeros((8, 4)))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.usefixtures("cluster")
def test_ctrl_c_ends_all() -> None:
    running = start(SCRIPT.replace("ADDRESS", ray.get_runtime_context().gcs_address))
    assert running.stdout is not None
    assert running.stdout.readline() == "warm\n"
    time.sleep(0.5)  # until the first row has begun
    running.send_signal(signal.SIGINT)
    ended, said, errors = finish(running)
    assert (ended, said) == (0, "interrupted\n"), errors


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"combdiff\[ray\]"):
        OnRay(TopK(3))


@pytest.mark.parametrize(("arguments", "match"), [({"workers": 0}, "workers=0"), ({"cpus": 0.0}, "cpus=0")])
def test_bad_arguments(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        OnRay(TopK(3), **arguments)
