"""Cut a batch into chunks of rows, solve a chunk whatever happens in it, and put the answers together again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.protocol import Solutions, Solver, Status


def some(instances: Sequence[Any] | None, first: int, last: int) -> Sequence[Any] | None:
    """The instances of the rows first..last−1."""
    if instances is None or (first == 0 and last == len(instances)):
        return instances
    chosen: Sequence[Any] = instances[first:last]
    return chosen


def failed(rows: int, width: int, message: str) -> Solutions:
    """Rows that all ended in an ERROR."""
    return Solutions(
        np.full((rows, width), np.nan),
        np.full(rows, np.nan),
        np.full(rows, Status.ERROR, dtype=np.uint8),
        dict.fromkeys(range(rows), message),
    )


def guarded(solver: Solver, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> tuple[Solutions, float]:
    """Solve rows, and return the seconds that it took; an exception becomes an ERROR of the rows that it comes from.

    When a batch raises, its rows are solved one by one.
    """
    began = time.perf_counter()
    try:
        found = solver.solve(theta, instances)
    except Exception as error:
        if len(theta) == 1:
            found = failed(1, theta.shape[1], f"{type(error).__name__}: {error}")
        else:
            rows = range(len(theta))
            one_by_one = [
                (row, guarded(solver, theta[row : row + 1], some(instances, row, row + 1))[0]) for row in rows
            ]
            found = together(one_by_one, *theta.shape)
    return found, time.perf_counter() - began


def together(pieces: Iterable[tuple[int, Solutions]], rows: int, width: int) -> Solutions:
    """One answer from those of chunks, each with the number of its first row; they cover all rows."""
    y, objective, status = np.empty((rows, width)), np.empty(rows), np.empty(rows, dtype=np.uint8)
    messages: dict[int, str] = {}
    cached = 0
    for first, piece in pieces:
        rows_here = slice(first, first + len(piece.y))
        y[rows_here], objective[rows_here], status[rows_here] = piece.y, piece.objective, piece.status
        messages.update({first + row: text for row, text in piece.messages.items()})
        cached += piece.cached
    return Solutions(y, objective, status, messages, cached)


def shrinking(rows: int, workers: int, most: int, least: int = 1) -> list[int]:
    """Where to cut rows into chunks that shrink towards the end, so that the workers end together.

    After C. D. Polychronopoulos and D. J. Kuck (1987), "Guided self-scheduling". No chunk has more than
    `most` rows.

    >>> shrinking(20, workers=2, most=100)
    [0, 5, 8, 11, 13, 14, 15, 16, 17, 18, 19, 20]
    """
    cuts = [0]
    while cuts[-1] < rows:
        left = rows - cuts[-1]
        cuts.append(cuts[-1] + min(left, max(1, least, min(most, left // (2 * workers)))))
    return cuts
