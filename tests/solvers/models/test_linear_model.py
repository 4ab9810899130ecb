"""Readers and front ends make one `LinearModel` of the same model; nothing of it is lost on the way to an engine."""

import pickle
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import scipy.sparse

mathopt = pytest.importorskip("ortools.math_opt.python.mathopt")

from ortools.linear_solver import linear_solver_pb2, pywraplp  # noqa: E402

from combdiff_solvers.models.linear_model import LinearModel, Terms  # noqa: E402
from combdiff_solvers.models.lp_format import read_lp  # noqa: E402
from combdiff_solvers.models.model_files import read_mps  # noqa: E402
from combdiff_solvers.models.model_proto import from_mp_model, from_proto, to_proto  # noqa: E402


def assert_same(found: LinearModel, expected: LinearModel, *but: str) -> None:
    for field in fields(LinearModel):
        ours, theirs = getattr(found, field.name), getattr(expected, field.name)
        if field.name == "A":
            ours, theirs = ours.toarray(), theirs.toarray()
        if field.name not in ("_", *but):
            np.testing.assert_array_equal(ours, theirs, err_msg=field.name)


@pytest.mark.parametrize("maximize", [False, True])
def test_every_way_in_makes_the_same_arrays(maximize: bool) -> None:
    rng = np.random.default_rng(0)
    for trial in range(20):
        A, c = rng.integers(-3, 4, size=(4, 5)), rng.integers(-8, 9, size=5) / 4
        lower, upper = rng.integers(-3, 1, size=5), rng.integers(1, 5, size=5) * 1.0
        upper[trial % 5] = np.inf
        sides, names = rng.integers(-4, 9, size=4), tuple(f"x{i}" for i in range(5))
        model, other = pywraplp.Solver.CreateSolver("SCIP"), mathopt.Model()
        x = [
            model.IntVar(low, high, name) if place % 2 else model.NumVar(low, high, name)
            for place, (name, low, high) in enumerate(zip(names, lower.tolist(), upper.tolist(), strict=True))
        ]
        other.delete_variable(other.add_variable())  # so ids do not begin at 0
        y = [other.add_variable(lb=v.lb(), ub=v.ub(), is_integer=v.integer(), name=v.name()) for v in x]
        for row, side in zip(A.tolist(), sides.tolist(), strict=True):
            row[trial % 5] = row[trial % 5] or 1
            model.Add(sum(a * v for a, v in zip(row, x, strict=True)) <= side)
            other.add_linear_constraint(sum(a * v for a, v in zip(row, y, strict=True)) <= side)
        cost = sum(a * v for a, v in zip(c.tolist(), x, strict=True)) + 2.5
        (model.Maximize if maximize else model.Minimize)(cost)
        other.set_objective(sum(a * v for a, v in zip(c.tolist(), y, strict=True)) + 2.5, is_maximize=maximize)
        proto = linear_solver_pb2.MPModelProto()
        model.ExportModelToProto(proto)
        found = from_mp_model(proto)
        np.testing.assert_array_equal(found.c, c)
        assert (found.maximize, found.offset, found.names) == (maximize, 2.5, names)
        assert_same(from_proto(other.export_model()), found)
        assert_same(pickle.loads(pickle.dumps(found)), found)
        assert_same(from_proto(to_proto(found)), found, "c", "names")
        mps, lp = read_mps(model.ExportModelAsMpsFormat(False, False)), read_lp(model.ExportModelAsLpFormat(False))
        for read in (mps, lp):  # integers come last in OR-Tools' MPS, and an offset is a variable "Constant" in its LP
            order = [read.names.index(name) for name in names]
            sign = 1.0 if read.maximize == maximize else -1.0
            np.testing.assert_array_equal(sign * read.c[order], c)
            np.testing.assert_array_equal(read.A.toarray()[:, order], found.A.toarray())
            for name in ("lower", "upper", "integer"):
                np.testing.assert_array_equal(getattr(read, name)[order], getattr(found, name))
            np.testing.assert_array_equal(read.row_upper, found.row_upper)
        assert (mps.offset if mps.maximize == maximize else -mps.offset) == lp.c[lp.names.index("Constant")] == 2.5


def test_what_is_not_linear_stays_beside_the_arrays() -> None:
    model = mathopt.Model()
    x = [model.add_variable(lb=-1, ub=2, name="twice") for _ in range(2)]
    b = model.add_binary_variable()
    model.add_indicator_constraint(indicator=b, implied_constraint=x[0] >= 1, name="twice")
    model.minimize(x[0] * x[1] + 3 * x[1] - b + 1)
    found = pickle.loads(pickle.dumps(from_proto(model.export_model())))
    assert found.terms == Terms.INTEGERS | Terms.QUADRATIC_OBJECTIVE | Terms.INDICATORS
    point = np.array([[2.0, -1.0, 1.0], [0.5, 0.5, 0.0]])
    np.testing.assert_array_equal(found.h(point), [-2 - 3 - 1 + 1, 0.25 + 1.5 + 1])
    np.testing.assert_array_equal(found.open_coefficients(np.array([0, 1])), [0, 0, -1, 0])
    np.testing.assert_array_equal(found.open_coefficients(np.array([0, 2])), [0, 3, 0, 1])
    proto = to_proto(found)
    assert len(proto.indicator_constraints) == 1
    assert "twice" not in str(proto)


def test_the_users_matrix_is_left_alone() -> None:
    A = scipy.sparse.csr_matrix((np.array([1.0, 2.0, 0.0]), np.array([0, 0, 1]), np.array([0, 3])), shape=(1, 2))
    ends = np.zeros(1), np.ones(1), np.zeros(2), np.ones(2)
    model = LinearModel(np.ones(2), A, np.zeros(2, dtype=bool), *ends)
    assert (A.nnz, model.A.nnz, model.A[0, 0]) == (3, 1, 3.0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"c": np.zeros(0)}, "empty"),
        ({"c": np.array([np.inf, 0.0])}, "finite"),
        ({"A": scipy.sparse.csr_matrix([[np.nan, 1.0]])}, "finite"),
        ({"row_upper": np.array([np.nan])}, "NaN"),
        ({"lower": np.array([np.nan, 0.0])}, "NaN"),
    ],
)
def test_bad_arrays_are_refused(change: dict[str, Any], match: str) -> None:
    good: dict[str, Any] = {"c": np.ones(2), "A": scipy.sparse.csr_matrix([[1.0, 2.0]]), "integer": np.ones(2) > 0}
    good |= {"row_lower": np.zeros(1), "row_upper": np.ones(1), "lower": np.zeros(2), "upper": np.ones(2)}
    assert LinearModel(**good).crossed is None
    with pytest.raises(ValueError, match=match):
        LinearModel(**{**good, **change})
