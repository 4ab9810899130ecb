"""Noise: the laws of its score, and layers with a user's own noise and perturbation."""

import math

import pytest
import torch
from torch import Tensor

from combdiff import Perturbed
from combdiff.noise import Additive, Gaussian, Gumbel, Noise, Perturbation
from combdiff.soft import gumbel_perturbed
from combdiff.solvers import Ranking, TopK


class WideGaussian(Noise):
    """Of standard deviation 2: ν(z) = z²/8."""

    symmetric = True

    def sample(self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return 2.0 * Gaussian().sample(shape, like, generator)

    def score(self, z: Tensor) -> Tensor:
        return z / 4.0


class TwiceAsStrong(Perturbation):
    """c + 2σZ."""

    def perturb(self, costs: Tensor, noise: Tensor, sigma: float) -> tuple[Tensor, None]:
        return costs + 2.0 * sigma * noise, None

    def divide(self, gradient: Tensor, costs: Tensor) -> tuple[Tensor, int]:
        return gradient / 2.0, 0


def assert_zero_mean(samples: Tensor) -> None:
    """Within five standard errors."""
    error = samples.std() / math.sqrt(samples.numel())
    assert samples.mean().abs() <= 5 * error


@pytest.mark.parametrize("noise", [Gaussian(), Gumbel(), WideGaussian()], ids=repr)
def test_the_score_is_that_of_the_samples(noise: Noise) -> None:
    z = noise.sample((400_000,), torch.zeros((), dtype=torch.float64), torch.Generator().manual_seed(0))
    score = noise.score(z)
    assert_zero_mean(z)
    assert_zero_mean(score)
    assert_zero_mean(torch.sin(z) * score - torch.cos(z))  # integration by parts: E[f ∇ν] = E[f']
    if noise.symmetric:
        assert_zero_mean(z**3)
        torch.testing.assert_close(noise.score(-z), -score)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_and_shape_are_those_asked_for(dtype: torch.dtype) -> None:
    for noise in (Gaussian(), Gumbel()):
        z = noise.sample((1000, 3), torch.zeros((), dtype=dtype), torch.Generator().manual_seed(0))
        assert z.shape == (1000, 3)
        assert z.dtype == dtype
        assert torch.isfinite(z).all()


def test_an_exponential_draw_of_zero_is_finite_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "exponential_", lambda self, generator=None: self.zero_())
    assert torch.isfinite(Gumbel().sample((3,), torch.zeros(()))).all()
    assert torch.isfinite(gumbel_perturbed(torch.zeros(3), samples=2)).all()


@pytest.mark.parametrize("antithetic", [False, True])
def test_a_noise_of_the_users_own(antithetic: bool) -> None:
    theta = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    gradient = torch.randn(5, 4, dtype=torch.float64)
    found = []
    for noise, mode, sigma in (
        ("gaussian", "additive", 1.0),
        (WideGaussian(), "additive", 0.5),
        (Gaussian(), TwiceAsStrong(), 0.5),
        (Gaussian(), Additive(), 1.0),
    ):
        generator = torch.Generator().manual_seed(1)
        layer = Perturbed(Ranking(4), sigma, 20, noise, mode, antithetic, generator=generator)  # type: ignore[arg-type]
        y = layer(theta)
        (slope,) = torch.autograd.grad(y, theta, gradient)
        found.append((y.detach(), slope))
    for y, slope in found[1:]:
        torch.testing.assert_close(y, found[0][0])
        torch.testing.assert_close(slope, found[0][1])


def test_bad_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="'cauchy' is none of 'gaussian', 'gumbel'"):
        Perturbed(TopK(3), noise="cauchy")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="noise=3 is a int, but must be a Noise"):
        Perturbed(TopK(3), noise=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="log-normal"):
        Perturbed(TopK(3), noise=Gumbel(), mode="multiplicative")
    with pytest.raises(ValueError, match="symmetric"):
        Perturbed(TopK(3), samples=2, noise=Gumbel(), antithetic=True)
