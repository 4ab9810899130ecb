"""Noise: the laws of its score, and layers with a user's own noise and perturbation."""

import math

import pytest
import torch
from torch import Tensor

from combdiff import FenchelYoungLoss, Perturbed
from combdiff.noise import Additive, Gaussian, Gumbel, Laplace, Logistic, Noise, Perturbation, SumOfGamma
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


@pytest.mark.parametrize("noise", [Gaussian(), Gumbel(), Laplace(), Logistic(), WideGaussian()], ids=repr)
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


@pytest.mark.parametrize("noise", [Gaussian(), Gumbel(), Laplace(), Logistic()], ids=repr)
def test_energy_quantile_and_score_are_of_one_distribution(noise: Noise) -> None:
    """∇energy = score; the quantiles are those of the samples, within 5 standard errors of a binomial count."""
    u = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    z = noise.quantile(u).requires_grad_()
    assert torch.autograd.gradcheck(noise.energy, z)
    torch.testing.assert_close(torch.autograd.grad(noise.energy(z).sum(), z)[0], noise.score(z.detach()))
    drawn = noise.sample((200_000, 1), torch.zeros((), dtype=torch.float64), torch.Generator().manual_seed(0))
    share = (drawn <= z).double().mean(0)
    assert ((share - u).abs() < 5 * (u * (1 - u) / len(drawn)).sqrt()).all()
    ends = noise.quantile(torch.tensor([0.5 / 2**30, 1 - 0.5 / 2**30], dtype=torch.float64))
    assert torch.isfinite(ends).all()


@pytest.mark.parametrize(("k", "terms"), [(1, 10), (5, 10), (3, 40)])
def test_k_sums_of_gammas_are_the_largest_of_exponentials(k: int, terms: int) -> None:
    """Rényi: Σ Eᵢ/i is the largest of s exponentials, P(≤ x) = (1 − e⁻ˣ)ˢ, which tends to a Gumbel variable."""
    draws = SumOfGamma(k, terms).sample((100_000, k), torch.zeros((), dtype=torch.float64), torch.Generator())
    assert_zero_mean(draws)
    most = sum(1.0 / i for i in range(1, terms + 1)) - draws.sum(1, keepdim=True)
    x = torch.linspace(0.5, 6.0, 20, dtype=torch.float64)
    exact, share = (1 - torch.exp(-x)) ** terms, (most <= x).double().mean(0)
    assert ((share - exact).abs() < 5 * (exact * (1 - exact) / len(draws)).sqrt() + 1e-9).all()


def test_sum_of_gamma_has_a_fenchel_young_loss_and_no_gradient_of_the_layer() -> None:
    layer = Perturbed(TopK(3), samples=4, noise="sum-of-gamma")
    theta = torch.rand(2, 3, requires_grad=True)
    FenchelYoungLoss(layer)(theta, torch.eye(3)[:2]).backward()
    with pytest.raises(ValueError, match="no closed form, so that it has no score: use noise='gumbel'"):
        layer(theta).sum().backward()


def test_bad_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="k=0"):
        SumOfGamma(0)
    for missing in ("energy", "quantile"):
        with pytest.raises(ValueError, match=f"define its method {missing}"):
            getattr(WideGaussian(), missing)(torch.zeros(3))
    with pytest.raises(ValueError, match="'cauchy' is none of 'gaussian', 'gumbel'"):
        Perturbed(TopK(3), noise="cauchy")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="noise=3 is a int, but must be a Noise"):
        Perturbed(TopK(3), noise=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="log-normal"):
        Perturbed(TopK(3), noise=Gumbel(), mode="multiplicative")
    with pytest.raises(ValueError, match="symmetric"):
        Perturbed(TopK(3), samples=2, noise=Gumbel(), antithetic=True)
