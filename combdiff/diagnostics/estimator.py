"""A perturbed estimator of a user's own, beside the reference."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from combdiff.diagnostics.audit import Finding
from combdiff.layers.perturbed import Perturbed
from combdiff_solvers.protocol import Solver

ERRORS = 5.0  # standard errors from which on a difference is one


def audit_estimator(
    estimator: Callable[[Tensor, float], Tensor],
    solver: Solver,
    theta: Tensor,
    sigma: float | None = None,
    *,
    noise: Literal["gaussian", "gumbel"] = "gaussian",
    samples: int = 1,
    estimates: int = 20_000,
) -> list[Finding]:
    """Compare E[y(θ + σZ)] and its Jacobian, as a user computes them, with those of `Perturbed`.

    The gradient of a random ⟨g, y⟩ is regressed on the reference: a slope of σ is a missing 1/σ, one of 1/σ a doubled
    one, M a missing 1/M, −1 a wrong sign. The slope has to be within five standard errors of 1.

    Args:
        estimator: estimator(theta, sigma) is the smoothed y, differentiable, for a batch of rows with noise of their
            own: (rows, *solver.shape), additive noise.
        solver: the same solver.
        theta: one row, of the solver's shape, with several solutions near the best.
        sigma: far from 1, where a missing 1/σ shows; by default half the spread of θ, or a quarter where that is near
            1.
        noise: as of `Perturbed`.
        samples: M of the estimator; it matters for a missing 1/M alone.
        estimates: copies of the row that are averaged.

    Raises:
        ValueError: for a σ within 10 % of 1.

    >>> from combdiff.solvers import TopK
    >>> solver = TopK(4)
    >>> theta = torch.tensor([0.0, 0.3, 0.6, 0.9])
    >>> audit_estimator(lambda theta, sigma: Perturbed(solver, sigma)(theta), solver, theta)
    []
    """
    if sigma is None:
        sigma = 0.5 * (float(theta.detach().std(correction=0)) or 1.0)
        sigma = sigma / 2 if abs(math.log(sigma)) < 0.3 else sigma
    if abs(math.log(sigma)) < 0.1:
        raise ValueError(f"sigma={sigma} is so near 1 that a missing 1/sigma does not show")
    draw = torch.Generator(device=theta.device).manual_seed(0)
    direction = torch.randn(theta.shape, generator=draw, device=theta.device, dtype=theta.dtype)
    reference = Perturbed(solver, sigma, 16, noise, generator=draw)
    shape = (estimates, *theta.shape)

    def moments(function: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        rows = theta.detach().expand(shape).clone().requires_grad_()
        y = function(rows)
        (gradient,) = torch.autograd.grad((y * direction).sum(), rows)
        return y.detach().double().flatten(1), gradient.double().flatten(1)

    true_y, true_gradient = moments(reference)
    y, gradient = moments(lambda rows: estimator(rows, sigma))
    findings = []
    far = (y.mean(0) - true_y.mean(0)).abs()
    error = ((y.var(0) + true_y.var(0)) / estimates).sqrt() + 1e-9
    if bool((far > ERRORS * error).any()):
        findings.append(
            Finding(
                "other mean",
                "estimator",
                f"its mean differs from E[y] by {float(far.max()):.3g} in an entry",
                "Look at the scale and the sign of the noise: θ + σZ, and for costs minus a Gumbel variable",
            )
        )
    expected = true_gradient.mean(0)
    along = (gradient * expected).sum(-1) / expected.square().sum()
    slope = float(along.mean())
    base = ((true_gradient * expected).sum(-1) / expected.square().sum()).std()
    doubt = ERRORS * math.hypot(float(along.std()), max(1.0, abs(slope)) * float(base)) / math.sqrt(estimates) + 1e-9
    across = gradient.mean(0) - slope * expected
    spread = (gradient.var(0) + slope**2 * true_gradient.var(0)).sum().div(estimates).sqrt()
    if float(across.norm()) > ERRORS * float(spread) + 1e-9:
        findings.append(
            Finding(
                "other direction",
                "estimator",
                "its mean gradient has another direction than the Jacobian's",
                "Look at the score of the noise (∇ν(Z), which is Z for Gaussian noise alone), and at the baseline",
            )
        )
    elif abs(slope - 1.0) > doubt:
        findings.append(_explain(slope, sigma, samples))
    return findings


def _explain(slope: float, sigma: float, samples: int) -> Finding:
    causes = {
        "missing 1/σ": (sigma, "Divide the gradient by σ"),
        "doubled 1/σ": (1.0 / sigma, "Divide the gradient by σ once"),
        "missing 1/M": (float(samples), "Divide the gradient by the number of samples"),
        "doubled 1/M": (1.0 / samples, "Divide the gradient by the number of samples once"),
    }
    size, sign = abs(slope), "" if slope >= 0 else "wrong sign"
    if size > 0.0:
        near = {name: abs(math.log(size / factor)) for name, (factor, _) in causes.items() if factor != 1.0}
        best = min(near, key=lambda name: near[name])
        if near[best] < 0.1 and near[best] < abs(math.log(size)):
            kind = f"{best}, {sign}".rstrip(", ")
            seen = f"its gradient is {slope:.3g} times the reference, with σ = {sigma:.3g}, M = {samples}"
            return Finding(kind, "estimator", seen, causes[best][1] + (" and negate it" if sign else ""))
    return Finding(
        sign or "other size",
        "estimator",
        f"its gradient is {slope:.3g} times the reference",
        "Negate it: look at the sense of the solver" if sign else "Look at the factors 1/σ and 1/M",
    )
