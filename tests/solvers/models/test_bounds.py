"""A row's bound is on the right side of the true optimum, whatever limit ended it, and tight where it is OPTIMAL."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import MixedInteger, Status, wrap

pytest.importorskip("ortools")

BOX = np.array(list(product([-1.0, 0.0, 1.0, 2.0], repeat=5)))


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("options", [{}, {"relative_gap": 0.3}, {"absolute_gap": 2.0}, {"time_limit": 1e-3}])
@pytest.mark.parametrize("backend", ["scip", "highs", "cp_sat", "pyscipopt"])
def test_bounds_of_integer_programs_against_enumeration(backend: str, options: dict[str, Any], sense: str) -> None:
    rng, sign, finite = np.random.default_rng(0), 1.0 if sense == "min" else -1.0, 0
    for trial in range(12):
        A, h = rng.integers(-3, 4, size=(3, 5)), rng.normal(size=5)
        b = A @ BOX[rng.integers(len(BOX))] + 1
        points = BOX[(b >= BOX @ A.T).all(axis=1)]
        theta = rng.normal(size=(3, 5)) * 10.0 ** rng.integers(-6, 7)
        offset = 0.0
        if backend == "pyscipopt":
            pyscipopt, offset = pytest.importorskip("pyscipopt"), 3.5
            model = pyscipopt.Model()
            x = [model.addVar(vtype="I", lb=-1, ub=2) for _ in range(5)]
            for row, side in zip(A.tolist(), b.tolist(), strict=True):
                model.addCons(pyscipopt.quicksum([0.0 * x[0], *(a * v for a, v in zip(row, x, strict=True))]) <= side)
            model.setObjective(
                pyscipopt.quicksum(c * v for c, v in zip(h.tolist(), x, strict=True)) + offset, sense + "imize"
            )
            solver: Any = wrap(model, x, **options)
        else:
            solver = MixedInteger(A, b, integrality=1, bounds=(-1, 2), h=h, sense=sense, backend=backend, **options)
        found = solver.solve(theta)
        values = sign * (points @ (theta + h).T + offset)
        best, bound = values.min(axis=0), sign * found.bound
        size = np.abs(theta + h).sum(axis=1) + abs(offset)
        assert (bound <= best + 1e-14 * size).all(), f"trial {trial}"
        optimal = found.status == Status.OPTIMAL
        assert (bound >= best - 4e-8 * size)[optimal].all()
        finite += int(np.isfinite(bound).sum())
    assert finite > 20 or "time_limit" in options


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("upper", [2.0, np.inf])
@pytest.mark.parametrize("backend", ["glop", "highs", "scip", "pdlp"])
def test_bounds_of_linear_programs_are_those_of_the_dual(backend: str, upper: float, sense: str) -> None:
    """A covering program: bounds meet the optimum within the tolerance of the engine.

    SCIP has no dual solution, and so no bound where variables have none; PDLP's there can miss a sign.
    """
    rng, sign, finite = np.random.default_rng(1), 1.0 if sense == "min" else -1.0, 0
    error = {"glop": 1e-9, "highs": 1e-9, "scip": 1e-7, "pdlp": 1e-4}[backend]
    for _ in range(10):
        A, b, theta = rng.uniform(0, 1, size=(4, 6)), rng.uniform(1, 2, size=4), rng.uniform(0.1, 1, size=(5, 6))
        given: dict[str, Any] = {"A": A, "b": np.inf, "lower": b, "bounds": (0, upper), "sense": sense}
        best = sign * MixedInteger(**given, backend="glop").solve(sign * theta).objective
        bound = sign * np.asarray(MixedInteger(**given, backend=backend).solve(sign * theta).bound)
        assert (bound <= best + 1e-13).all()
        assert (bound >= best - error)[np.isfinite(bound)].all()
        finite += int(np.isfinite(bound).sum())
    if upper == np.inf and backend == "scip":
        assert finite == 0
    else:
        assert finite >= (25 if upper == np.inf and backend == "pdlp" else 50)


@pytest.mark.parametrize("backend", ["scip", "highs", "pyscipopt"])
def test_nothing_is_proven_where_a_variable_has_no_bound(backend: str) -> None:
    """Tolerances count for as much as the variables may move; the same program in a box has a bound."""
    for upper in (np.inf, 9.0):
        if backend == "pyscipopt":
            pyscipopt = pytest.importorskip("pyscipopt")
            model = pyscipopt.Model()
            x = [model.addVar(vtype="I", lb=0, ub=None if upper == np.inf else upper) for _ in range(2)]
            model.addCons(x[0] + x[1] >= 1.5)
            solver: Any = wrap(model, x)
        else:
            box = (0, upper)
            solver = MixedInteger([[1, 1]], np.inf, lower=1.5, integrality=1, bounds=box, backend=backend)
        found = solver.solve(np.array([[1.0, 2.0], [0.0, 0.0]]))
        np.testing.assert_array_equal(found.objective, [2.0, 0.0])
        expected = [-np.inf, -np.inf] if upper == np.inf else [2.0, 0.0]
        np.testing.assert_allclose(found.bound, expected, atol=1e-7)
