"""Rows with feasible sets of their own."""

import gc
import pickle
import threading
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from combdiff.solvers import Factory, MixedInteger, Parallel, Solver, Status, TopK
from combdiff.testing import SolverContract
from combdiff_solvers.instances import instance_key
from combdiff_solvers.protocol import value
from tests.solvers.probes import DropsRows, Probe, Raises, build_misfit

CUBE = np.array([[(k >> i) & 1 for i in range(5)] for k in range(32)], dtype=float)


def knapsack(instance: dict[str, Any]) -> MixedInteger:
    return MixedInteger(instance["weights"][None], instance["capacity"], integrality=1, bounds=(0, 1), sense="max")


class TestKnapsacks(SolverContract):
    """Each row its own weights and capacity; `tests without instances` get one for all rows."""

    rows = 70

    def make(self) -> Solver:
        pytest.importorskip("ortools")
        factory = Factory(knapsack, shape=(5,), sense="max")
        one = {"weights": np.ones(5), "capacity": 2.0}

        class WithDefault:
            sense, shape = factory.sense, factory.shape

            def solve(self, theta: np.ndarray, instances: Sequence[Any] | None = None) -> Any:
                return factory.solve(theta, [one] * len(theta) if instances is None else instances)

        return WithDefault()

    def feasible_set(self, solver: Solver) -> np.ndarray:
        return CUBE[CUBE.sum(axis=1) <= 2]

    def instances(self, solver: Solver, rows: int) -> Sequence[Any]:
        rng = np.random.default_rng(0)
        return [
            {"weights": rng.integers(1, 6, 5).astype(float), "capacity": 7.0 - 9.0 * (i % 9 == 8)} for i in range(rows)
        ]

    def feasible_set_of(self, solver: Solver, instance: Any) -> np.ndarray:
        return CUBE[CUBE @ instance["weights"] <= instance["capacity"]]

    def test_pickle(self) -> None:
        pytest.importorskip("ortools")
        factory = Factory(knapsack, shape=(5,), sense="max")
        instances, theta = self.instances(factory, 6), self.theta(factory, 6)
        before = factory.solve(theta, instances)
        self.same(pickle.loads(pickle.dumps(factory)).solve(theta, instances), before)


def test_models_are_built_once_and_the_oldest_go() -> None:
    built: list[int] = []

    def build(k: int) -> Solver:
        built.append(k)
        return TopK(3, k)

    factory = Factory(build, shape=(3,), sense="max", keep=2)
    factory.solve(np.zeros((5, 3)), [1, 2, 1, 2, 1])
    factory.solve(np.zeros((2, 3)), [2, 1])
    assert built == [1, 2]
    factory.solve(np.zeros((1, 3)), [3])
    factory.solve(np.zeros((1, 3)), [1])  # used last but one: still there
    assert built == [1, 2, 3]
    factory.solve(np.zeros((1, 3)), [2])
    assert built == [1, 2, 3, 2]


def test_a_build_that_fails_costs_its_own_rows_only() -> None:
    def build(k: int) -> Any:
        if k == 7:
            raise RuntimeError("no such graph")
        return TopK(3, k)

    found = Factory(build, shape=(3,), sense="max").solve(np.eye(3), [1, 7, 2])
    assert found.status.tolist() == [Status.OPTIMAL, Status.ERROR, Status.OPTIMAL]
    assert "no such graph" in found.messages[1]
    assert np.isnan(found.y[1]).all()


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("shape", r"shape \(4,\) and sense 'max', but the factory has shape \(3,\) and sense 'max'"),
        ("sense", r"shape \(3,\) and sense 'min', but the factory has shape \(3,\) and sense 'max'"),
        ("nothing", r"a str, but a Solver or a pair \(model, variables\) was expected"),
    ],
)
@pytest.mark.parametrize("backend", ["none", "threads", "processes"])
def test_a_bad_build_raises_at_once(kind: str, match: str, backend: Any) -> None:
    factory = Factory(build_misfit, shape=(3,), sense="max")
    solver = factory if backend == "none" else Parallel(factory, 2, backend, adaptive=False)
    with pytest.raises(ValueError, match=match):
        solver.solve(np.eye(3)[[0, 1, 2, 0]], ["fits", "fits", kind, "fits"])
    if isinstance(solver, Parallel):
        solver.close()


def test_a_bad_row_costs_no_other_row_of_its_instance() -> None:
    theta = np.zeros((4, 4))
    theta[2, 0] = 101.0
    found = Factory(lambda _: Raises(), shape=(4,)).solve(theta, [0, 0, 0, 1])
    assert found.status.tolist() == [Status.OPTIMAL, Status.OPTIMAL, Status.ERROR, Status.OPTIMAL]
    assert found.messages == {2: "RuntimeError: no 101, please"}


