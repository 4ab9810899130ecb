"""Rows on several threads."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from combdiff_solvers.compute.threads import _pieces, for_rows


@pytest.mark.parametrize("rows", [2, 3, 10, 97, 1000])
@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize("least", [1, 7, 5000])
def test_pieces_cover_every_row_once_and_suffice_for_all_threads(rows: int, threads: int, least: int) -> None:
    pieces = _pieces(rows, threads, least)
    assert [row for first, last in pieces for row in range(first, last)] == list(range(rows))
    assert all(last - first >= min(least, rows) for first, last in pieces)
    assert len(pieces) >= min(threads, rows // least)


def test_every_row_is_done_once_for_callers_at_the_same_time() -> None:
    def call(caller: int) -> np.ndarray:
        done = np.zeros(503, np.int64)

        def count(first: int, last: int, target: np.ndarray) -> None:
            target[first:last] += 1

        for_rows(count, 503, done, threads=4, grain=3)
        return done

    with ThreadPoolExecutor(8) as callers:
        assert all((done == 1).all() for done in callers.map(call, range(40)))


def test_a_thread_that_is_free_takes_the_next_piece() -> None:
    """The first piece waits until all others are done, so they must have been done elsewhere."""
    others, by = threading.Event(), Counter[str]()

    def slow(first: int, last: int) -> None:
        if first == 0:
            assert others.wait(60), "nobody else took the other pieces"
        by[threading.current_thread().name] += last - first
        if last == 100:
            others.set()

    for_rows(slow, 100, threads=2, grain=1)
    assert sum(by.values()) == 100
    assert len(by) == 2


def test_an_error_in_any_piece_arrives() -> None:
    def fail(first: int, last: int) -> None:
        if last == 100:
            raise ZeroDivisionError(f"rows {first} to {last}")

    with pytest.raises(ZeroDivisionError, match="to 100"):
        for_rows(fail, 100, threads=2, grain=1)
