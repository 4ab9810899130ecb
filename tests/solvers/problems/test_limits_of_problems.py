"""The four limits have the same names everywhere, reach the search, and are refused where nothing can obey them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import ExactCover, Knapsack, MaxCut, Qubo, Status, Sudoku, TravelingSalesman, wrap
from combdiff_solvers.formulas.formula import Formula

pytest.importorskip("pysat", reason="python-sat is not installed")
pytest.importorskip("ortools", reason="OR-Tools is not installed")

WEIGHTS = np.random.default_rng(0).integers(300, 800, (3, 30)) / 100
EDGES = np.stack(np.triu_indices(20, 1), axis=1)
MATRIX = np.concatenate([np.eye(12), np.roll(np.eye(12), 1, axis=1) + np.eye(12)])
OBEYING: list[Any] = [
    partial(Sudoku, 4),
    partial(ExactCover, MATRIX),
    partial(Qubo, 20, backend="cp_sat"),
    partial(MaxCut, EDGES, backend="cp_sat"),
    partial(TravelingSalesman, 12, backend="cp_sat"),
    partial(Knapsack, WEIGHTS, WEIGHTS.sum(axis=1) / 3, backend="mip"),
    partial(wrap, Formula(20, ((1, 2),)), backend="rc2"),
    partial(wrap, Formula(20, ((1, 2),)), backend="cp_sat"),
]
UNLIMITED: list[Any] = [
    partial(Qubo, 4, backend="enumeration"),
    partial(MaxCut, EDGES[:3], backend="enumeration"),
    partial(TravelingSalesman, 5),
    partial(TravelingSalesman, 5, backend="heuristic"),
    partial(Knapsack, WEIGHTS, WEIGHTS.sum(axis=1), backend="kernel"),
]


@pytest.mark.parametrize("make", OBEYING)
@pytest.mark.parametrize("name", ["time_limit", "batch_time_limit"])
def test_no_time_leaves_no_proof(make: Any, name: str) -> None:
    solver = make(**{name: 1e-9}, relative_gap=0.0, absolute_gap=0.0)
    found = solver.solve(np.random.default_rng(1).normal(size=(2, int(np.prod(solver.shape)))))
    assert np.isin(found.status, (Status.LIMIT, Status.FEASIBLE)).all()


@pytest.mark.parametrize("make", OBEYING)
@pytest.mark.parametrize(
    ("limits", "error", "match"),
    [
        ({"time_limt": 1.0}, TypeError, "time_limt"),
        ({"limits": None}, TypeError, "limits"),
        ({"time_limit": 0.0}, ValueError, "time_limit=0.0 must be"),
        ({"relative_gap": -1.0}, ValueError, "relative_gap=-1.0 must be"),
    ],
)
def test_bad_limits_are_refused(make: Any, limits: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make(**limits)


@pytest.mark.parametrize("make", UNLIMITED)
def test_limits_are_refused_where_nothing_can_obey_them(make: Any) -> None:
    make()
    with pytest.raises(ValueError, match="cannot obey time_limit, relative_gap"):
        make(time_limit=1.0, relative_gap=0.1)
