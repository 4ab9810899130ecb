from typing import Any

import pytest
import torch

from combdiff import FenchelYoungLoss, Interpolation, Perturbed, Solver, SolverLayer, Status, StraightThrough
from combdiff.diagnostics import advise
from combdiff.solvers import TopK
from combdiff.testing import HYPERSIMPLEX, Enumerated, LayerContract
from tests.layers.estimates import gradients, same_noise_in_every_row, standard_errors


class TestStraightThrough(LayerContract):
    calls = 2

    def make(self, solver: Solver, on_failure: Any = "raise") -> StraightThrough:
        return StraightThrough(Perturbed(solver, sigma=0.8, samples=6, on_failure=on_failure))

    def freeze(self, layer: SolverLayer) -> SolverLayer:
        assert isinstance(layer, StraightThrough)
        same_noise_in_every_row(layer.layer)
        return layer


@pytest.mark.parametrize("sense", ["min", "max"])
def test_the_answer_is_exact_and_the_jacobian_that_of_softmax(sense: str) -> None:
    """With Gumbel noise over one-hot vectors, within 5 standard errors."""
    torch.manual_seed(0)
    sigma, theta = 0.7, torch.tensor([0.3, -0.5, 0.9, 0.2], dtype=torch.float64)
    sign, incoming = (1.0 if sense == "max" else -1.0), torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    layer = StraightThrough(Perturbed(TopK(4, 1, sense), sigma, 20, noise="gumbel"))
    assert layer(theta.clone().requires_grad_()).tolist() == (
        [0.0, 0.0, 1.0, 0.0] if sense == "max" else [0.0, 1.0, 0.0, 0.0]
    )
    point = theta.clone().requires_grad_()
    (expected,) = torch.autograd.grad(torch.softmax(sign * point / sigma, 0), point, incoming)
    assert (standard_errors(gradients(layer, theta, incoming, 20_000), expected) < 5).all()


def test_the_loss_is_taken_at_the_exact_answer() -> None:
    theta = torch.tensor([1.0, 1.5, 3.0, 2.0], dtype=torch.float64, requires_grad=True)
    smooth = same_noise_in_every_row(Perturbed(Enumerated(HYPERSIMPLEX), sigma=1.0, samples=50))
    layer, target = StraightThrough(smooth), torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad((layer(theta) - target).square().sum(), theta)
    hard = layer(theta).detach()
    (expected,) = torch.autograd.grad(smooth(theta), theta, 2.0 * (hard - target))
    torch.testing.assert_close(gradient, expected)


def test_it_shares_the_oracle_and_the_temperature() -> None:
    smooth = Perturbed(TopK(3), samples=4)
    layer = StraightThrough(smooth)
    assert layer.oracle is smooth.oracle
    layer(torch.rand(5, 3))
    assert smooth.stats.solves == 25
    layer.temperature = "auto"
    layer(torch.rand(5, 3, requires_grad=True)).sum().backward()
    assert float(smooth.sigma) > 0.0


def test_advice_leaves_the_layer_as_it_was() -> None:
    torch.manual_seed(0)
    layer = StraightThrough(Perturbed(TopK(4), sigma=123.0))
    oracle, target = layer.oracle, torch.eye(4)
    assert advise(layer, torch.randn(4, 4), target).temperature != 123.0
    assert layer.temperature == 123.0
    assert layer.oracle is oracle
    assert layer.layer.generator is None


def test_a_row_that_fails_in_either_solve_is_masked() -> None:
    class FailsWhere(Enumerated):
        def solve_checked(self, theta: Any, instances: Any) -> Any:
            return super().solve_checked(theta, [[] if row[0] > limit else range(6) for row in theta])

    theta = torch.tensor([[9.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]], dtype=torch.float64)
    for limit in (5.0, -1e6):
        layer = StraightThrough(Perturbed(FailsWhere(HYPERSIMPLEX), 0.1, 2, on_failure="mask"))
        y = layer(theta.requires_grad_())
        assert y.isnan().all(1).tolist() == [True, limit < 0]
        assert layer.last is not None
        assert layer.last.status[0] == Status.INFEASIBLE


def test_bad_layers_are_refused() -> None:
    with pytest.raises(TypeError, match="a Interpolation has no other answer than the exact one"):
        StraightThrough(Interpolation(TopK(3)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="its gradient belongs to its layer"):
        FenchelYoungLoss(StraightThrough(Perturbed(TopK(3))))  # type: ignore[arg-type]
