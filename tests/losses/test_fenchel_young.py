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


def test_under_autocast_the_loss_is_in_single_precision() -> None:
    """As torch's own losses."""
    linear = torch.nn.Linear(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        theta = linear(torch.randn(3, 4))
        assert theta.dtype == torch.bfloat16
        for reduction in ("mean", "sum", "none"):
            assert FenchelYoungLoss(Perturbed(TopK(4)), reduction)(theta, torch.eye(4)[:3]).dtype == torch.float32
