"""Edges by pivots of the LP against enumeration: of vertices, and of the hull of all of them."""

from itertools import combinations, permutations, product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff.losses import AdjacentVerticesLoss, ConeAlignedLoss
from combdiff.polyhedra import Neighbours, binding_normals, constraints_of
from combdiff.solvers import MixedInteger, TopK


def rows(edges: Tensor) -> set[tuple[float, ...]]:
    return {tuple(edge) for edge in (edges.round(decimals=6) + 0.0).tolist() if any(edge)}


def permutation_matrices(n: int) -> tuple[Tensor, dict[str, Any]]:
    """The vertices of Birkhoff's polytope, and its equations; each vertex is degenerate."""
    points = torch.tensor([[float(i == j) for i in p for j in range(n)] for p in permutations(range(n))])
    eye, ones = torch.eye(n), torch.ones(1, n)
    return points, {"A_eq": torch.cat([torch.kron(eye, ones), torch.kron(ones, eye)])}


def paths(side: int) -> tuple[Tensor, dict[str, Any]]:
    """All paths that go right and down in a grid, by their edges, and the flow that makes them."""
    nodes = {node: number for number, node in enumerate(product(range(side), repeat=2))}
    moves = [(a, b) for a in nodes for b in ((a[0], a[1] + 1), (a[0] + 1, a[1])) if b in nodes]
    flow = torch.zeros(len(nodes), len(moves))
    for number, (a, b) in enumerate(moves):
        flow[nodes[a], number], flow[nodes[b], number] = 1.0, -1.0
    found = []
    for steps in set(permutations("r" * (side - 1) + "d" * (side - 1))):
        at, used = (0, 0), torch.zeros(len(moves))
        for step in steps:
            following = (at[0] + (step == "d"), at[1] + (step == "r"))
            used[moves.index((at, following))] = 1.0
            at = following
        found.append(used)
    return torch.stack(found), {"A_eq": flow}


def polytope(seed: int) -> tuple[Tensor, dict[str, Any]]:
    """{x : A x ≤ b} in three dimensions, cut so that many vertices have more than three planes; and its vertices."""
    rng = np.random.default_rng(seed)
    A = np.array(list(product([-1.0, 0.0, 1.0], repeat=3)))[rng.permutation(27)[:18]]
    A = np.concatenate([A[np.abs(A).sum(1) > 0], np.eye(3), -np.eye(3)])
    b = np.where(np.arange(len(A)) < len(A) - 6, rng.integers(1, 4, len(A)), 2).astype(float)
    points = []
    for chosen in combinations(range(len(A)), 3):
        part = A[list(chosen)]
        if abs(np.linalg.det(part)) > 1e-9:
            x = np.linalg.solve(part, b[list(chosen)])
            if (A @ x <= b + 1e-9).all():
                points.append(x)
    vertices = torch.unique(torch.from_numpy(np.array(points)).round(decimals=9) + 0.0, dim=0)
    return vertices, {"A_ub": torch.from_numpy(A), "b_ub": torch.from_numpy(b), "lower": None}


SETS: dict[str, tuple[Tensor, dict[str, Any]]] = {
    "subsets": (torch.tensor([[float(i in c) for i in range(5)] for c in combinations(range(5), 2)]),
                {"A_eq": torch.ones(1, 5), "upper": 1.0}),
    "cube": (torch.tensor(list(product([0.0, 1.0], repeat=3))), {"upper": torch.ones(3)}),
    "permutations of 3": permutation_matrices(3),
    "permutations of 4": permutation_matrices(4),
    "paths": paths(3),
    "polytope": polytope(0),
    "another polytope": polytope(2),
}  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_edges_are_those_of_the_hull_of_all_vertices(name: str) -> None:
    vertices, constraints = SETS[name]
    y = vertices[:12].double()
    found, known = Neighbours.by_pivots(y, **constraints), Neighbours.among(vertices.double(), y, complete=True)
    assert found.complete.all()
    for one, other in zip(found.edges, known.edges, strict=True):
        assert rows(one) == rows(other)
    again = Neighbours.by_pivots(y[[3, 0, 3]].reshape(3, 1, -1), **constraints).edges
    assert [rows(part[0]) for part in again] == [rows(found.edges[at]) for at in (3, 0, 3)]


def test_a_search_that_is_ended_finds_edges_and_says_that_some_may_be_missing() -> None:
    vertices, constraints = permutation_matrices(4)
    every = rows(Neighbours.by_pivots(vertices[0], **constraints).edges)
    part = Neighbours.by_pivots(vertices[0], most=5, **constraints)
    assert not part.complete
    assert 0 < len(rows(part.edges)) < len(every) == 20
    assert rows(part.edges) < every


def test_rays_and_points_that_are_no_vertices() -> None:
    y = torch.tensor([1.0, 0.0])
    found = Neighbours.by_pivots(y, lower=torch.tensor([1.0, 0.0]), upper=torch.tensor([torch.inf, 3.0]))
    assert rows(found.edges) == {(1.0, 0.0), (0.0, 3.0)}  # a ray, and a vertex three away
    with pytest.raises(ValueError, match=r"y\[1\] of the flat batch: it is no vertex"):
        Neighbours.by_pivots(torch.tensor([[1.0, 0.0], [0.5, 0.0]]), upper=1.0)
    with pytest.raises(ValueError, match="it is infeasible"):
        Neighbours.by_pivots(torch.tensor([2.0, 0.0]), upper=1.0)


@pytest.mark.parametrize("sense", ["min", "max"])
def test_losses_over_a_linear_program_are_zero_exactly_where_the_target_is_optimal(sense: Any) -> None:
    """An assignment of 3 as a linear program, degenerate everywhere, with an inequality that cuts a vertex off."""
    pytest.importorskip("ortools")
    _, constraints = permutation_matrices(3)
    A = torch.cat([constraints["A_eq"], torch.eye(3).flatten()[None]])
    lower, upper = np.r_[np.ones(6), -np.inf], np.r_[np.ones(6), 1.5]
    solver = MixedInteger(A.numpy(), upper, lower=lower, sense=sense)
    theta = torch.randn(60, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = torch.from_numpy(solver.solve(theta.numpy()).objective)
    other = np.random.default_rng(0).normal(size=(60, 9))
    other[40:] = theta[40:].numpy()
    y_true = torch.from_numpy(solver.solve(other).y)
    best = ((theta * y_true).sum(1) - found).abs() < 1e-9
    assert 20 <= best.sum() < 40
    given: dict[str, Any] = constraints_of(solver)
    edges = Neighbours.by_pivots(y_true, **given)
    assert edges.complete.all()
    for value in (
        AdjacentVerticesLoss(solver, 1e-9, "none")(theta, edges),
        ConeAlignedLoss(solver, "edges", reduction="none")(theta, edges),
        ConeAlignedLoss(solver, reduction="none")(theta, binding_normals(y_true, **given)),
    ):
        assert torch.equal(value < 1e-8, best)
    with pytest.raises(TypeError, match="a TopK has no linear model"):
        constraints_of(TopK(3))
    with pytest.raises(ValueError, match="has variables that theta does not price"):
        constraints_of(MixedInteger([[1, 1]], 1, priced=[0]))
