import math
from typing import Any

import numpy as np
import pytest
import torch

from combdiff import FenchelYoungLoss, Interpolation, Perturbed
from combdiff.solvers import TopK
from combdiff.testing import HYPERSIMPLEX, Enumerated


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("options", [{}, {"noise": "gumbel"}, {"mode": "multiplicative"}])
def test_never_negative_but_for_monte_carlo(sense: str, options: dict[str, Any]) -> None:
    """L ≥ 0 for every vertex, within 5 standard errors of the mean of its samples."""
    torch.manual_seed(0)
    draws = np.random.default_rng(0).normal(size=(5, 4)) + 2.0
    for theta in torch.from_numpy(draws):
        for y in torch.from_numpy(HYPERSIMPLEX):
            layer = Perturbed(Enumerated(HYPERSIMPLEX, sense), 0.5, **options)
            values = FenchelYoungLoss(layer, "none")(theta.expand(4000, 4), y.expand(4000, 4))
            assert values.mean() > -5 * values.std() / math.sqrt(4000)


def test_antithetic_loss_is_never_negative_at_all() -> None:
    torch.manual_seed(0)
    layer = Perturbed(Enumerated(HYPERSIMPLEX), 2.0, samples=2, antithetic=True)
    theta = torch.randn(500, 4, dtype=torch.float64)
    target = torch.from_numpy(HYPERSIMPLEX[np.random.default_rng(0).integers(0, 6, 500)])
    assert (FenchelYoungLoss(layer, "none")(theta, target) >= -1e-9).all()


def test_zero_gradient_exactly_where_the_mean_is_the_target() -> None:
    """∇L = ȳ − E[y] for costs, E[y] − ȳ for a maximum, with the noise of that very call."""
    theta = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.from_numpy(HYPERSIMPLEX[:3])
    for sense, sign in (("min", 1.0), ("max", -1.0)):
        layer = Perturbed(Enumerated(HYPERSIMPLEX, sense), 1.0, samples=8)
        torch.manual_seed(2)
        (gradient,) = torch.autograd.grad(FenchelYoungLoss(layer, "sum")(theta, target), theta)
        torch.manual_seed(2)
        torch.testing.assert_close(gradient, sign * (target - layer(theta).detach()))


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
def test_true_costs_stand_for_their_best_solution(sense: str, mode: Any) -> None:
    theta, c_true = 2.0 + torch.rand(2, 2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    solver, sign = Enumerated(HYPERSIMPLEX, sense), 1.0 if sense == "min" else -1.0
    y_true = torch.from_numpy(solver.solve(c_true.reshape(6, 4).numpy()).y).reshape(2, 3, 4)
    theta.requires_grad_()
    found = []
    for given in ({"y_true": y_true}, {"c_true": c_true}):
        torch.manual_seed(0)
        loss = FenchelYoungLoss(Perturbed(solver, samples=5, mode=mode), "none")
        value = loss(theta, **given)
        (gradient,) = torch.autograd.grad(value.sum(), theta)
        assert loss.last is not None
        torch.testing.assert_close(loss.last.y_true, y_true)
        torch.testing.assert_close(loss.last.y, y_true - sign * gradient)
        found.append((value, gradient))
    torch.testing.assert_close(found[1], found[0])


def test_several_solutions_are_the_mean_of_their_losses() -> None:
    theta = torch.rand(2, 3, 4, dtype=torch.float64)
    several = torch.from_numpy(HYPERSIMPLEX[np.arange(30).reshape(5, 2, 3) % 6])
    losses = []
    for y_true in (several, *several):
        layer = Perturbed(Enumerated(HYPERSIMPLEX), samples=4, generator=torch.Generator().manual_seed(1))
        losses.append(FenchelYoungLoss(layer, "none")(theta, y_true))
    torch.testing.assert_close(losses[0], torch.stack(losses[1:]).mean(0))


def test_true_costs_without_a_solution_are_a_failed_row() -> None:
    every = range(6)
    theta = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    loss = FenchelYoungLoss(Perturbed(Enumerated(HYPERSIMPLEX), on_failure="mask"), "none")
    value = loss(theta, c_true=torch.rand(3, 4, dtype=torch.float64), instances=[every, [], every])
    assert value.isnan().tolist() == [False, True, False]
    assert loss.last is not None
    assert loss.last.solved.tolist() == [True, False, True]


def test_half_precision_keeps_its_type() -> None:
    loss = FenchelYoungLoss(Perturbed(TopK(4), 1.0, samples=4))
    theta = torch.randn(3, 4, dtype=torch.bfloat16, requires_grad=True)
    value = loss(theta, torch.eye(4)[:3])
    value.backward()
    assert value.dtype == torch.bfloat16
    assert theta.grad is not None
    assert theta.grad.dtype == torch.bfloat16


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match="Interpolation has no potential"):
        FenchelYoungLoss(Interpolation(TopK(3)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reduction='max'"):
        FenchelYoungLoss(Perturbed(TopK(3)), "max")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"y_true has shape \(3,\), but theta \(2, 3\)"):
        FenchelYoungLoss(Perturbed(TopK(3)))(torch.zeros(2, 3), torch.zeros(3))
    with pytest.raises(TypeError, match=r"y_true \(or c_true in its place\) is None, and FenchelYoungLoss needs it"):
        FenchelYoungLoss(Perturbed(TopK(3)))(torch.zeros(3))
    with pytest.raises(TypeError, match="y_true and c_true are both given"):
        FenchelYoungLoss(Perturbed(TopK(3)))(torch.zeros(3), torch.zeros(3), c_true=torch.zeros(3))
    with pytest.raises(ValueError, match=r"c_true has shape \(4,\), but theta \(3,\)"):
        FenchelYoungLoss(Perturbed(TopK(3)))(torch.zeros(3), c_true=torch.zeros(4))
    with pytest.raises(ValueError, match=r"y_true\[0\] has shape \(4,\), but theta \(3,\)"):
        FenchelYoungLoss(Perturbed(TopK(3)))(torch.zeros(3), torch.zeros(2, 4))


def test_under_autocast_the_loss_is_in_single_precision() -> None:
    """As torch's own losses."""
    linear = torch.nn.Linear(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        theta = linear(torch.randn(3, 4))
        assert theta.dtype == torch.bfloat16
        for reduction in ("mean", "sum", "none"):
            assert FenchelYoungLoss(Perturbed(TopK(4)), reduction)(theta, torch.eye(4)[:3]).dtype == torch.float32
