"""Projections on cones, adjacent vertices and binding constraints against scipy and enumeration."""

from itertools import combinations, product

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff.polyhedra import Neighbours, binding_normals, project
from combdiff.testing import HYPERSIMPLEX


@pytest.mark.parametrize("kind", ["normal", "whole", "dependent", "opposite"])
def test_projection_is_non_negative_least_squares(kind: str) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    for n, m in [(1, 1), (3, 2), (4, 9), (12, 30), (30, 12)]:
        generators, points = rng.normal(size=(20, m, n)), rng.normal(size=(20, n))
        if kind == "whole":
            generators = generators.round().clip(-1, 1)
        elif kind == "dependent":
            generators = np.concatenate([generators, generators[:, :1] + generators[:, -1:], 2 * generators], 1)
        elif kind == "opposite":
            generators = np.concatenate([generators, -generators[:, : 1 + m // 3]], 1)
        found = project(torch.from_numpy(points), torch.from_numpy(generators)).numpy()
        for point, cone, own in zip(points, generators, found, strict=True):
            weights, _ = optimize.nnls(cone.T, point)
            np.testing.assert_allclose(own, cone.T @ weights, atol=1e-8)


def test_projection_is_optimal_by_its_conditions() -> None:
    """q in the cone; the rest in the polar cone and orthogonal to q: Moreau, without a second solver."""
    generator = torch.Generator().manual_seed(0)
    points, cones = torch.randn(50, 6, generator=generator), torch.randn(50, 5, 6, generator=generator)
    points, cones = points.double(), cones.double()
    q = project(points, cones)
    rest = points - q
    assert (torch.einsum("bmn,bn->bm", cones, rest) <= 1e-9).all()
    assert ((q * rest).sum(1).abs() < 1e-9).all()
    torch.testing.assert_close(project(q, cones), q)
    torch.testing.assert_close(project(3.0 * points, cones), 3.0 * q)
    padded = torch.cat([cones, torch.zeros(50, 2, 6)], 1)
    torch.testing.assert_close(project(points, padded), q)
    assert (project(points, torch.zeros(50, 0, 6).double()) == 0).all()


def test_bad_generators_are_refused() -> None:
    with pytest.raises(ValueError, match=r"generators have shape \(2, 3, 4\), but points \(2, 5\) need \(2, m, 5\)"):
        project(torch.ones(2, 5), torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match="a generator is NaN or infinite"):
        project(torch.ones(1, 2), torch.tensor([[[1.0, torch.nan]]]))


CUBE = torch.tensor(list(product([0.0, 1.0], repeat=4)))
PERMUTATIONS = torch.tensor([[float(i == j) for i in p for j in range(3)] for p in
                             [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]])  # fmt: skip


def rows(edges: Tensor) -> set[tuple[float, ...]]:
    return {tuple(edge) for edge in edges.tolist() if any(edge)}


def test_neighbours_of_a_cube_differ_in_one_entry() -> None:
    found = Neighbours.among(CUBE, CUBE.reshape(2, 8, 4), complete=True)
    assert found.edges.shape == (2, 8, 4, 4)
    assert found.complete.all()
    for corner, edges in zip(CUBE, found.edges.reshape(16, 4, 4), strict=True):
        assert rows(edges) == rows(torch.eye(4) * (1.0 - 2.0 * corner))


def test_neighbours_of_permutations_are_all_others() -> None:
    """Birkhoff's polytope of 3×3: every two of the six permutations differ by one cycle."""
    found = Neighbours.among(PERMUTATIONS.reshape(6, 3, 3), PERMUTATIONS.reshape(6, 3, 3), complete=True)
    assert found.edges.shape == (6, 5, 3, 3)


def test_swaps_are_the_neighbours_of_subsets() -> None:
    for n, k in [(4, 2), (5, 1), (5, 4), (6, 3)]:
        subsets = torch.zeros(0, n).new_tensor([[float(i in c) for i in range(n)] for c in combinations(range(n), k)])
        among, swaps = Neighbours.among(subsets, subsets, complete=True), Neighbours.swaps(subsets)
        assert swaps.edges.shape == (len(subsets), k * (n - k), n)
        assert swaps.complete.all()
        for one, other in zip(among.edges, swaps.edges, strict=True):
            assert rows(one) == rows(other)
            assert len(rows(other)) == k * (n - k)


def test_points_that_are_no_vertices_hide_none() -> None:
    """A point on the way to a vertex stands for it, and one inside changes nothing."""
    points = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.5]])
    found = Neighbours.among(points, torch.zeros(2), complete=False)
    assert rows(found.edges) == {(1.0, 0.0), (0.0, 2.0)}
    assert not found.complete
    part = Neighbours.among(points, torch.zeros(3, 2), complete=True)[1:]
    assert part.edges.shape == (2, 2, 2)
    assert len(part) == 2


def test_binding_normals_make_the_normal_cone() -> None:
    """−c is in the cone exactly where y minimises ⟨c, ·⟩: Σ y = 2, 0 ≤ y ≤ 1, against all subsets."""
    points = torch.from_numpy(HYPERSIMPLEX)
    costs = torch.randn(200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for number, y in enumerate(points):
        normals = binding_normals(y, A_eq=torch.ones(1, 4), upper=1.0)
        inside = (project(-costs, normals.expand(200, -1, -1)) + costs).norm(dim=1) < 1e-9
        best = (costs @ points.T).argmin(1) == number
        assert torch.equal(inside, best)
        assert 0 < best.sum() < 200


def test_normals_of_a_batch_are_those_of_its_rows() -> None:
    limits = {"A_ub": torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0]]), "b_ub": torch.tensor([2.0, 1.0])}
    y = torch.tensor([[[1.0, 1.0, 0.0], [0.5, 0.5, 0.5]], [[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]])
    found = binding_normals(y, upper=1.0, **limits)
    for index in product(range(2), range(2)):
        assert rows(found[index]) == rows(binding_normals(y[index], upper=1.0, **limits))
    assert rows(found[1, 1]) == {(1, 1, 1), (1, -1, 0), (0, -1, 0), (1, 0, 0), (0, 0, 1)}
    assert not found[0, 1].any()
    assert binding_normals(y, lower=None).shape == (2, 2, 0, 3)


def test_bad_solutions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"y of row 1 violates constraint 3 .* by 0\.5: it is infeasible"):
        binding_normals(torch.tensor([[0.0, 1.0], [0.0, 1.5]]), upper=1.0)
    with pytest.raises(ValueError, match="A_ub without b_ub"):
        binding_normals(torch.ones(2), A_ub=torch.ones(1, 2))
    with pytest.raises(ValueError, match=r"y has shape \(3,\), but vertices of shape \(4,\)"):
        Neighbours.among(CUBE, torch.zeros(3), complete=True)
    with pytest.raises(ValueError, match="subsets of one size"):
        Neighbours.swaps(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
