"""A batch that is solved in chunks: a chunk that is lost is solved again, a row that kills its workers is given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import pairwise
from queue import SimpleQueue
from typing import Any, NamedTuple

from combdiff_solvers.chunks import Timed, failed, slice_instances
from combdiff_solvers.pools.messages import TravelError, WorkerDiedError
from combdiff_solvers.pools.workers import Workers
from combdiff_solvers.protocol import Rows, Sense, Sets, Solutions

MAX_CRASHES = 2  # a chunk that so many workers died on is cut into rows, and such a row is given up


class Chunk(NamedTuple):
    """The rows first..last−1 of a batch, and how many workers died on them."""

    first: int
    last: int
    crashes: int = 0


class Batch:
    """The rows of one call, on their way through workers.

    Attributes:
        pieces: the answers, each with the number of its first row.
        seconds: the time a row, one entry a chunk.
        crashes: how many workers died.
    """

    def __init__(self, theta: Rows, instances: Sets, sense: Sense, workers: Workers) -> None:
        self.pieces: list[tuple[int, Solutions]] = []
        self.seconds: list[float] = []
        self.crashes = 0
        self._theta, self._instances, self._sense, self._workers = theta, instances, sense, workers
        self._waiting: deque[Chunk] = deque()
        self._sent: dict[Future[Any], Chunk] = {}
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()

    def solve(self, cuts: Sequence[int], at_once: int, solve_here: Callable[..., Timed] | None) -> None:
        """Have the rows between the cuts solved, with so many chunks on their way at once.

        Where `solve_here` is given, the caller helps by it until all workers have begun.

        Raises:
            ContractError: when the solver does not answer each row.
            PoolError: when no worker can be started, or all were ended.
        """
        self._waiting.extend(Chunk(first, last) for first, last in pairwise(cuts))
        try:
            while self._waiting or self._sent:
                while self._waiting and len(self._sent) < at_once:
                    self._send(self._waiting.popleft())
                helps = solve_here is not None and not self._workers.warm and not self.crashes
                if helps and (chunk := self._take_back()):
                    self._keep(chunk, solve_here(*self._rows(chunk)))
                elif self._sent:
                    self._collect(self._ended.get())
        except BaseException:
            for future in self._sent:
                future.cancel()
            raise

    def _rows(self, chunk: Chunk) -> tuple[Rows, Sets]:
        return self._theta[chunk.first : chunk.last], slice_instances(self._instances, chunk.first, chunk.last)

    def _send(self, chunk: Chunk, unknown: bool = False) -> None:
        try:
            future = self._workers.submit(*self._rows(chunk), unknown)
            self._sent[future] = chunk
            future.add_done_callback(self._ended.put)
        except TravelError as error:
            self._retry(chunk, error)

    def _take_back(self) -> Chunk | None:
        """A chunk that no worker has begun."""
        if self._waiting:
            return self._waiting.popleft()
        future = next((future for future in self._sent if future.cancel()), None)
        return None if future is None else self._sent.pop(future)

    def _collect(self, future: Future[Any]) -> None:
        """Keep the answer to a chunk, or send it again."""
        chunk = self._sent.pop(future, None)
        if chunk is None:  # the caller solved it
            return
        try:
            if found := self._workers.result(future):
                self._keep(chunk, found)
            else:
                self._send(chunk, unknown=True)
        except (TravelError, WorkerDiedError) as error:
            self._retry(chunk, error)

    def _retry(self, chunk: Chunk, error: Exception) -> None:
        """Solve a chunk again; row by row where it cannot travel or kills, and there a row becomes an ERROR."""
        died = isinstance(error, WorkerDiedError)
        crashes = chunk.crashes + died
        self.crashes += died
        if died and crashes < MAX_CRASHES:
            self._waiting.append(chunk._replace(crashes=crashes))
        elif chunk.last - chunk.first > 1:
            self._waiting.extend(Chunk(row, row + 1) for row in range(chunk.first, chunk.last))
        else:
            reason = f"{crashes} workers died on this row: {error}" if died else str(error)
            self._keep(chunk, (failed(1, self._theta.shape[1], reason, self._sense), 0.0))

    def _keep(self, chunk: Chunk, found: Timed) -> None:
        self.pieces.append((chunk.first, found[0]))
        self.seconds.append(found[1] / (chunk.last - chunk.first))
