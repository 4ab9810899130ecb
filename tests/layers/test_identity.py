from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from combdiff import Identity, Solver
from combdiff.solvers import TopK
from combdiff.testing import HYPERSIMPLEX, Enumerated, LayerContract


def projected(costs: Tensor, projection: str) -> Tensor:
    """P(c), as the paper has it."""
    if projection.startswith("mean"):
        costs = costs - costs.mean(-1, keepdim=True)
    return costs / costs.norm(dim=-1, keepdim=True) if projection.endswith("norm") else costs


class TestNorm(LayerContract):
    options: ClassVar[dict[str, Any]] = {}

    def make(self, solver: Solver, on_failure: Any = "raise") -> Identity:
        return Identity(solver, on_failure=on_failure, **self.options)


class TestNone(TestNorm):
    options: ClassVar[dict[str, Any]] = {"projection": "none"}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace


class TestMeanNorm(TestNorm):
    options: ClassVar[dict[str, Any]] = {"projection": "mean-norm"}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("projection", ["none", "mean", "norm", "mean-norm"])
def test_the_gradient_is_that_of_minus_the_projected_costs(projection: Any, sense: str) -> None:
    """In closed form, by autograd through P; for a maximum the costs are −θ."""
    generator = torch.Generator().manual_seed(0)
    theta, incoming = torch.randn(2, 50, 4, generator=generator, dtype=torch.float64)
    theta.requires_grad_()
    y = Identity(Enumerated(HYPERSIMPLEX, sense), projection)(theta)
    (gradient,) = torch.autograd.grad(y, theta, incoming)
    costs = theta if sense == "min" else -theta
    (expected,) = torch.autograd.grad(-projected(costs, projection), theta, incoming)
    torch.testing.assert_close(gradient, expected)
    assert gradient.abs().min() > 0
    plain = torch.from_numpy(Enumerated(HYPERSIMPLEX, sense).solve(theta.detach().numpy()).y)
    assert torch.equal(y.detach(), plain)


def test_a_step_along_the_gradient_of_norm_never_shrinks_the_costs() -> None:
    theta = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(Identity(TopK(4, 2)).forward(theta).sum(-1) @ torch.ones(20).double(), theta)
    torch.testing.assert_close((gradient * theta).sum(-1), torch.zeros(20, dtype=torch.float64))
    assert ((theta - gradient).norm(dim=-1) >= theta.norm(dim=-1)).all()


@pytest.mark.parametrize("projection", ["norm", "mean-norm"])
def test_a_row_without_a_direction_gets_no_gradient_and_is_counted(projection: Any) -> None:
    layer = Identity(TopK(3), projection)
    theta = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 4.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(theta), theta, torch.tensor([1.0, 0.0, 3.0]).expand(2, 3))
    assert gradient[0].tolist() == [0.0, 0.0, 0.0]
    assert gradient[1].abs().sum() > 0
    assert layer.stats.no_gradient == 3


def test_bad_projections_are_refused() -> None:
    with pytest.raises(ValueError, match="projection='std' is none of 'none', 'mean', 'norm', 'mean-norm'"):
        Identity(TopK(3), "std")  # type: ignore[arg-type]
