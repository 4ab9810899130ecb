"""A layer, a loss and a problem from outside the package: the files that CONTRIBUTING.md shows."""

from typing import Any

import pytest
import torch

from combdiff import FenchelYoungLoss, Interpolation, Perturbed, Solver, SolverLayer
from combdiff.solvers import TopK
from combdiff.testing import HYPERSIMPLEX, Enumerated, LayerContract
from tests.snippets import load

NegativeIdentity = load("combdiff/layers/negative_identity.py").NegativeIdentity
PerceptronLoss = load("combdiff/losses/perceptron.py").PerceptronLoss
load("solvers/combdiff_solvers/problems/window.py")
TestWindow = load("tests/solvers/problems/test_window.py").TestWindow


class TestNegativeIdentity(LayerContract):
    def make(self, solver: Solver, on_failure: Any = "raise") -> SolverLayer:
        return NegativeIdentity(solver, on_failure)


@pytest.mark.parametrize("sense", ["min", "max"])
def test_a_loss_needs_solves_and_no_forward(sense: str) -> None:
    solver = Enumerated(HYPERSIMPLEX, sense)
    layer = Perturbed(solver, on_failure="mask")
    true, theta = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y_true = PerceptronLoss(solver).solve(true)
    theta.requires_grad_()
    assert torch.autograd.gradcheck(lambda part: PerceptronLoss(solver)(part, y_true), theta)
    assert PerceptronLoss(solver)(true, y_true).item() == pytest.approx(0.0)
    assert PerceptronLoss(solver)(theta, y_true).item() > 0
    loss = PerceptronLoss(layer)  # shares the layer's oracle: its policy, its counts, its report
    every = range(len(HYPERSIMPLEX))
    (gradient,) = torch.autograd.grad(loss(theta, y_true, [every, [], every]), theta)
    assert gradient[1].tolist() == [0.0] * 4
    assert gradient[0].abs().sum() + gradient[2].abs().sum() > 0
    assert layer.stats.solves == 3
    assert layer.last is not None
    assert layer.last.solved.tolist() == [True, False, True]


@pytest.mark.parametrize("size", [3e38, -3e38])
def test_costs_that_overflow_are_refused(size: float) -> None:
    theta = torch.full((2, 3), 1.0)
    theta[1] = size
    with pytest.raises(ValueError, match=r"a cost of row 1 is -?inf, though theta is finite"):
        Perturbed(TopK(3), sigma=1e38, samples=20)(theta)


@pytest.mark.parametrize("kind", [Perturbed, Interpolation, NegativeIdentity, FenchelYoungLoss])
def test_bad_keywords_are_refused(kind: Any) -> None:
    first = Perturbed(TopK(3)) if kind is FenchelYoungLoss else TopK(3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sigm'"):
        kind(first, sigm=1)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_results_may_be_changed_in_place(reduction: Any) -> None:
    theta = torch.rand(3, 4, requires_grad=True)
    target = torch.eye(4)[:3]
    for layer in (Perturbed(TopK(4)), Interpolation(TopK(4))):
        layer(theta).mul_(2.0).sum().backward()
    FenchelYoungLoss(Perturbed(TopK(4)), reduction)(theta, target).mul_(2.0).sum().backward()
