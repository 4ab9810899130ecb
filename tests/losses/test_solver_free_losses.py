"""Losses without a solve, against enumeration."""

from typing import Any

import pytest
import torch
from torch import Tensor

from combdiff.losses import AdjacentVerticesLoss, ConeAlignedLoss
from combdiff.polyhedra import Neighbours, binding_normals
from combdiff.testing import HYPERSIMPLEX, Enumerated

POINTS = torch.from_numpy(HYPERSIMPLEX)
both = pytest.mark.parametrize("sense", ["min", "max"])


def draws(sense: str, count: int = 100) -> tuple[Tensor, Tensor, Tensor]:
    """θ, targets, and which targets are optimal for θ."""
    theta = torch.randn(count, 4, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    target = torch.arange(count) % len(POINTS)
    sign = 1.0 if sense == "min" else -1.0
    best = (sign * theta @ POINTS.T).argmin(1)
    theta[: count // 4], best[: count // 4] = sign * (1.0 - POINTS[target[: count // 4]]), target[: count // 4]
    return theta + 0.01 * torch.arange(4), POINTS[target], best == target


def normals(y: Tensor) -> Tensor:
    return binding_normals(y, A_eq=torch.ones(1, 4), upper=1.0)


@both
@pytest.mark.parametrize("margin", [0.1, 2.0])
def test_adjacent_vertices_are_the_hinges_of_their_definition(sense: str, margin: float) -> None:
    theta, y_true, _ = draws(sense)
    costs = theta if sense == "min" else -theta
    loss = AdjacentVerticesLoss(Enumerated(HYPERSIMPLEX, sense), margin, "none")
    expected = torch.zeros(len(theta), dtype=torch.float64)
    for vertex in POINTS:
        adjacent = (vertex - y_true).abs().sum(1) == 2
        expected += (margin - (costs * (vertex - y_true)).sum(1)).clamp(min=0).where(adjacent, 0.0)
    edges = Neighbours.swaps(y_true)
    torch.testing.assert_close(loss(theta, edges), expected)
    assert loss.complete
    torch.testing.assert_close(loss(theta, torch.cat([edges.edges, torch.zeros(100, 3, 4)], 1)), expected)
    assert loss.complete is None
    assert loss.stats.solves == 0


@both
def test_no_loss_exactly_where_the_target_is_optimal(sense: str) -> None:
    theta, y_true, best = draws(sense)
    assert 20 < best.sum() < 80
    solver, edges = Enumerated(HYPERSIMPLEX, sense), Neighbours.swaps(y_true)
    for value in (
        AdjacentVerticesLoss(solver, 1e-9, "none")(theta, edges),
        ConeAlignedLoss(solver, "edges", reduction="none")(theta, edges),
        ConeAlignedLoss(solver, reduction="none")(theta, normals(y_true)),
    ):
        assert torch.equal(value < 1e-8, best)
        assert (value >= 0).all()


@both
def test_normals_and_edges_are_one_cone(sense: str) -> None:
    theta, y_true, _ = draws(sense)
    solver = Enumerated(HYPERSIMPLEX, sense)
    by_edges = ConeAlignedLoss(solver, "edges", reduction="none")(theta, Neighbours.swaps(y_true))
    torch.testing.assert_close(ConeAlignedLoss(solver, reduction="none")(theta, normals(y_true)), by_edges)
    assert (by_edges <= 1).all()


def test_cone_alignment_is_one_minus_the_cosine() -> None:
    """The quadrant of normals (−1, 0) and (0, −1) at the origin: the angle is known."""
    cone = binding_normals(torch.zeros(5, 2))
    angles = torch.tensor([0.0, 30.0, 90.0, 120.0, 150.0]).deg2rad()
    theta = 3.0 * torch.stack([angles.cos(), angles.sin()], 1)
    solver = Enumerated(HYPERSIMPLEX[:, :2])
    value = ConeAlignedLoss(solver, reduction="none")(theta, cone)
    expected = 1 - torch.tensor([0.0, 0.0, 0.0, 30.0, 60.0]).deg2rad().cos()
    torch.testing.assert_close(value, expected)
    inner = ConeAlignedLoss(solver, inner=0.5, reduction="none")(theta, cone)
    mean = torch.full((2,), -0.5)
    for row, one in enumerate(theta):
        aim = 0.5 * torch.nn.functional.normalize((-one).clamp(max=0), dim=0) + 0.5 * mean
        torch.testing.assert_close(inner[row], 1 - torch.cosine_similarity(-one, aim, dim=0))


def test_opposite_costs_and_none_have_no_gradient() -> None:
    theta = torch.tensor([[-1.0, -2.0], [0.0, 0.0]], requires_grad=True)
    value = ConeAlignedLoss(Enumerated(HYPERSIMPLEX[:, :2]), reduction="none")(
        theta, binding_normals(torch.zeros(2, 2))
    )
    assert value.tolist() == [1.0, 1.0]
    (gradient,) = torch.autograd.grad(value.sum(), theta)
    assert (gradient == 0).all()


@both
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_gradient_is_that_of_the_value(sense: str, reduction: Any) -> None:
    theta, y_true, _ = draws(sense, 12)
    theta = theta.reshape(3, 4, 4).requires_grad_()
    y_true, solver = y_true.reshape(3, 4, 4), Enumerated(HYPERSIMPLEX, sense)
    edges = Neighbours.swaps(y_true)
    for loss, cone in (
        (AdjacentVerticesLoss(solver, 0.7, reduction), edges),
        (ConeAlignedLoss(solver, reduction=reduction), normals(y_true)),
        (ConeAlignedLoss(solver, "edges", reduction=reduction), edges),
    ):
        assert torch.autograd.gradcheck(lambda part, loss=loss, cone=cone: loss(part, cone), theta)
        value = loss(theta, cone)
        assert value.shape == ((3, 4) if reduction == "none" else ())


@both
def test_adjacent_vertices_have_the_subgradient_inequality(sense: str) -> None:
    theta, y_true, _ = draws(sense)
    loss, edges = AdjacentVerticesLoss(Enumerated(HYPERSIMPLEX, sense), reduction="none"), Neighbours.swaps(y_true)
    theta.requires_grad_()
    here = loss(theta, edges)
    (gradient,) = torch.autograd.grad(here.sum(), theta)
    for step in (-1.0, 0.2, 1.0):
        there = loss((theta + step * gradient).detach(), edges)
        assert (there >= here + step * gradient.square().sum(1) - 1e-9).all()


def test_incomplete_edges_are_declared() -> None:
    theta, y_true, _ = draws("min", 6)
    part = Neighbours.among(POINTS[:4], y_true, complete=False)
    loss = AdjacentVerticesLoss(Enumerated(HYPERSIMPLEX))
    value = loss(theta, part)
    assert loss.complete is False
    torch.testing.assert_close(loss(theta, part.edges), value)


def test_bad_cones_are_refused() -> None:
    theta, y_true, _ = draws("min", 6)
    solver = Enumerated(HYPERSIMPLEX)
    with pytest.raises(ValueError, match="the edges are not complete"):
        ConeAlignedLoss(solver, "edges")(theta, Neighbours.among(POINTS[:4], y_true, complete=False))
    with pytest.raises(ValueError, match=r"edges are of \(6,\) solutions of shape \(4,\), but theta is \(2, 3, 4\)"):
        AdjacentVerticesLoss(solver)(theta.reshape(2, 3, 4), Neighbours.swaps(y_true))
    for loss, name in ((AdjacentVerticesLoss(solver), "edges"), (ConeAlignedLoss(solver), "normals")):
        with pytest.raises(ValueError, match=rf"{name} has shape \(6, 4\), but theta \(6, 4\) needs \(6, k, 4\)"):
            loss(theta, y_true)
        with pytest.raises(TypeError, match=f"{name} is a list"):
            loss(theta, [[1.0]])
        with pytest.raises(ValueError, match=f"{name} has an entry that is NaN"):
            loss(theta, torch.full((6, 2, 4), torch.nan))
    with pytest.raises(ValueError, match="cone='polar' is none of 'normals', 'edges'"):
        ConeAlignedLoss(solver, "polar")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"inner=1\.5 must be from 0 to below 1"):
        ConeAlignedLoss(solver, inner=1.5)
    with pytest.raises(ValueError, match="margin=0"):
        AdjacentVerticesLoss(solver, 0.0)
