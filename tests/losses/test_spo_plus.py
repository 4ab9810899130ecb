"""SPO+, the structured hinge, perturbation gradients, regret and pushforward against enumeration."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import Interpolation, Perturbed, metrics, wrap
from combdiff.losses import (
    PerturbationGradientLoss,
    PushforwardLoss,
    RegretLoss,
    SPOPlusLoss,
    StructuredHingeLoss,
)
from combdiff.solvers import TopK
from combdiff.testing import HYPERSIMPLEX, Enumerated

POINTS = torch.from_numpy(HYPERSIMPLEX)
both = pytest.mark.parametrize("sense", ["min", "max"])


def draws(count: int, sense: str) -> tuple[Tensor, Tensor, Tensor, float]:
    """θ, true costs, the best solutions, and the sign that makes costs of them."""
    sign = 1.0 if sense == "min" else -1.0
    theta, c_true = torch.randn(2, count, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return theta, c_true, POINTS[(sign * c_true @ POINTS.T).argmin(1)], sign


def least(costs: Tensor) -> Tensor:
    """min over all feasible points."""
    return (costs @ POINTS.T).amin(-1)


@both
def test_spo_plus_is_its_definition(sense: str) -> None:
    """max_y [⟨c − 2ĉ, y⟩] + 2⟨ĉ, ȳ⟩ − ⟨c, ȳ⟩ over all points; definition 3 of Elmachtoub & Grigas."""
    theta, c_true, y_true, sign = draws(50, sense)
    p, c = sign * theta, sign * c_true
    expected = ((c - 2 * p) @ POINTS.T).amax(-1) + 2 * (p * y_true).sum(-1) - (c * y_true).sum(-1)
    loss = SPOPlusLoss(Enumerated(HYPERSIMPLEX, sense), "none")
    torch.testing.assert_close(loss(theta, c_true, y_true), expected)
    torch.testing.assert_close(loss(theta, c_true), expected)
    assert loss.stats.solves == 50 + 2 * 50
    torch.testing.assert_close(loss(theta.requires_grad_(), c_true, y_true).detach(), expected.detach())


@both
def test_spo_plus_bounds_the_regret_and_is_zero_at_the_truth(sense: str) -> None:
    theta, c_true, y_true, _ = draws(200, sense)
    solver = Enumerated(HYPERSIMPLEX, sense)
    loss, regret = SPOPlusLoss(solver, "none"), RegretLoss(solver, "none")
    bound, true = loss(theta, c_true, y_true), regret(theta, c_true, y_true)
    assert (bound >= true - 1e-12).all()
    assert (true > 0.1).sum() > 50
    assert (loss(c_true, c_true).abs() < 1e-12).all()


@both
def test_spo_plus_has_the_subgradient_inequality(sense: str) -> None:
    """L(b) ≥ L(a) + ⟨∇L(a), b − a⟩ for every b: it is convex, and the gradient has the right sign and scale."""
    theta, c_true, y_true, _ = draws(100, sense)
    loss = SPOPlusLoss(Enumerated(HYPERSIMPLEX, sense), "none")
    theta = theta.requires_grad_()
    here = loss(theta, c_true, y_true)
    (gradient,) = torch.autograd.grad(here.sum(), theta)
    for step in (-2.0, -0.3, 0.3, 2.0):
        for way in (gradient, c_true):
            there = loss((theta + step * way).detach(), c_true, y_true)
            assert (there >= here + step * (gradient * way).sum(-1) - 1e-9).all()


@both
def test_a_term_of_the_model_counts_in_the_bound(sense: str) -> None:
    """With h(y) = y₀: the bound is of the regret with h, it is tight at the truth, and targets may be given or not."""
    sign = 1.0 if sense == "min" else -1.0

    def best(cost: np.ndarray) -> np.ndarray:
        return HYPERSIMPLEX[(sign * (HYPERSIMPLEX @ cost + HYPERSIMPLEX[:, 0])).argmin()]

    solver = wrap(best, shape=4, sense=sense, h=lambda y: float(y[0]))
    theta, c_true, _, _ = draws(60, sense)
    loss, regret = SPOPlusLoss(solver, "none"), RegretLoss(solver, "none")
    y_true = loss.solve(c_true)
    moved, h = sign * (2 * theta - c_true), sign * POINTS[:, 0]
    expected = (moved * y_true).sum(-1) + sign * y_true[:, 0] - (moved @ POINTS.T + h).amin(-1)
    torch.testing.assert_close(loss(theta, c_true, y_true), expected)
    torch.testing.assert_close(loss(theta, c_true), expected)
    assert (expected >= regret(theta, c_true) - 1e-12).all()
    assert (regret(theta, c_true) > 0.1).any()
    assert (loss(c_true, c_true).abs() < 1e-12).all()


@both
@pytest.mark.parametrize("margin", [0.25, 1.0])
def test_structured_hinge_is_its_definition(sense: str, margin: float) -> None:
    theta, _, y_true, sign = draws(50, sense)
    p = sign * theta
    distance = (POINTS[None] - y_true[:, None]).abs().sum(-1)
    expected = (margin * distance + (p * y_true).sum(-1, keepdim=True) - p @ POINTS.T).amax(-1)
    solver = Enumerated(HYPERSIMPLEX, sense)
    loss = StructuredHingeLoss(solver, margin, "none")
    torch.testing.assert_close(loss(theta, y_true), expected)
    y = torch.from_numpy(solver.solve(theta.numpy()).y)
    assert (loss(theta, y_true) >= margin * (y - y_true).abs().sum(-1) - 1e-12).all()
    sure = sign * (1.0 - y_true) * 2 * margin  # every swap costs 2m a pair: the margin is met
    assert (loss(sure, y_true).abs() < 1e-12).all()
    assert (loss(0.9 * sure, y_true) > 0).all()


@both
def test_structured_hinge_counts_entries_that_only_one_of_two_solutions_has(sense: str) -> None:
    cube = torch.cartesian_prod(*3 * [torch.tensor([0.0, 1.0], dtype=torch.float64)])
    theta = torch.randn(50, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    y_true, p = cube[torch.arange(50) % 8], theta if sense == "min" else -theta
    distance = (cube[None] - y_true[:, None]).abs().sum(-1)
    expected = (0.7 * distance + (p * y_true).sum(-1, keepdim=True) - p @ cube.T).amax(-1)
    loss = StructuredHingeLoss(Enumerated(cube.numpy(), sense), 0.7, "none")
    torch.testing.assert_close(loss(theta, y_true), expected)


@both
@pytest.mark.parametrize("width", [0.1, 2.0])
def test_perturbation_gradient_is_a_difference_of_optimal_values(sense: str, width: float) -> None:
    theta, c_true, y_true, sign = draws(50, sense)
    p, c = sign * theta, sign * c_true
    up, here, down = least(p + width * c), least(p), least(p - width * c)
    solver = Enumerated(HYPERSIMPLEX, sense)
    decision = (c * torch.from_numpy(solver.solve(theta.numpy()).y)).sum(-1)
    found = {}
    for name in ("backward", "forward", "central"):
        loss = PerturbationGradientLoss(solver, width, name, "none")
        found[name] = loss(theta, c_true)
        torch.testing.assert_close(loss(theta, c_true, y_true), found[name] - (c * y_true).sum(-1))
    torch.testing.assert_close(found["backward"], (here - down) / width)
    torch.testing.assert_close(found["forward"], (up - here) / width)
    torch.testing.assert_close(found["central"], (up - down) / (2 * width))
    assert (found["forward"] <= decision + 1e-12).all()
    assert (decision <= found["backward"] + 1e-12).all()


def test_perturbation_gradient_tends_to_the_cost_of_the_decision() -> None:
    theta, c_true, y_true, _ = draws(50, "min")
    solver = Enumerated(HYPERSIMPLEX)
    regret = RegretLoss(solver, "none")(theta, c_true)
    for name in ("backward", "forward", "central"):
        loss = PerturbationGradientLoss(solver, 1e-7, name, "none")
        torch.testing.assert_close(loss(theta, c_true, y_true), regret, atol=1e-6, rtol=0)
    exact = PerturbationGradientLoss(solver, 0.5, reduction="none")
    assert (exact(0.5 * c_true, c_true, y_true).abs() < 1e-12).all()
    assert (exact(3.0 * c_true, c_true, y_true).abs() < 1e-12).all()


@both
def test_regret_is_the_metric(sense: str) -> None:
    theta, c_true, y_true, _ = draws(50, sense)
    solver = Enumerated(HYPERSIMPLEX, sense)
    y = torch.from_numpy(solver.solve(theta.numpy()).y)
    expected = metrics.regret(y, y_true, c_true, solver)
    loss = RegretLoss(solver, "none")
    torch.testing.assert_close(loss(theta, c_true), expected)
    torch.testing.assert_close(loss.last.y, y)  # type: ignore[union-attr]
    relative = expected.sum() / (c_true * y_true).sum(-1).abs().sum()
    torch.testing.assert_close(RegretLoss(solver, "relative")(theta, c_true, y_true), relative)
    assert not loss(theta.requires_grad_(), c_true).requires_grad


@both
def test_pushforward_is_the_cost_of_the_layer(sense: str) -> None:
    theta, c_true, y_true, sign = draws(6, sense)
    theta = theta.reshape(2, 3, 4).requires_grad_()
    layer = Interpolation(Enumerated(HYPERSIMPLEX, sense), 2.0)
    cases: list[tuple[Any, Tensor, Tensor]] = [
        (None, c_true.reshape(2, 3, 4), sign * (layer(theta) * c_true.reshape(2, 3, 4)).sum(-1)),
        (
            lambda y, t: (y - t).square().sum(-1),
            y_true.reshape(2, 3, 4),
            (layer(theta) - y_true.reshape(2, 3, 4)).square().sum(-1),
        ),
    ]
    for cost, target, expected in cases:
        loss = PushforwardLoss(layer, cost, "sum")
        value = loss(theta, target)
        torch.testing.assert_close(value, expected.sum())
        torch.testing.assert_close(torch.autograd.grad(value, theta), torch.autograd.grad(expected.sum(), theta))
        assert loss.last is not None
        torch.testing.assert_close(loss.last.y, layer(theta).detach())


def test_pushforward_leaves_failed_rows_out() -> None:
    layer = Perturbed(Enumerated(HYPERSIMPLEX), samples=50, on_failure="mask")
    theta = torch.rand(3, 4, requires_grad=True)
    loss = PushforwardLoss(layer)
    value = loss(theta, torch.ones(3, 4), instances=[[0, 1], [], [2]])
    torch.testing.assert_close(value, torch.tensor(2.0))
    (gradient,) = torch.autograd.grad(value, theta)
    assert torch.isfinite(gradient).all()
    loss.temperature = 2.0
    assert layer.sigma == 2.0


def test_grids_keep_their_shape() -> None:
    solver = wrap(lambda cost: np.eye(2)[:, ::-1].copy() if np.trace(cost) > 0 else np.eye(2), shape=(2, 2))
    loss = SPOPlusLoss(solver, "none")
    assert loss(torch.rand(3, 2, 2), torch.rand(3, 2, 2)).shape == (3,)
    assert loss.last is not None
    assert loss.last.y is not None
    assert loss.last.y.shape == (3, 2, 2)


def test_top_k_of_the_sense_max_is_the_default() -> None:
    value = SPOPlusLoss(TopK(3))(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 0.0, 1.0]))
    assert value.item() == 0.0
