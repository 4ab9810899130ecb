"""What a SCIP model may hold: cardinality constraints, gaps of its own; plugins are refused; models are let go of."""

from __future__ import annotations

import gc
import itertools
from typing import Any

import numpy as np
import pytest

import combdiff
from combdiff.solvers import Factory
from combdiff_solvers.protocol import Status

pyscipopt = pytest.importorskip("pyscipopt", reason="pyscipopt is not installed")

THETA = np.array([[3.0, 1.0, 2.0, -1.0], [-1.0, -2.0, 4.0, 5.0], [-1.0, -1.0, -1.0, -1.0]])


def cardinality(**options: Any) -> tuple[Any, list[Any]]:
    """At most two of four variables of [0, 1] above zero."""
    model = pyscipopt.Model()
    x = [model.addVar(ub=1.0, name=f"v{i}") for i in range(4)]
    model.addConsCardinality(x, 2, **options)
    return model, x


def test_cardinality_constraints() -> None:
    model, x = cardinality()
    found = combdiff.wrap(model, x, sense="max").solve(THETA)
    assert (found.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(found.y, [[1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]], atol=1e-9)


def test_random_cardinality_models_against_enumeration() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        model = pyscipopt.Model()
        x = [model.addVar(vtype="I", lb=-1, ub=2) for _ in range(4)]
        points = np.array(list(itertools.product(range(-1, 3), repeat=4)), dtype=float)
        for _ in range(2):  # they share variables
            chosen, most = rng.choice(4, size=3, replace=False), int(rng.integers(1, 3))
            model.addConsCardinality([x[i] for i in chosen], most)
            points = points[(points[:, chosen] != 0).sum(axis=1) <= most]
        theta = rng.normal(size=(4, 4))
        found = combdiff.wrap(model, x, sense="min").solve(theta)
        assert (found.status == Status.OPTIMAL).all()
        np.testing.assert_allclose(found.objective, (theta @ points.T).min(axis=1), atol=1e-9)


def test_indicator_variables_of_cardinality_constraints_are_refused_where_they_are_used() -> None:
    model, x = cardinality()
    indicators = [one for one in model.getVars() if one.name.startswith("ind_")]
    with pytest.raises(ValueError, match="ind_v0 is an indicator variable"):
        combdiff.wrap(model, [*x, indicators[0]])
    model.addCons(indicators[1] + indicators[2] <= 1)
    with pytest.raises(ValueError, match=r"'ind_v1' of a cardinality constraint .* another constraint"):
        combdiff.wrap(model, x)
    model, x = cardinality()
    model.setObjective(pyscipopt.quicksum(one for one in model.getVars() if one.name.startswith("ind_")))
    with pytest.raises(ValueError, match="has a cost"):
        combdiff.wrap(model, x)
    model = pyscipopt.Model()
    x, own = [model.addVar(ub=1.0) for _ in range(3)], [model.addVar(vtype="B") for _ in range(3)]
    model.addConsCardinality(x, 2, indvars=own)
    with pytest.raises(ValueError, match="leave indvars out"):
        combdiff.wrap(model, x)


class NoPair(pyscipopt.Conshdlr):  # type: ignore[name-defined]
    """Forbids that the first two of the variables are both 1."""

    def conscheck(self, constraints: Any, solution: Any, *rest: Any) -> dict[str, Any]:
        both = all(self.model.getSolVal(solution, one) > 0.5 for one in self.data)
        return {"result": pyscipopt.SCIP_RESULT.INFEASIBLE if both else pyscipopt.SCIP_RESULT.FEASIBLE}

    def consenfolp(self, *rest: Any) -> dict[str, Any]:
        return self.conscheck([], None)

    def conslock(self, *rest: Any) -> None:
        pass


def test_plugins_are_refused_by_name() -> None:
    model = pyscipopt.Model()
    x = [model.addVar(vtype="B") for _ in range(3)]
    lazy = NoPair()
    lazy.data = x[:2]
    model.includeConshdlr(lazy, "no_pair", "lazy constraints", needscons=False)
    model.includePricer(pyscipopt.Pricer(), "columns", "makes columns")
    with pytest.raises(ValueError, match="constraint handler 'no_pair', the pricer 'columns'"):
        combdiff.wrap(model, x, sense="max")


@pytest.mark.parametrize(
    ("include", "plugin", "rest", "kind"),
    [
        ("includeSepa", "Sepa", (), "separator"),
        ("includeHeur", "Heur", ("H",), "heuristic"),
        ("includeProp", "Prop", (1, 1, 1), "propagator"),
        ("includePresol", "Presol", (1, 1), "presolver"),
        ("includeBranchrule", "Branchrule", (1, 1, 1), "branching rule"),
        ("includeNodesel", "Nodesel", (1, 1), "node selector"),
        ("includeBenders", "Benders", (), "Benders decomposition"),
    ],
)
def test_every_kind_of_plugin_is_refused(include: str, plugin: str, rest: tuple[Any, ...], kind: str) -> None:
    model = pyscipopt.Model()
    x = model.addVar(vtype="B")
    getattr(model, include)(getattr(pyscipopt, plugin)(), "mine", "of the user's", *rest)
    with pytest.raises(ValueError, match=f"the {kind} 'mine'"):
        combdiff.wrap(model, x)


@pytest.mark.parametrize("parameter", ["limits/gap", "limits/absgap"])
def test_a_gap_of_the_models_own_is_no_proof(parameter: str) -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(10, 99, size=(5, 30))
    model = pyscipopt.Model()
    x = [model.addVar(vtype="B") for _ in range(30)]
    for row in weights.tolist():
        model.addCons(pyscipopt.quicksum(a * v for a, v in zip(row, x, strict=True)) <= 500)
    theta = rng.uniform(10, 99, size=(4, 30))
    exact = combdiff.wrap(model, x, sense="max").solve(theta)
    model.setParam(parameter, 0.3 if parameter == "limits/gap" else 300.0)
    found = combdiff.wrap(model, x, sense="max").solve(theta)
    assert (exact.status == Status.OPTIMAL).all()
    worse = found.objective < exact.objective * (1 - 1e-9)
    assert worse.any()
    assert (found.status[worse] == Status.FEASIBLE).all()
    assert "gaplimit" in found.messages[int(worse.argmax())]


def few(k: int) -> tuple[Any, list[Any]]:
    model = pyscipopt.Model()
    x = [model.addVar(vtype="B") for _ in range(4)]
    model.addCons(pyscipopt.quicksum(x) <= k)
    model.setMaximize()
    return model, x


def test_models_that_nobody_needs_are_gone_without_the_collector() -> None:
    def alive() -> int:
        return sum(isinstance(one, pyscipopt.Model) for one in gc.get_objects())

    gc.collect()
    before = alive()
    gc.disable()
    try:
        factory = Factory(few, shape=(4,), sense="max", keep=3)
        found = factory.solve(np.tile(THETA, (4, 1)), instances=list(range(1, 13)))
        assert found.solved.all()
        assert alive() - before <= 3
    finally:
        gc.enable()
