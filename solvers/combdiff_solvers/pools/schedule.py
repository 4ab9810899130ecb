"""Solve a batch in chunks: a chunk that is lost is submitted again, one that kills its workers is given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import pairwise
from queue import SimpleQueue
from typing import NamedTuple

from combdiff_solvers.chunks import Timed, failed, slice_instances
from combdiff_solvers.pools.messages import TravelError
from combdiff_solvers.pools.worker_pool import MAX_CRASHES, WorkerDiedError, WorkerPool
from combdiff_solvers.protocol import Rows, Sense, Sets, Solutions


class Chunk(NamedTuple):
    """The rows first..last−1 of a batch, and how many workers died on them."""

    first: int
    last: int
    crashes: int = 0


class Schedule:
    """One batch on its way through a pool of workers.

    Attributes:
        pieces: the answers, each with the number of its first row.
        seconds: the time a row, one entry a chunk.
        crashes: how many workers died.
    """

    def __init__(self, pool: WorkerPool, theta: Rows, instances: Sets, sense: Sense) -> None:
        self.pieces: list[tuple[int, Solutions]] = []
        self.seconds: list[float] = []
        self.crashes = 0
        self._pool, self._theta, self._instances, self._sense = pool, theta, instances, sense
        self._chunks: dict[Future[Timed], Chunk] = {}
        self._ended: SimpleQueue[Future[Timed]] = SimpleQueue()

    def run(self, cuts: Sequence[int], solve_here: Callable[..., Timed] | None) -> None:
        """Solve the rows between the cuts; where `solve_here` is given, the caller helps by it until all are ready.

        Raises:
            ContractError: when the solver does not answer each row.
            PoolError: when no worker can be started, or all were ended.
        """
        try:
            for first, last in pairwise(cuts):
                self._submit(Chunk(first, last))
            while self._chunks:
                waiting = None
                if solve_here is not None and not self._pool.warm:
                    waiting = next((future for future in self._chunks if future.cancel()), None)
                if waiting is not None and solve_here is not None:
                    chunk = self._chunks.pop(waiting)
                    self._keep(chunk, solve_here(*self._rows(chunk)))
                else:
                    self._collect(self._ended.get())
        except BaseException:
            for future in self._chunks:
                future.cancel()
            self._pool.close()
            raise

    def _rows(self, chunk: Chunk) -> tuple[Rows, Sets]:
        return self._theta[chunk.first : chunk.last], slice_instances(self._instances, chunk.first, chunk.last)

    def _submit(self, chunk: Chunk) -> None:
        future = self._pool.submit(*self._rows(chunk))
        self._chunks[future] = chunk
        future.add_done_callback(self._ended.put)

    def _collect(self, future: Future[Timed]) -> None:
        """Keep the answer to a chunk; submit the chunk of a dead worker again, unless it is the chunk that kills."""
        chunk = self._chunks.pop(future, None)
        if chunk is None:  # the caller solved it
            return
        try:
            self._keep(chunk, future.result())
        except TravelError as error:
            self._split(chunk, str(error))
        except WorkerDiedError as error:
            self.crashes += 1
            chunk = chunk._replace(crashes=chunk.crashes + 1)
            if chunk.crashes < MAX_CRASHES:
                self._submit(chunk)
            else:
                self._split(chunk, f"{chunk.crashes} workers died on this row: {error}")

    def _split(self, chunk: Chunk, reason: str) -> None:
        """Have the rows of a chunk that failed solved one by one; a row that is alone already is an ERROR."""
        if chunk.last - chunk.first == 1:
            self._keep(chunk, (failed(1, self._theta.shape[1], reason, self._sense), 0.0))
            return
        for row in range(chunk.first, chunk.last):
            self._submit(Chunk(row, row + 1))

    def _keep(self, chunk: Chunk, found: Timed) -> None:
        self.pieces.append((chunk.first, found[0]))
        self.seconds.append(found[1] / (chunk.last - chunk.first))
