"""Parallel on executors that a user brings: those of the standard library, and stand-ins for others."""

import multiprocessing
import os
import pickle
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers import Cached, FunctionSolver, Parallel, Status, TopK
from combdiff_solvers.pools.messages import reply_by_digest, unpack
from tests.solvers.probes import Dies, DropsRows, ExitsWhenLoaded, Probe, Raises, Reports, Unsendable
from tests.solvers.scripts import wait_until


class OutOfOrder(Executor):
    """Runs nothing until four tasks wait or nobody else can bring one, and then in another order.

    Args:
        lost: so many of the first chunks end without an answer, as if their worker had died.
    """

    def __init__(self, lost: int = 0) -> None:
        self.lost, self.runs, self.sent = lost, 0, list[int]()
        self._rng = random.Random(0)
        self._threads = ThreadPoolExecutor(1)

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.sent.append(sum(len(part) for part in arguments if isinstance(part, bytes)))
        self._threads.submit(self._run, future, function, arguments)
        return future

    def _run(self, future: Future[Any], function: Callable[..., Any], arguments: Any) -> None:
        if not future.set_running_or_notify_cancel():
            return
        chunk = arguments[-1:] != (None,)
        self.runs += chunk
        if chunk and self.runs <= self.lost:
            future.set_exception(ConnectionError("the worker is gone"))
            return
        answer = function(*pickle.loads(pickle.dumps(arguments)))
        self._threads.submit(future.set_result, answer)  # after others have begun


@pytest.fixture
def theta() -> Float64[ndarray, "b n"]:
    return np.random.default_rng(0).normal(size=(60, 4))


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.mark.parametrize("kind", ["threads", "processes", "another order"])
def test_answers_are_those_of_the_solver_in_order(kind: str, theta: ndarray, processes: ProcessPoolExecutor) -> None:
    executor = {"threads": ThreadPoolExecutor(2), "processes": processes, "another order": OutOfOrder()}[kind]
    theta[[5, 40], 0] = 101.0, 102.0
    instances = ["nothing" if row % 7 == 3 else "any" for row in range(60)]
    expected = Probe().solve(theta, instances)
    with Parallel(Raises(), executor, adaptive=False) as pool:
        for _ in range(2):
            found = pool.solve(theta, instances)
    good = found.status != Status.ERROR
    assert np.flatnonzero(~good).tolist() == [5, 40]
    np.testing.assert_array_equal(found.y[good], expected.y[good])
    np.testing.assert_array_equal(found.status[good], expected.status[good])
    raised = {5: "RuntimeError: no 101, please", 40: "RuntimeError: no 102, please"}
    assert found.messages == {**expected.messages, **raised}
    executor.submit(int).result(20)  # it is not ended by the pool


def test_the_caller_helps_until_the_workers_are_there(theta: ndarray) -> None:
    executor = ThreadPoolExecutor(1)
    blocked: Future[None] = Future()
    executor.submit(blocked.result)  # the only worker is busy
    with Parallel(Probe(seconds=0.002), executor) as pool:
        np.testing.assert_array_equal(pool.solve(theta).y, Probe().solve(theta).y)
    blocked.set_result(None)


def test_two_chunks_a_worker_are_on_their_way(theta: ndarray) -> None:
    executor, unfinished = ThreadPoolExecutor(1), list[int]()
    futures: list[Future[Any]] = []

    class Counts(Executor):
        def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
            futures.append(executor.submit(function, *arguments))
            unfinished.append(sum(not future.done() for future in futures[3:]))  # the first three are the starts
            return futures[-1]

    with Parallel(Probe(seconds=0.001), backend=Counts(), workers=3, adaptive=False) as pool:
        pool.solve(theta)
    assert max(unfinished) == 6


def test_each_worker_keeps_its_solver(theta: ndarray, processes: ProcessPoolExecutor) -> None:
    pool = Parallel(Reports(seconds=0.001), processes, adaptive=False)
    seen = np.vstack([pool.solve(theta).y[:, :3] for _ in range(3)])
    assert os.getpid() not in seen[:, 0]
    assert (seen[:, 1] == 1).all()


