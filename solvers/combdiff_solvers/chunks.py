"""Cut a batch into chunks of rows, solve a chunk whatever happens in it, and put the answers together again."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

import numpy as np

from combdiff_solvers.protocol import Rows, Sense, Sets, Solutions, Solver, solve_checked
from combdiff_solvers.rows import as_solutions, failure

Timed = tuple[Solutions, float]  # the answers to a chunk, and the seconds that they took


class ContractError(ValueError):
    """A solver is not what the `Solver` contract says. It is raised in the caller; no row can be blamed for it."""


def slice_instances(instances: Sets, first: int, last: int) -> Sets:
    """The instances of the rows first..last−1."""
    if instances is None or (first == 0 and last == len(instances)):
        return instances
    return instances[first:last]


def failed(rows: int, width: int, reason: BaseException | str, sense: Sense) -> Solutions:
    """Rows that all ended in the same ERROR."""
    return as_solutions([failure(reason)] * rows, width, sense)


def check_solutions(solver: Solver, found: object, theta: Rows) -> None:
    """Raise unless a solver answered each row of θ.

    Raises:
        ContractError: when it returned no Solutions, or y, objective, bound or status of another shape.
    """
    if not isinstance(found, Solutions):
        raise ContractError(f"{type(solver).__name__}.solve returned a {type(found).__name__}, and no Solutions")
    if found.y.shape != theta.shape or not len(theta) == found.objective.size == found.bound.size == found.status.size:
        raise ContractError(
            f"{type(solver).__name__}.solve returned y of shape {found.y.shape}, objective {found.objective.shape}, "
            f"bound {found.bound.shape} and status {found.status.shape} for {len(theta)} rows of theta, but "
            f"{theta.shape} and three times ({len(theta)},) were expected: a row without a solution keeps its place, "
            "with NaN in y and its status"
        )


def solve_safely(solver: Solver, theta: Rows, instances: Sets, caught: type[BaseException] = Exception) -> Timed:
    """Solve rows that were checked, and return the seconds that it took; an exception becomes an ERROR of its rows.

    When a batch raises, its rows are solved one by one. `caught` is BaseException in a process of its own, where
    `sys.exit()` is a failure of the row and not the wish to end the caller.

    Raises:
        ContractError: when the solver does not answer each row.
    """
    began = perf_counter()
    try:
        found = solve_checked(solver, theta, instances)
    except ContractError:
        raise
    except caught as error:
        if len(theta) == 1:
            found = failed(1, theta.shape[1], error, solver.sense)
        else:
            one_by_one = (
                (row, solve_safely(solver, theta[row : row + 1], slice_instances(instances, row, row + 1), caught)[0])
                for row in range(len(theta))
            )
            found = concatenate(one_by_one, *theta.shape)
    check_solutions(solver, found, theta)
    return found, perf_counter() - began


def concatenate(pieces: Iterable[tuple[int | list[int], Solutions]], rows: int, width: int) -> Solutions:
    """One answer from those of chunks, each with the number of its first row, or of every row; they cover all rows."""
    y, objective, bound, status = np.empty((rows, width)), np.empty(rows), np.empty(rows), np.empty(rows, np.uint8)
    messages: dict[int, str] = {}
    cached = 0
    for place, piece in pieces:
        at = range(place, place + len(piece.y)) if isinstance(place, int) else place
        here = slice(at.start, at.stop) if isinstance(at, range) else at
        y[here], objective[here], bound[here], status[here] = piece.y, piece.objective, piece.bound, piece.status
        messages.update({at[row]: text for row, text in piece.messages.items()})
        cached += piece.cached
    return Solutions(y, objective, bound=bound, status=status, messages=messages, cached=cached)


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
