"""Exact and sampled moments of a gradient agree."""

import math

import numpy as np
import pytest
import torch

from combdiff import Interpolation, Perturbed
from combdiff.diagnostics import exact_moments, gradient_moments
from combdiff.noise import Gaussian, Gumbel, Noise
from combdiff.testing import HYPERSIMPLEX, Enumerated

LADDER = [10 ** (at / 2 - 2) for at in range(9)]  # four decades


class Uniform(Noise):
    def sample(self, shape, like, generator=None):  # type: ignore[no-untyped-def]
        return torch.rand(shape) - 0.5

    def score(self, z):  # type: ignore[no-untyped-def]
        return 0.0 * z


@pytest.mark.parametrize("noise", [Gaussian(), Gumbel()])
@pytest.mark.parametrize("n", [2, 5, 10])
def test_curves_agree_with_the_exact_ones_within_three_standard_errors(noise: Noise, n: int) -> None:
    """36 numbers a run are compared: so few standard errors hold for a fixed seed, and for most others."""
    draw = torch.Generator().manual_seed(n)
    costs, gradient = (torch.randn(1, n, generator=draw, dtype=torch.float64) for _ in range(2))
    for sigma in LADDER:
        exact = exact_moments(costs, gradient, sigma, noise)
        layer = Perturbed(Enumerated(np.eye(n)), sigma, noise=noise, generator=draw)
        found = gradient_moments(layer, costs, gradient, 20_000)
        # the first coordinate of the mean along the exact one: one number, the bias of the curve
        error = float((found.mean - exact.mean).square().sum().sqrt())
        assert error <= 3 * float(found.mean_error.square().sum().sqrt()) + 1e-9, sigma
        assert float((found.variance - exact.variance).abs()) <= 3 * float(found.variance_error) + 1e-9, sigma


def test_the_exact_mean_is_the_jacobian_of_softmax_under_gumbel_noise() -> None:
    costs, gradient = torch.randn(2, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for sigma in (0.3, 1.0, 3.0):
        point = costs.clone().requires_grad_()
        (expected,) = torch.autograd.grad(torch.softmax(-point / sigma, -1), point, gradient)
        assert torch.allclose(exact_moments(costs, gradient, sigma, Gumbel()).mean, expected, atol=1e-6)


def test_samples_divide_the_variance_and_a_layer_without_noise_has_none() -> None:
    costs, gradient = torch.randn(2, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    one, four = (
        gradient_moments(Perturbed(Enumerated(np.eye(4)), 1.0, m, variance_reduction=False), costs, gradient, 20_000)
        for m in (1, 4)
    )
    error = math.hypot(float(one.variance_error) / 4, float(four.variance_error))
    assert float(four.variance) == pytest.approx(float(one.variance) / 4, abs=5 * error)
    assert float(gradient_moments(Interpolation(Enumerated(HYPERSIMPLEX)), costs, gradient, 5).variance) == 0.0


def test_bad_arguments() -> None:
    costs = torch.zeros(1, 3)
    with pytest.raises(TypeError, match=r"Uniform.*gradient_moments"):
        exact_moments(costs, costs, 1.0, Uniform())
    with pytest.raises(ValueError, match="estimates=1"):
        gradient_moments(Perturbed(Enumerated(np.eye(3))), costs, costs, 1)
