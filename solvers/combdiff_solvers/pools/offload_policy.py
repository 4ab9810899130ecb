"""Whether a batch is worth the workers: what a row takes here, and what they have gained so far."""

from __future__ import annotations

import sys
from math import ceil
from statistics import median

SURE = 1e-3  # seconds of work after which a mean over rows is trusted
LONGEST_PAUSE = 64  # calls to leave the workers alone for, at most
SUCCESSES = 16  # calls that the workers solve before the caller times a few rows again


class OffloadPolicy:
    """Keeps a pool from being slower than the plain solver.

    The first rows are solved by the caller and timed. Workers get the others where the time that they are going to
    save is several times what the sending costs; and where the clock then says that they saved nothing (a solver that
    holds the GIL, a machine that is busy), they are left alone for 1, 2, 4, ... calls before they are tried again. What
    a row takes here is measured anew in the last of these calls, and after every 16 that workers solved: a time that a
    busy machine made too long would hide that they save nothing.

    Args:
        workers: how many there are.
        overhead: seconds that a batch costs more when it is sent.

    Attributes:
        min_offload_rows: up to so many rows stay with the caller whatever else is known.
        row: seconds that a row takes; 0 until it is known.
    """

    def __init__(self, workers: int, overhead: float) -> None:
        self.workers, self.row, self.min_offload_rows = workers, 0.0, 1
        self._overhead = overhead
        self._rows = self._seconds = 0.0  # solved here, of which the oldest are forgotten
        self._failures = self._successes = self._calls_to_wait = 0

    def rows_to_solve_here(self, rows: int, first: bool) -> int:
        """How many of the next rows the caller solves itself; 0 if the workers are to have them all.

        `first` says whether these are the first rows of a call.
        """
        if rows <= self.min_offload_rows:
            return rows
        if not self._rows:
            return 1
        if self._seconds < SURE:
            return min(rows, ceil(2 * SURE / self.row))
        if first and self._calls_to_wait:
            self._calls_to_wait -= 1
            if not self._calls_to_wait:
                self._forget()  # what is measured in this call is what the workers are compared with in the next
            return rows
        return 0

    def chunk_sizes(self, rows: int) -> tuple[int, int]:
        """The most rows of a chunk (about 0.3 s, so that it can be called off), and the least worth sending."""
        share = max(1, rows // (4 * self.workers))
        if not self.row:
            return share, 1
        return max(1, int(0.3 / self.row)), min(share, ceil(4 * self._overhead / self.row))

    def solved_here(self, rows: int, seconds: float) -> None:
        """The caller solved some rows. Where they are few and took little time, nothing is to be learned of it."""
        if self._seconds >= SURE and rows <= self.min_offload_rows and seconds <= 3 * self._overhead:
            return
        self._learn(self._rows / 2 + rows, self._seconds / 2 + seconds)

    def _learn(self, rows: float, seconds: float) -> None:
        self._rows, self._seconds, self.row = rows, seconds, max(seconds / rows, 1e-9)
        saved = self.row * (1 - 1 / self.workers)  # by the workers, on each row
        if seconds >= SURE:
            self.min_offload_rows = max(1, int(3 * self._overhead / saved)) if saved else sys.maxsize

    def solved_there(self, rows: int, seconds: float, row_seconds: list[float], warm: bool) -> None:
        """The workers solved some rows; `row_seconds` are those of a row in each chunk, `warm` if none had to start."""
        row = max(median(row_seconds), 1e-9)
        if not self._rows or row < self.row:  # the first rows, which a solver may need to warm up on, take longer
            count = max(float(rows), 2 * SURE / row)  # this is to be trusted
            self._learn(count, count * row)
        if not warm:
            return
        if seconds > 0.95 * rows * self.row:
            self._calls_to_wait = min(2**self._failures, LONGEST_PAUSE)
            self._failures += 1
            self._successes = 0
        else:
            self._failures = 0
            self._successes += 1
            if self._successes % SUCCESSES == 0:
                self._forget()

    def _forget(self) -> None:
        """Have the time of a row measured anew: it was too long if the machine was busy then."""
        self._rows = self._seconds = 0.0
