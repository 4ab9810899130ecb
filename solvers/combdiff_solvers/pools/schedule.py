"""Solve a batch in chunks on an executor: a chunk that is lost is submitted again, one that kills is given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from queue import SimpleQueue
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.chunks import ContractError, failed, slice_instances
from combdiff_solvers.pools.messages import LoadError, TravelError, unpack
from combdiff_solvers.protocol import Sense, Solutions

MAX_CRASHES = 2  # a chunk that so many workers died on is cut into rows, and such a row is given up

Answer = tuple[Solutions, float]  # of a chunk, and the seconds that it took


class PoolError(RuntimeError):
    """No worker is left, and another try would not help; the text says what to do."""


@runtime_checkable
class ChunkExecutor(Protocol):
    """Whatever runs chunks.

    Attributes:
        warm: whether all workers are ready; while they are not, the caller had better work, too.
        closed: whether it takes no more chunks.
    """

    @property
    def warm(self) -> bool: ...

    @property
    def closed(self) -> bool: ...

    def submit(
        self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None, again: bool
    ) -> Future[Answer | bytes | None]:
        """Have a chunk solved; `again` says that it came back unsolved.

        The result is an answer, an answer in bytes, or None if the chunk is to be submitted again. ContractError,
        LoadError, TravelError and PoolError mean what they say; any other exception is the loss of a worker.

        Raises:
            TravelError: when the chunk cannot be pickled.
            PoolError: when there are no workers any more.
        """
        ...

    def close(self) -> None:
        """End the workers, whatever they do."""


@dataclass(eq=False)
class Chunk:
    """The rows first..last−1 of a batch."""

    first: int
    last: int
    crashes: int = 0


class Schedule:
    """One batch on its way through an executor.

    Attributes:
        pieces: the answers, each with the number of its first row.
        seconds: the time a row, one entry a chunk.
        crashes: how many workers died.
    """

    def __init__(
        self, executor: ChunkExecutor, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None, sense: Sense
    ) -> None:
        self.pieces: list[tuple[int, Solutions]] = []
        self.seconds: list[float] = []
        self.crashes = 0
        self._executor, self._theta, self._instances, self._sense = executor, theta, instances, sense
        self._chunks: dict[Future[Any], Chunk] = {}
        self._ended: SimpleQueue[Future[Any]] = SimpleQueue()

    def run(self, cuts: Sequence[int], solve_here: Callable[..., Answer] | None) -> None:
        """Solve the rows between the cuts; where `solve_here` is given, the caller helps by it until all are ready.

        Raises:
            ContractError: when the solver does not answer each row.
            PoolError: when no worker can be started, or all were ended.
        """
        try:
            for first, last in pairwise(cuts):
                self._submit(Chunk(first, last))
            while self._chunks:
                helping = solve_here is not None and not self._executor.warm
                chunk = self._take_back() if helping else None
                if chunk is not None and solve_here is not None:
                    self._keep(chunk, *solve_here(*self._rows(chunk)))
                else:
                    self._collect(self._ended.get())
        except BaseException:
            for future in self._chunks:
                future.cancel()
            self._executor.close()
            raise

    def _rows(self, chunk: Chunk) -> tuple[Float64[ndarray, "b n"], Sequence[Any] | None]:
        return self._theta[chunk.first : chunk.last], slice_instances(self._instances, chunk.first, chunk.last)

    def _submit(self, chunk: Chunk, again: bool = False) -> None:
        try:
            future = self._executor.submit(*self._rows(chunk), again)
        except TravelError as error:
            self._split(chunk, str(error))
            return
        self._chunks[future] = chunk
        future.add_done_callback(self._ended.put)

    def _take_back(self) -> Chunk | None:
        """A chunk that no worker has begun."""
        taken = next((future for future in self._chunks if future.cancel()), None)
        return None if taken is None else self._chunks.pop(taken)

    def _collect(self, future: Future[Any]) -> None:
        """Keep the answer to a chunk, or do what its failure asks for."""
        chunk = self._chunks.pop(future, None)
        if chunk is None:  # taken back
            return
        try:
            found = future.result()
            if found is None:
                self._submit(chunk, again=True)
            else:
                self._keep(chunk, *(unpack(found) if isinstance(found, bytes) else found))
        except (ContractError, PoolError):
            raise
        except LoadError as error:
            raise PoolError(f"a worker could not start: {error}") from error
        except TravelError as error:
            self._split(chunk, str(error))
        except Exception as error:
            self._requeue(chunk, error)

    def _requeue(self, chunk: Chunk, error: Exception) -> None:
        """Submit the chunk of a dead worker again, unless it is the chunk that kills."""
        self.crashes += 1
        chunk.crashes += 1
        if chunk.crashes < MAX_CRASHES:
            self._submit(chunk, again=True)
        else:
            self._split(chunk, f"{chunk.crashes} workers died on this row: {error or type(error).__name__}")

    def _split(self, chunk: Chunk, reason: str) -> None:
        """Have the rows of a chunk that failed solved one by one; a row that is alone already is an ERROR."""
        if chunk.last - chunk.first == 1:
            self._keep(chunk, failed(1, self._theta.shape[1], reason, self._sense), 0.0)
            return
        for row in range(chunk.first, chunk.last):
            self._submit(Chunk(row, row + 1), again=True)

    def _keep(self, chunk: Chunk, found: Solutions, seconds: float) -> None:
        self.pieces.append((chunk.first, found))
        self.seconds.append(seconds / (chunk.last - chunk.first))
