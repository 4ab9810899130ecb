from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import FunctionSolver, Sense, Solver, Status, TopK, wrap
from combdiff.testing import SolverContract


def two_smallest(theta: np.ndarray, allowed: Any = None) -> np.ndarray | None:
    """A 0/1 vector of the two smallest entries, of those allowed."""
    cost = theta if allowed is None else np.where(allowed, theta, np.inf)
    if np.isinf(cost).sum() > len(theta) - 2:
        return None
    y = np.zeros(len(theta))
    y[np.argsort(cost, kind="stable")[:2]] = 1.0
    return y


def two_largest_of_each(theta: np.ndarray) -> np.ndarray:
    best = np.argsort(-theta.reshape(len(theta), -1), axis=1, kind="stable")[:, :2]
    y = np.zeros((len(theta), 4))
    np.put_along_axis(y, best, 1.0, axis=1)
    return y.reshape(theta.shape)


PAIRS = np.array([[float(i in chosen) for i in range(4)] for chosen in combinations(range(4), 2)])


class TestOneRowAtATime(SolverContract):
    def make(self) -> Solver:
        return wrap(two_smallest, shape=(4,))

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return PAIRS

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        return list(np.random.default_rng(0).random((rows, 4)) < 0.7)

    def feasible_set_of(self, solver: Solver, instance: Any) -> np.ndarray:
        return PAIRS[(instance >= PAIRS).all(axis=1)]


class TestBatched(SolverContract):
    def make(self) -> Solver:
        return wrap(two_largest_of_each, shape=(2, 2), sense="max", batched=True)

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return PAIRS

    def test_instances(self) -> None:
        """A function of one argument: every row fails, with the reason kept."""
        found = self.make().solve(np.zeros((2, 4)), instances=[1, 2])
        assert found.status.tolist() == [Status.ERROR] * 2
        assert "positional argument" in found.messages[0]


def fails_on_negative(theta: np.ndarray) -> np.ndarray:
    if theta.min() < 0:
        raise RuntimeError(f"negative: {theta.min():g}")
    return np.sign(theta)


@pytest.mark.parametrize("batched", [False, True])
def test_an_exception_costs_its_row_only(batched: bool) -> None:
    solver = wrap(fails_on_negative, shape=(2,), batched=batched)
    found = solver.solve(np.array([[1.0, 0.0], [-2.0, 1.0], [1.0, 1.0]]))
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.OPTIMAL]
    assert found.messages == {1: "RuntimeError: negative: -2"}
    assert np.isnan(found.y[1]).all()
    assert found.y[[0, 2]].tolist() == [[1, 0], [1, 1]]
    assert found.objective[[0, 2]].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize(
    ("answer", "reason"), [([1.0], "shape"), ([np.nan, 1.0], "NaN"), ("ab", "ValueError"), ([np.inf, 0.0], "inf")]
)
def test_an_answer_that_is_none_is_refused(batched: bool, answer: Any, reason: str) -> None:
    answer = [answer] if batched else answer
    found = FunctionSolver(lambda theta: answer, shape=(2,), batched=batched).solve(np.ones((1, 2)))
    assert found.status.tolist() == [Status.ERROR]
    assert reason in found.messages[0]


def test_the_function_may_write_into_its_argument() -> None:
    def spoil(theta: np.ndarray) -> np.ndarray:
        theta[:] = 7.0
        return np.ones_like(theta)

    assert wrap(spoil, shape=(2,)).solve(np.array([[1.0, 2.0]])).objective.tolist() == [3.0]


def test_interrupts_are_not_swallowed() -> None:
    def interrupted(theta: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wrap(interrupted, shape=(2,)).solve(np.ones((1, 2)))


def test_other_types_can_be_registered() -> None:
    class Model:
        n = 5

    with pytest.raises(TypeError, match="cannot wrap a Model"):
        wrap(Model())
    wrap.register(Model, lambda model, k: TopK(model.n, k))
    assert wrap(Model(), 2).shape == (5,)
    with pytest.raises(TypeError, match=r"one of .*Model"):
        wrap(3)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"shape=\(\)"):
        wrap(two_smallest, shape=())
    with pytest.raises(ValueError, match="'most'"):
        wrap(two_smallest, shape=(4,), sense="most")
    assert wrap(two_smallest, shape=(4,), sense=Sense.MAX).sense is Sense.MAX
