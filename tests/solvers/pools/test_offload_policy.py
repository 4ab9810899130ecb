"""When workers are worth it."""

from combdiff_solvers.pools.offload_policy import LONGEST_PAUSE, SUCCESSES, OffloadPolicy


def after_rows_of(row: float, rows: int = 1000) -> OffloadPolicy:
    """What is known after some rows were solved here."""
    known = OffloadPolicy(workers=2, overhead=1e-4)
    assert known.rows_to_solve_here(rows, first=True) == 1
    known.solved_here(1, row)
    for _ in range(10):
        here = known.rows_to_solve_here(rows, first=False)
        if here:
            known.solved_here(here, row * here)
    return known


def test_a_moment_is_not_believed() -> None:
    known = OffloadPolicy(workers=2, overhead=1e-4)
    known.solved_here(1, 1e-7)
    assert known.min_offload_rows == 1
    known.solved_here(100_000, 1e-2)
    assert known.min_offload_rows > 1000
    before = known.row
    known.solved_here(known.min_offload_rows, 1e-5)  # as was to be expected
    assert known.row == before
    known.solved_here(known.min_offload_rows, 1e-2)
    assert known.row > before


def test_cheap_batches_stay_here() -> None:
    assert after_rows_of(1e-7).rows_to_solve_here(1000, first=True) == 1000
    assert after_rows_of(1e-2).rows_to_solve_here(1, first=True) == 1


def test_dear_batches_are_sent() -> None:
    assert after_rows_of(1e-2).rows_to_solve_here(1000, first=True) == 0
    most, least = after_rows_of(1e-2).chunk_sizes(1000)
    assert least <= most <= 30


def test_workers_that_gain_nothing_are_left_alone_longer_and_longer() -> None:
    known = after_rows_of(1e-2)
    waits = []
    for _ in range(9):
        assert known.rows_to_solve_here(100, first=True) == 0
        known.solved_there(100, seconds=1.0, row_seconds=[1e-2], warm=True)
        wait = 0
        while known.rows_to_solve_here(100, first=True):
            known.solved_here(100, 1.0)
            wait += 1
        waits.append(wait)
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    known.solved_there(100, seconds=0.5, row_seconds=[1e-2], warm=True)
    assert known.rows_to_solve_here(100, first=True) == 0


def test_a_slow_first_row_is_not_believed_for_long() -> None:
    known = after_rows_of(5.0)  # a compilation
    known.solved_there(1000, seconds=1e-3, row_seconds=[1e-6, 1e-6], warm=False)
    assert known.rows_to_solve_here(50, first=True) == 50


def test_workers_are_compared_with_the_last_call_before_them() -> None:
    known = after_rows_of(1e-2)
    for _ in range(2):
        known.solved_there(100, seconds=1.0, row_seconds=[1e-2], warm=True)
    for row in (5e-2, 1e-2):  # a busy machine, then a quiet one
        assert known.rows_to_solve_here(100, first=True)
        known.solved_here(100, 100 * row)
    assert known.row == 1e-2


def test_a_row_that_was_timed_on_a_busy_machine_is_timed_again() -> None:
    known = after_rows_of(5e-2)
    for _ in range(SUCCESSES):
        assert known.rows_to_solve_here(100, first=True) == 0
        known.solved_there(100, seconds=1.0, row_seconds=[5e-2], warm=True)  # no faster than the caller would be
    assert known.rows_to_solve_here(100, first=True) == 1
    known.solved_here(1, 1e-2)
    assert known.rows_to_solve_here(99, first=False) == 0
    known.solved_there(99, seconds=1.0, row_seconds=[2e-2], warm=True)
    assert known.rows_to_solve_here(100, first=True) == 100


def test_a_row_is_timed_again_by_few_rows() -> None:
    known = OffloadPolicy(workers=2, overhead=1e-3)
    known.solved_here(2000, 2000 * 1e-5)
    for _ in range(SUCCESSES):
        known.solved_there(2000, seconds=0.012, row_seconds=[1e-5], warm=True)
    timed = 0
    while here := known.rows_to_solve_here(2000 - timed, first=not timed):
        known.solved_here(here, here * 1e-5)
        timed += here
    assert 100 < timed < 300  # and the workers solve the others, though these were too few to be sent
