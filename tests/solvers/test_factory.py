"""Rows with feasible sets of their own."""

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import Factory, MixedInteger, Solver, Status, TopK
from combdiff.testing import SolverContract
from combdiff_solvers.factory import instance_key

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
        return {1: TopK(3, 1), 2: TopK(4, 1), 3: TopK(3, 1, "min"), 4: "nonsense"}[k]

    found = Factory(build, shape=(3,), sense="max").solve(np.eye(5)[:, :3], [1, 7, 2, 3, 4])
    assert found.status.tolist() == [Status.OPTIMAL] + [Status.ERROR] * 4
    for row, text in enumerate(["no such graph", "shape", "sense", "no Solver"], 1):
        assert text in found.messages[row]
        assert np.isnan(found.y[row]).all()


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