def test_bad_shapes_of_an_answer_are_refused() -> None:
    theta = np.zeros((3, 4))
    theta[1, 0] = 101.0
    with pytest.raises(ValueError, match=r"DropsRows.solve returned y of shape \(1, 4\).*for 2 rows"):
        Factory(lambda _: DropsRows(), shape=(4,)).solve(theta, [0, 0, 1])


class Counted(Probe):
    """Knows the threads that it has solved for, and is counted while it lives."""

    living: ClassVar[list[weakref.ref["Counted"]]] = []
    """every solver that was built"""
    threads_of_one: ClassVar[int] = 0
    """the most threads that used one solver"""

    def __init__(self) -> None:
        super().__init__(seconds=0.001)
        self.threads: set[int] = set()
        self.living.append(weakref.ref(self))

    def misbehave(self, first: float) -> None:
        self.threads.add(threading.get_ident())
        Counted.threads_of_one = max(Counted.threads_of_one, len(self.threads))


def build_counted(instance: int) -> Counted:
    return Counted()


def test_threads_share_one_factory_and_its_memory() -> None:
    Counted.living.clear()
    Counted.threads_of_one = 0
    factory = Factory(build_counted, shape=(4,), keep=4)
    theta, instances = np.random.default_rng(0).normal(size=(90, 4)), list(range(9)) * 10
    with Parallel(factory, 3, adaptive=False) as pool:
        np.testing.assert_array_equal(pool.solve(theta, instances).y, Probe().solve(theta).y)
        gc.collect()
        assert sum(one() is not None for one in Counted.living) == 4
    assert Counted.threads_of_one == 1


def test_a_solver_that_is_safe_for_threads_is_built_once_for_all() -> None:
    class Safe(Probe):
        thread_safe = True

    built: list[int] = []

    def build(instance: int) -> Safe:
        built.append(instance)
        return Safe(seconds=0.001)

    factory = Factory(build, shape=(4,))
    factory.solve(np.zeros((3, 4)), [0, 1, 2])
    with Parallel(factory, 3, adaptive=False) as pool:
        pool.solve(np.zeros((60, 4)), [0, 1, 2] * 20)
    assert built == [0, 1, 2]


def test_value_is_that_of_each_instances_model() -> None:
    class Offset(TopK):
        def __init__(self, h: float) -> None:
            super().__init__(3)
            self.h = h

        def value(self, y: np.ndarray, theta: np.ndarray, instances: Any = None) -> np.ndarray:
            assert instances is None
            found: np.ndarray = (theta * y).sum(axis=1) + self.h
            return found

    factory = Factory(lambda h: TopK(3) if h == 0 else Offset(h), shape=(3,), sense="max")
    theta = np.arange(12.0).reshape(4, 3)
    y = np.eye(4)[:, :3]
    y[2] = np.nan
    np.testing.assert_array_equal(value(factory, y, theta, [5.0, 7.0, 5.0, 0.0]), [5.0, 11.0, np.nan, 0.0])
    with pytest.raises(ValueError, match="give instances"):
        factory.value(y, theta)


def test_pairs_are_wrapped_with_the_options() -> None:
    cp_model = pytest.importorskip("ortools.sat.python.cp_model")

    def build(forbidden: tuple[int, ...]) -> Any:
        model = cp_model.CpModel()
        x = [model.new_bool_var(f"x{i}") for i in range(4)]
        model.add_exactly_one(x)
        for i in forbidden:
            model.add(x[i] == 0)
        return model, x

    factory = Factory(build, shape=(4,), time_limit=10.0)
    theta = np.tile([[1.0, 2.0, 3.0, 4.0]], (3, 1))
    found = factory.solve(theta, [(), (0,), (0, 1, 2, 3)])
    assert not found.messages
    assert found.objective[:2].tolist() == [1.0, 2.0]
    assert found.status[2] == Status.INFEASIBLE


def test_keys_tell_values_apart() -> None:
    keys = [1, 1.0, True, "1", (1,), [1], {"a": 1}, {"a": 2}, np.ones(2), np.ones(3), np.ones(2, np.float32), None]
    assert len({instance_key(key) for key in keys}) == len(keys)
    assert instance_key({"a": 1, "b": [2]}) == instance_key({"b": [2], "a": 1})


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="shape"):
        Factory(knapsack, shape=())
    with pytest.raises(ValueError, match="keep=0"):
        Factory(knapsack, shape=(3,), keep=0)
    factory = Factory(knapsack, shape=(3,))
    with pytest.raises(ValueError, match="give instances"):
        factory.solve(np.zeros((1, 3)))