def test_the_solver_does_not_travel_with_each_chunk(theta: ndarray) -> None:
    executor = OutOfOrder()
    pool = Parallel(Probe(folder="x" * 100_000), executor, adaptive=False)
    pool.solve(theta)
    assert wait_until(lambda: pool.executor.warm)
    first = len(executor.sent)
    pool.solve(theta)
    assert executor.sent[0] > 100_000
    assert max(executor.sent[first:]) < 10_000


def test_a_worker_that_does_not_know_the_solver_asks_for_it() -> None:
    message = pickle.dumps((np.eye(3), None))
    assert reply_by_digest(b"never seen", None, message) is None
    for pickled in (pickle.dumps(TopK(3)), None):
        answer = reply_by_digest(b"seen", pickled, message)
        assert answer is not None
        np.testing.assert_array_equal(unpack(answer)[0].y, np.eye(3))


@pytest.mark.parametrize("lost", [1, 3])
def test_a_lost_chunk_is_solved_again(lost: int, theta: ndarray) -> None:
    with Parallel(Probe(), OutOfOrder(lost), adaptive=False) as pool:
        found = pool.solve(theta)
    np.testing.assert_array_equal(found.y, Probe().solve(theta).y)
    assert pool.replaced == lost


def test_a_row_that_is_always_lost_is_an_error() -> None:
    with Parallel(Probe(), OutOfOrder(lost=1000), adaptive=False) as pool:
        found = pool.solve(np.zeros((2, 4)))
    assert found.status.tolist() == [Status.ERROR, Status.ERROR]
    assert found.messages[0] == "2 workers died on this row: the worker is gone"


def test_the_end_of_an_executor_is_said(theta: ndarray, tmp_path: Path) -> None:
    theta[20, 0] = 201.0  # kills its process, and that ends a ProcessPoolExecutor
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as broken:
        pool = Parallel(Dies(folder=str(tmp_path)), broken, adaptive=False)
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"ProcessPoolExecutor takes no more work.*make a new executor"):
                pool.solve(theta)
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    with pytest.raises(RuntimeError, match=r"ThreadPoolExecutor takes no more work \(cannot schedule.*backend="):
        Parallel(Probe(), closed, adaptive=False).solve(theta)


def test_what_cannot_travel_is_said(theta: ndarray) -> None:
    executor = ThreadPoolExecutor(2)
    theta[5, 0] = 101.0
    found = Parallel(Unsendable(), executor, adaptive=False).solve(theta)
    assert np.flatnonzero(found.status).tolist() == [5]
    assert "the answer cannot be sent" in found.messages[5]
    instances: list[Any] = ["any"] * 60
    instances[7] = lambda: 0
    found = Parallel(Probe(), executor, adaptive=False).solve(theta, instances)
    assert np.flatnonzero(found.status).tolist() == [7]
    assert "pickle" in found.messages[7]
    with pytest.raises(TypeError, match="top of a module"):
        Parallel(FunctionSolver(lambda row: row, shape=(4,)), executor)
    with pytest.raises(TypeError, match="make it where it is used"):
        pickle.dumps(Parallel(Probe(), executor))


def test_bad_solvers_are_one_clear_error(theta: ndarray) -> None:
    executor = ThreadPoolExecutor(2)
    with pytest.raises(RuntimeError, match="cannot be loaded in another process: SystemExit: 5"):
        Parallel(ExitsWhenLoaded(), executor, adaptive=False).solve(theta)
    theta[5, 0] = 101.0
    with pytest.raises(ValueError, match=r"DropsRows.solve returned y of shape"):
        Parallel(DropsRows(), executor, adaptive=False).solve(theta)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told(theta: ndarray) -> None:
    pool = Parallel(Probe(), ThreadPoolExecutor(1), adaptive=False)
    pool.solve(theta)
    child = os.fork()
    if not child:
        try:
            pool.solve(theta)
        except RuntimeError as error:
            os._exit(0 if "forked" in str(error) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_batch_is_checked_once(theta: ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from combdiff_solvers import protocol

    checks: list[int] = []
    as_rows = protocol.as_rows

    def counted(theta: ndarray, shape: tuple[int, ...]) -> ndarray:
        checks.append(len(theta))
        return as_rows(theta, shape)

    monkeypatch.setattr(protocol, "as_rows", counted)
    with Parallel(Probe(), 2, adaptive=False) as pool:
        Cached(pool).solve(theta)
    assert checks == [60]
