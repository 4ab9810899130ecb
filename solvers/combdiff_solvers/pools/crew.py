"""A crew of workers that solve chunks of rows: the engine under `Parallel` and `OnRay`.

Each worker has a thread of the calling process, its *driver*, that takes chunks from one queue, gives them to the
worker and files the answers. So a fast worker takes more chunks, several callers may share a crew, and a worker that
dies is replaced by its driver, which puts the chunk back.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.chunks import ContractError, failed, slice_instances
from combdiff_solvers.pools.quiet_exit import hang_instead_of_abort
from combdiff_solvers.protocol import Sense, Solutions

DEATHS = 2  # a chunk that so many workers died on is cut into rows, and a row is given up
CLOSED = "the workers were closed while a batch was being solved"
DRIVER = "combdiff-driver"
JOIN_SECONDS = 2.0  # how long `close` waits for the drivers

Solve = Callable[[ndarray, "Sequence[Any] | None"], tuple[Solutions, float]]  # a chunk's answer and its seconds


class WorkerDiedError(Exception):
    """A worker ended while it had a chunk; the text says how."""


class WorkerBrokenError(Exception):
    """A worker cannot start, and another one would not either."""


@runtime_checkable
class Worker(Protocol):
    """Whoever solves chunks. `stop` may be called from any thread, at any time."""

    def start(self) -> None:
        """Make ready; raises WorkerDiedError or WorkerBrokenError."""

    def solve(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> tuple[Solutions, float]:
        """The answer and the seconds it took; raises WorkerDiedError."""
        ...

    def stop(self) -> None:
        """End now, whatever it does."""

    def abandon(self) -> None:
        """Forget it without a word: it belongs to the process that this one was forked from."""


@dataclass(eq=False)
class Batch:
    """The rows of one call, and what has been found so far."""

    theta: Float64[ndarray, "b n"]
    instances: Sequence[Any] | None
    pending: int
    pieces: list[tuple[int, Solutions]] = field(default_factory=list)
    pace: list[float] = field(default_factory=list)  # seconds a row, one entry a chunk
    error: BaseException | None = None

    def file(self, task: Task, found: Solutions, seconds: float) -> None:
        """Keep the answer to a chunk."""
        self.pieces.append((task.first, found))
        self.pace.append(seconds / (task.last - task.first))
        self.pending -= 1


@dataclass(eq=False)
class Task:
    """A chunk of a batch."""

    batch: Batch
    first: int
    last: int
    deaths: int = 0

    def rows(self) -> tuple[Float64[ndarray, "b n"], Sequence[Any] | None]:
        """What its worker needs."""
        return self.batch.theta[self.first : self.last], slice_instances(self.batch.instances, self.first, self.last)


class Crew:
    """`size` workers, hired when the first batch comes.

    Attributes:
        replaced: how many workers died and were replaced.
    """

    sense = Sense.MIN  # of the solver

    def __init__(self, make: Callable[[], Worker], size: int) -> None:
        self._make = make
        self.size = size
        self.replaced = 0
        self._workers: dict[Worker, bool] = {}  # whether it is ready
        self._reset()
        _crews.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._drivers: list[threading.Thread] = []
        self._workers = {}
        self._hiring = 0  # a driver of an earlier hiring ends

    @property
    def ready(self) -> int:
        """How many workers wait for chunks or have one."""
        return sum(self._workers.values())

    def after_fork(self) -> None:
        """In a forked child: the threads are gone, and the workers are the parent's."""
        for worker in self._workers:
            worker.abandon()
        self._reset()

    def run(
        self,
        theta: Float64[ndarray, "b n"],
        instances: Sequence[Any] | None,
        cuts: Sequence[int],
        here: Solve | None,
    ) -> Batch:
        """Solve the rows between the cuts; where `here` is given, the caller solves with it until all are ready."""
        batch = Batch(theta, instances, pending=len(cuts) - 1)
        with self._changed:
            self._hire()
            self._tasks.extend(Task(batch, first, last) for first, last in pairwise(cuts))
            self._changed.notify_all()
        try:
            while (task := self._await(batch, helping=here is not None)) is not None and here is not None:
                found, seconds = here(*task.rows())
                with self._changed:
                    batch.file(task, found, seconds)
        except BaseException:
            self._give_up(batch)
            raise
        if batch.error is not None:
            self._give_up(batch)
            raise batch.error
        return batch

    def _await(self, batch: Batch, helping: bool) -> Task | None:
        """Wait for the batch to end (None), or for something that its caller had better do itself."""
        with self._changed:
            while batch.pending and batch.error is None:
                if helping and self.ready < self.size:
                    for task in self._tasks:
                        if task.batch is batch:
                            self._tasks.remove(task)
                            return task
                self._changed.wait()
            return None

    def _hire(self) -> None:
        while len(self._drivers) < self.size:
            driver = threading.Thread(target=self._drive, args=(self._hiring,), name=DRIVER, daemon=True)
            self._drivers.append(driver)
            driver.start()

    def _drive(self, hiring: int) -> None:
        """The life of a driver: one chunk after the other."""
        worker: Worker | None = None
        while self._wait_for_work(hiring):
            worker = worker or self._start(hiring)
            task = self._take(hiring) if worker else None
            if worker is None or task is None:
                continue
            try:
                found, seconds = worker.solve(*task.rows())
            except WorkerDiedError as death:
                self._mourn(worker, task, death)
                worker = None
                continue
            except ContractError as error:
                self._fail(task, error)
                continue
            except Exception as error:  # a chunk that cannot travel, by the fault of one of its rows
                self._split(task, f"{type(error).__name__}: {error}")
                continue
            except BaseException as error:  # sys.exit() or Ctrl-C in a solver: the caller's, as without workers
                self._fail(task, error)
                continue
            with self._changed:
                task.batch.file(task, found, seconds)
                self._changed.notify_all()
        if worker is not None:
            worker.stop()

    def _wait_for_work(self, hiring: int) -> bool:
        with self._changed:
            while self._hiring == hiring and not self._tasks:
                self._changed.wait()
            return self._hiring == hiring

    def _take(self, hiring: int) -> Task | None:
        with self._changed:
            return self._tasks.popleft() if self._hiring == hiring and self._tasks else None

    def _start(self, hiring: int) -> Worker | None:
        """A worker that is ready; None, and an error in every batch that waits, if there can be none."""
        reason: BaseException = WorkerBrokenError("no worker was made")
        for _ in range(1 + DEATHS):
            try:
                worker = self._make()
                with self._changed:
                    if self._hiring != hiring:
                        return None
                    self._workers[worker] = False
                worker.start()
            except WorkerDiedError as death:
                reason = death
                with self._changed:
                    self._workers.pop(worker, None)
                continue
            except BaseException as broken:
                reason = broken
                break
            with self._changed:
                if worker in self._workers:
                    self._workers[worker] = True
                    self._changed.notify_all()
            return worker
        with self._changed:
            for task in self._tasks:
                task.batch.error = RuntimeError(f"a worker could not start: {reason}")
            self._tasks.clear()
            self._changed.notify_all()
        return None

    def _fail(self, task: Task, error: BaseException) -> None:
        """Have the caller of a batch raise `error`."""
        with self._changed:
            task.batch.error = task.batch.error or error
            self._changed.notify_all()

    def _mourn(self, worker: Worker, task: Task, death: WorkerDiedError) -> None:
        """Put the chunk of a dead worker back, unless it is the chunk that kills."""
        worker.stop()
        with self._changed:
            self._changed.notify_all()
            if self._workers.pop(worker, None) is None:  # ended by us
                task.batch.error = task.batch.error or RuntimeError(CLOSED)
                return
            self.replaced += 1
            task.deaths += 1
            if task.deaths < DEATHS:
                self._tasks.appendleft(task)
                return
        self._split(task, f"{task.deaths} workers died on this row: {death}")

    def _split(self, task: Task, reason: str) -> None:
        """Have the rows of a chunk that failed solved one by one; a row that is alone already is an ERROR."""
        with self._changed:
            self._changed.notify_all()
            if task.last - task.first == 1:
                task.batch.file(task, failed(1, task.batch.theta.shape[1], reason, self.sense), 0.0)
                return
            rows = range(task.first, task.last)
            task.batch.pending += len(rows) - 1
            self._tasks.extendleft(Task(task.batch, row, row + 1) for row in reversed(rows))

    def _give_up(self, batch: Batch) -> None:
        """End a batch that nobody waits for any more, and whoever works on it."""
        with self._changed:
            self._tasks = deque(task for task in self._tasks if task.batch is not batch)
        self.close()

    def close(self) -> None:
        """End every worker. The next batch hires new ones."""
        with self._changed:
            self._hiring += 1
            drivers, workers, self._drivers, self._workers = self._drivers, list(self._workers), [], {}
            for task in self._tasks:
                task.batch.error = RuntimeError(CLOSED)
            self._tasks.clear()
            self._changed.notify_all()
        for worker in workers:
            worker.stop()
        until = time.monotonic() + JOIN_SECONDS
        for driver in drivers:
            if driver is not threading.current_thread():
                driver.join(max(0.0, until - time.monotonic()))


_crews: weakref.WeakSet[Crew] = weakref.WeakSet()


def _after_fork() -> None:
    for crew in list(_crews):
        crew.after_fork()


def _at_exit() -> None:
    for crew in list(_crews):
        crew.close()
    if any(thread.name == DRIVER for thread in threading.enumerate()):
        hang_instead_of_abort()


atexit.register(_at_exit)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
