"""Mean and variance of a gradient: exact where that is possible, sampled with standard errors elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff import _bridge
from combdiff.layer import SolverLayer
from combdiff.noise import Gaussian, Gumbel, Noise
from combdiff_solvers.protocol import Instances, as_instances

PLACES = 4001  # of the quadrature


@dataclass(frozen=True)
class Moments:
    """Mean and variance of the gradient of each row.

    Attributes:
        mean: E[g], of θ's shape.
        variance: E‖g − E[g]‖² of each row.
        mean_error, variance_error: their standard errors; zero where they are exact.
    """

    mean: Float[Tensor, "*dims"]
    variance: Float[Tensor, "*batch"]
    mean_error: Float[Tensor, "*dims"]
    variance_error: Float[Tensor, "*batch"]


def exact_moments(
    costs: Float[Tensor, "b n"], gradient: Float[Tensor, "b n"], sigma: float, noise: Noise | None = None
) -> Moments:
    """Those of `Perturbed` over the n one-hot vectors, by quadrature.

    One sample is g = ⟨∂L/∂y, y(c + σZ)⟩ ∇ν(Z)/σ (M = 1, no baseline; the variance of M samples is a Mth). Given the
    noise z of the entry that wins, each other entry j has Z_j > t_j = z + (c_i − c_j)/σ, whose probability and moments
    of the score have closed forms; one integral over z is left for each i.

    Args:
        costs: to be minimised, n ≥ 2.
        gradient: ∂L/∂y.
        noise: `Gaussian()` (the default) or `Gumbel()`.

    Raises:
        TypeError: for other noise.

    >>> c = torch.tensor([[0.0, 1.0]])
    >>> exact_moments(c, torch.tensor([[1.0, 0.0]]), 1.0, Gumbel()).mean  # ∂/∂c of softmax(−c)₀
    tensor([[-0.1966,  0.1966]], dtype=torch.float64)
    """
    noise = Gaussian() if noise is None else noise
    c, out = costs.double(), gradient.double()
    z = torch.linspace(-12.0, 12.0, PLACES, dtype=torch.float64)
    if isinstance(noise, Gumbel):
        z = torch.linspace(-40.0, 6.0, PLACES, dtype=torch.float64)
    weight = _density(noise, z) * (z[1] - z[0])  # the trapezoidal rule, whose ends are zero
    first, second = torch.zeros_like(c), torch.zeros(len(c), dtype=torch.float64)
    n = c.shape[1]
    for winner in range(n):
        others = [j for j in range(n) if j != winner]
        t = z + (c[:, [winner]] - c[:, others])[..., None] / sigma  # shape: (b, n − 1, places)
        survival, pdf, square = _tail(noise, t)
        rest = torch.stack([survival[:, [k for k in range(n - 1) if k != j]].prod(1) for j in range(n - 1)], 1)
        score, all_others = noise.score(z), survival.prod(1)
        pay = out[:, winner]
        first[:, winner] += pay * (weight * score * all_others).sum(-1)
        first[:, others] += pay[:, None] * (weight * pdf * rest).sum(-1)
        second += pay.square() * (weight * (score.square() * all_others + (square * rest).sum(1))).sum(-1)
    mean = first / sigma
    variance = second / sigma**2 - mean.square().sum(-1)
    return Moments(mean, variance, torch.zeros_like(mean), torch.zeros_like(variance))


def _density(noise: Noise, z: Tensor) -> Tensor:
    if isinstance(noise, Gaussian):
        return torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    if isinstance(noise, Gumbel):
        u = noise.score(z) + 1.0
        return u * torch.exp(-u)
    raise TypeError(f"the moments under {noise!r} are not known: use Gaussian(), Gumbel(), or gradient_moments")


def _tail(noise: Noise, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """P(Z > t), E[∇ν(Z); Z > t], which is the density at t, and E[∇ν(Z)²; Z > t]."""
    density = _density(noise, t)
    if isinstance(noise, Gaussian):
        survival = torch.special.ndtr(-t)
        return survival, density, t * density + survival
    u = noise.score(t) + 1.0
    survival = torch.exp(-u)
    return survival, density, torch.where(u < 1e6, (u.square() + 1.0) * survival, 0.0)


def gradient_moments(
    layer: SolverLayer,
    theta: Float[Tensor, "*dims"],
    gradient: Float[Tensor, "*dims"],
    estimates: int = 1000,
    instances: Instances | None = None,
) -> Moments:
    """Those of a layer as it is, from independent estimates of its backward pass, with standard errors.

    Args:
        layer: with its temperature, samples and noise.
        theta: one row, or a batch of them.
        gradient: ∂L/∂y, of θ's shape.
        estimates: how many, at least 2. A layer without noise gives the same each time: variance 0.

    Raises:
        ValueError: for fewer than two estimates.
    """
    if estimates < 2:
        raise ValueError(f"estimates={estimates} must be at least 2: one has no spread")
    copies = theta.detach().expand(estimates, *theta.shape).clone().requires_grad_()
    rows = theta.ndim - len(layer.solver.shape)
    given = _bridge.repeat(as_instances(instances), estimates)
    (found,) = torch.autograd.grad(layer(copies, given), copies, gradient.expand_as(copies))
    mean = found.mean(0)
    far = (found - mean).square().flatten(1 + rows).sum(-1)  # shape: (estimates, *batch)
    scale = 1.0 / math.sqrt(estimates)
    return Moments(mean, far.sum(0) / (estimates - 1), found.std(0) * scale, far.std(0) * scale)
