"""One CPMpy model as constraints, as an integer program and as a formula; and why there is no solution."""

from __future__ import annotations

import pickle
from itertools import product
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import Status, wrap

for library in ("ortools", "pysat"):
    pytest.importorskip(library)
cp: Any = pytest.importorskip("cpmpy", reason="cpmpy is not installed")


def rich() -> tuple[Any, Any, list[Any]]:
    """Booleans under rules of many kinds, and an integer that they drive; with the feasible Booleans."""
    x, z = cp.boolvar(shape=(2, 3), name="x"), cp.intvar(0, 4, name="z")
    a, b, c, d, e, f = x.reshape(-1)
    model = cp.Model(
        a.implies(b | ~c),
        cp.Xor([a, d, e]),
        b.implies(2 * a + 3 * d + f <= 4),
        (c & f).implies(z >= 3),
        cp.sum(x) >= 2,
        z <= 1 + cp.sum([d, e, f]),
        cp.AllDifferent([z, 2 * a + 1]),
        minimize=3 * (a & d) + 2 * z - 4 * f + 1,
    )
    points = []
    for one in product((0, 1), repeat=6):
        p, q, r, s, t, u = one
        rules = (q or not r or not p, p ^ s ^ t, not q or 2 * p + 3 * s + u <= 4, sum(one) >= 2)
        values = [v for v in range(5) if v <= 1 + s + t + u and v != 2 * p + 1 and (v >= 3 or not (r and u))]
        if all(rules) and values:
            points.append((one, 3 * (p & s) + 2 * min(values) - 4 * u + 1))
    return model, x, points


@pytest.mark.parametrize("backend", ["cp_sat", "scip", "highs", "rc2", "sat"])
def test_every_back_end_has_the_optimum_of_enumeration(backend: str) -> None:
    model, x, points = rich()
    before = str(model)
    solver: Any = wrap(model, x, backend=backend)
    theta = np.random.default_rng(0).normal(0, 4, (8, 6))
    costs = theta @ np.array([y for y, _ in points], dtype=float).T + [h for _, h in points]
    found = solver.solve(theta)
    assert solver.shape == (2, 3)
    assert (found.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(found.objective, costs.min(axis=1), atol=1e-6)
    np.testing.assert_allclose(solver.value(found.y, theta), found.objective, atol=1e-6)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(solver)).solve(theta).y, found.y)
    assert str(model) == before


def test_a_maximum_and_an_integer_are_priced() -> None:
    x = cp.intvar(0, 3, shape=3, name="x")
    model = cp.Model(cp.AllDifferent(x), x[0] < x[1], maximize=x[2])
    for backend in ("cp_sat", "highs"):
        found = wrap(model, x, backend=backend).solve(np.array([[2.0, 1.0, 0.5]]))
        np.testing.assert_allclose(found.objective, [8.5])  # 1·2 + 2·1 + 3·1.5
    with pytest.raises(ValueError, match="sense='min'"):
        wrap(model, x, sense="min")
    with pytest.raises(ValueError, match=r"x\[0\] is an integer: use backend='cp_sat'"):
        wrap(model, x, backend="rc2")
    with pytest.raises(ValueError, match="is not of this model"):
        wrap(model, [cp.intvar(0, 1, name="other")])
    with pytest.raises(TypeError, match="negated literal"):
        wrap(rich()[0], [~rich()[1][0, 0]])


@pytest.mark.parametrize("backend", ["cp_sat", "scip", "rc2"])
def test_an_infeasible_row_names_a_minimal_set_of_constraints(backend: str) -> None:
    x = cp.boolvar(shape=4, name="x")
    rules = {"two": cp.sum(x) >= 2, "few": cp.sum(x[1:]) <= 1, "not a": ~x[0], "c or d": x[2] | x[3]}
    for name, rule in rules.items():
        if not isinstance(rule, type(x[0])):
            rule.set_description(name)
    solver = wrap(cp.Model(list(rules.values())), x, backend=backend, explain=True)
    found = pickle.loads(pickle.dumps(solver)).solve(np.zeros((2, 4)))
    assert (found.status == Status.INFEASIBLE).all()
    assert found.messages[1] == "these constraints contradict each other: two; few; ~x[0]"
    silent = wrap(cp.Model(list(rules.values())), x, backend=backend).solve(np.zeros((1, 4)))
    assert "contradict" not in silent.messages.get(0, "")
    possible = wrap(cp.Model(rules["two"]), x, backend=backend, explain=True)
    assert possible.solve(np.ones((1, 4))).messages == {}
