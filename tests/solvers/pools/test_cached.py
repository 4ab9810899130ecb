"""Cached: exact hits, what is kept, and the solution pool."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff.testing import HYPERSIMPLEX, Enumerated, SolverContract
from combdiff_solvers import Cached, KSubset, KSubsetInstances, Parallel, Solutions, Solver, Status, TopK
from combdiff_solvers.instances import instance_key
from combdiff_solvers.protocol import value
from tests.solvers.probes import DropsRows, Probe, WithTerm


class Counts:
    """A solver that counts the rows it solves, with h(y) = 10 · y₀; rows that begin with 99 end in LIMIT."""

    def __init__(self, inner: Solver) -> None:
        self.inner, self.sense, self.shape, self.solved = inner, inner.sense, inner.shape, 0

    def solve(self, theta: ndarray, instances: Sequence[Any] | None = None) -> Solutions:
        self.solved += len(theta)
        extra = np.zeros_like(theta)
        extra[:, 0] = 10.0
        found = self.inner.solve(theta + extra, instances)
        status = np.where(theta[:, 0] == 99.0, Status.LIMIT, found.status).astype(np.uint8)
        return Solutions(
            found.y, found.objective, bound=found.bound, status=status, messages={0: "first"} if len(theta) else {}
        )


class TestCached(SolverContract):
    def make(self) -> Solver:
        return Cached(KSubset(4, 2))

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return HYPERSIMPLEX

    def instances(self, solver: Solver, rows: int) -> KSubsetInstances:
        return KSubsetInstances(allowed=np.arange(4 * rows).reshape(rows, 4) % 3 > 0)

    def feasible_set_of(self, solver: Solver, instance: Any) -> Float64[ndarray, "k n"]:
        return HYPERSIMPLEX[(instance["allowed"] >= HYPERSIMPLEX).all(axis=1)]


def test_a_row_is_solved_once() -> None:
    counts = Counts(TopK(3))
    cached = Cached(counts)
    theta = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 60.0], [1.0, 2.0, 3.0]])
    first = cached.solve(theta)
    assert (counts.solved, first.cached, cached.hits, cached.misses) == (2, 1, 1, 2)
    again = cached.solve(theta[::-1])
    assert (counts.solved, again.cached, cached.hits) == (2, 3, 4)
    np.testing.assert_array_equal(again.y, first.y[::-1])
    np.testing.assert_array_equal(again.objective, first.objective[::-1])
    almost = cached.solve(np.nextafter(theta, np.inf))
    assert (counts.solved, almost.cached) == (4, 1)


def test_an_answer_cannot_be_changed_by_its_owner() -> None:
    cached = Cached(TopK(3))
    theta = np.array([[1.0, 2.0, 3.0]])
    cached.solve(theta).y[:] = 7.0
    cached.solve(theta).y[:] = 7.0
    assert cached.solve(theta).y.tolist() == [[0.0, 0.0, 1.0]]


def test_the_instance_is_part_of_the_question() -> None:
    cached = Cached(KSubset(3, 1))
    theta = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    allowed = np.array([[True, True, True], [True, True, False]])
    found = cached.solve(theta, KSubsetInstances(allowed=allowed))
    assert found.y.argmax(axis=1).tolist() == [2, 1]
    assert cached.solve(theta[:1], [{"allowed": allowed[1]}]).cached == 1
    assert cached.solve(theta[:1]).cached == 0


def test_the_least_recently_used_row_is_forgotten() -> None:
    counts = Counts(TopK(2))
    cached = Cached(counts, rows=2)
    a, b, c = np.array([[1.0, 0.0]]), np.array([[2.0, 0.0]]), np.array([[3.0, 0.0]])
    for theta in (a, b, a, c):
        cached.solve(theta)
    assert counts.solved == 3
    assert cached.solve(a).cached == 1
    assert cached.solve(b).cached == 0


def test_a_row_that_met_a_limit_is_tried_again() -> None:
    counts = Counts(TopK(2))
    cached = Cached(counts)
    theta = np.array([[99.0, 0.0]])
    assert cached.solve(theta).status[0] == Status.LIMIT
    assert cached.solve(theta).cached == 0
    assert counts.solved == 2


def test_the_pool_answers_feasibly_at_its_share() -> None:
    rng = np.random.default_rng(0)
    counts = Counts(Enumerated(HYPERSIMPLEX))
    cached = Cached(counts, solve_ratio=0.25)
    theta = rng.normal(size=(400, 4))
    found = cached.solve(theta[:1])
    assert found.status[0] == Status.OPTIMAL
    for batch in np.split(theta, 20):
        found = cached.solve(batch)
        for row in range(len(batch)):
            assert (found.y[row] == HYPERSIMPLEX).all(axis=1).any()
            value = batch[row] @ found.y[row] + 10.0 * found.y[row, 0]
            assert found.objective[row] == pytest.approx(value)
            assert found.status[row] in (Status.OPTIMAL, Status.FEASIBLE)
    assert abs(counts.solved - 100) <= 2
    assert cached.pooled == 401 - counts.solved - cached.hits
    assert 1 < len(cached.solutions()) <= 6


def test_the_best_of_the_pool_is_taken() -> None:
    cached = Cached(Enumerated(HYPERSIMPLEX, "max"), solve_ratio=1e-9)
    first = cached.solve(np.array([[3.0, 2.0, 1.0, 0.0]]), [[0, 1, 2]])
    assert first.status[0] == Status.OPTIMAL  # nothing was known
    second = cached.solve(np.array([[0.0, 0.0, 3.0, 3.0]]), [[0, 1, 2]])
    assert second.status[0] == Status.FEASIBLE
    np.testing.assert_array_equal(second.y, first.y)
    other = cached.solve(np.array([[0.0, 0.0, 3.0, 3.0]]), [[5]])  # not feasible there: solved
    assert other.status[0] == Status.OPTIMAL
    assert len(cached.solutions([0, 1, 2])) == len(cached.solutions([5])) == 1
    assert cached.solutions([4]).shape == (0, 4)


@pytest.mark.parametrize("rows", [1, 3])
def test_bad_shapes_of_an_answer_are_refused(rows: int) -> None:
    theta = np.zeros((rows, 4))
    theta[0] = 101.0, 1.0, 2.0, 3.0
    with pytest.raises(ValueError, match=r"DropsRows.solve returned y of shape \(\d, 4\).*for \d rows"):
        Cached(DropsRows()).solve(theta)


def test_a_bad_answer_is_refused() -> None:
    class Bare(Probe):
        def solve(self, theta: ndarray, instances: Sequence[Any] | None = None) -> Any:
            return theta

    theta = np.zeros((2, 4))
    for solver in (Cached(Bare()), Parallel(Bare(), 2), Parallel(Bare(), 2, adaptive=False)):
        with pytest.raises(ValueError, match=r"Bare.solve returned a ndarray, and no Solutions"):
            solver.solve(theta)


def test_value_is_the_solvers() -> None:
    theta = np.random.default_rng(0).normal(size=(4, 4))
    y, instances = Probe().solve(theta).y, ["dear", "any"] * 2
    for given in (None, instances):
        np.testing.assert_array_equal(value(Cached(WithTerm()), y, theta, given), WithTerm().value(y, theta, given))


def test_composes() -> None:
    theta = np.random.default_rng(0).normal(size=(30, 4))
    with Parallel(TopK(4, 2), 2, adaptive=False) as pool:
        cached = Cached(pool)
        np.testing.assert_array_equal(cached.solve(theta).y, TopK(4, 2).solve(theta).y)
        assert cached.solve(theta).cached == 30


def test_keys_differ_where_instances_do() -> None:
    ones = [np.ones(4), np.ones((2, 2)), np.ones(4, dtype=np.float32), {"a": np.ones(4)}, {"b": np.ones(4)}, 1, "1"]
    assert len({instance_key(one) for one in ones}) == len(ones)
    assert instance_key(np.arange(6).reshape(2, 3).T) == instance_key(np.arange(6).reshape(2, 3).T.copy())


@pytest.mark.parametrize(
    ("arguments", "match"),
    [({"rows": 0}, "rows=0"), ({"solve_ratio": 0.0}, "solve_ratio=0"), ({"pool_size": 0}, "pool_size=0")],
)
def test_bad_arguments(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Cached(TopK(3), **arguments)
