"""Antithetic pairs: what they do to the variance of the layer, of its gradient and of the Fenchel–Young gradient."""

import pytest
import torch
from torch import Tensor

from combdiff import FenchelYoungLoss, Perturbed, Solver
from combdiff.solvers import Ranking, TopK

GROUPS, ROWS, SAMPLES = 20, 100, 16


def variances(solver: Solver, antithetic: bool) -> tuple[Tensor, Tensor]:
    """The variance of the layer's gradient and of the Fenchel–Young gradient, in each of independent groups of rows."""
    generator = torch.Generator().manual_seed(0)
    scores, weight = torch.randn(2, 8, generator=generator, dtype=torch.float64)
    layer = Perturbed(solver, 1.0, SAMPLES, antithetic=antithetic, generator=generator)
    theta = scores.expand(GROUPS, ROWS, 8).clone().requires_grad_()
    (through,) = torch.autograd.grad((layer(theta) * weight).sum(), theta)
    (loss,) = torch.autograd.grad(FenchelYoungLoss(layer, "sum")(theta, torch.zeros_like(theta)), theta)
    return through.var(1).sum(-1), loss.var(1).sum(-1)


@pytest.mark.parametrize("solver", [TopK(8, 3), Ranking(8)])
def test_pairs_help_the_fenchel_young_gradient_and_harm_the_layers(solver: Solver) -> None:
    """Each by more than 5 standard errors of the difference between the groups' means; the default is the better."""
    pairs, default = variances(solver, antithetic=True), variances(solver, antithetic=False)
    for more, less in ((pairs[0], default[0]), (default[1], pairs[1])):
        error = torch.sqrt((more.var() + less.var()) / GROUPS)
        assert more.mean() - less.mean() > 5 * error
    assert not Perturbed(solver, 1.0, SAMPLES).antithetic
