"""Implicit maximum likelihood estimation (I-MLE)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.layers.targets import Answers, Step, TargetLayer
from combdiff.noise import NOISES, Name, Noise, named, whole
from combdiff.oracle import Costs, OnFailure
from combdiff.temperature import Schedule, Temperature
from combdiff_solvers.protocol import Solver


class ImplicitMLE(TargetLayer):
    """Perturb-and-MAP forward; backward the difference to the solutions of a target distribution, under the same noise.

    For costs c to be minimised, an incoming g = ∂L/∂y, and M samples of noise Z,

        y = mean_m y(c + σ Z_m)          ∂L/∂c = 1/λ · mean_m [ y(c + λ g + σ Z_m) − y(c + σ Z_m) ]

    so that the target distribution is that of the costs c + λ g. Its mean is the finite difference of E[y] along g,
    and tends to the gradient of the smoothed layer for λ → 0: over one-hot vectors with Gumbel noise it is
    (softmax(−(c + λg)/σ) − softmax(−c/σ)) / λ exactly. Without noise it is `Interpolation`. Common noise keeps its
    variance low, and no score is needed.

    The paper leaves the factor 1/λ out; with it a change of λ is none of the step size.

    Scale: σ is in units of θ, and sets its scale; λ is to be tuned along with it. Costs may become negative, forward
    and backward: `ShortestPath` then needs `negative="clamp"` (or "exact").

    Args:
        solver: what solves a batch of rows.
        lam: the temperature λ, a positive float, a schedule or "auto", in units of θ² over units of the loss.
        sigma: the strength of the noise (its temperature in the paper), a positive float or a schedule, in units of θ.
        samples: M, solves a row, forward and backward each.
        noise: "sum-of-gamma" (with k = 5: give `combdiff.noise.SumOfGamma(k)` for solutions of k ones), "gumbel", or
            any other of `combdiff.noise`.
        generator: source of the noise; torch's global one if None.
        on_failure: "raise" or "mask", see `SolverLayer`; rows whose second solves fail get no gradient.

    Raises:
        ValueError: for an argument out of range.

    Source: Niepert, Minervini & Franceschi (2021), "Implicit MLE: backpropagating through discrete exponential family
    distributions", algorithm 1, with the target distribution by perturbation-based implicit differentiation.
    Not for: second derivatives (refused).

    >>> import combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> layer = ImplicitMLE(combdiff.solvers.TopK(3), lam=0.5, samples=10_000, noise="gumbel")
    >>> theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> layer(theta)[0].backward()
    >>> change = torch.softmax(theta, 0) - torch.softmax(theta - 0.5 * torch.eye(3)[0], 0)
    >>> bool((theta.grad - change / 0.5).abs().max() < 0.03)
    True
    """

    degree = None
    needs = replace(
        TargetLayer.needs,
        forward="M",
        backward="M",
        bias="for λ > 0: a difference of mean solutions, under the same noise",
        scale="σ",
        use="as `Perturbed`, of less variance, for twice the solves",
    )
    lam: Any = Temperature()
    temperature: Any = lam
    sigma: Any = Temperature()

    def __init__(
        self,
        solver: Solver,
        lam: float | Literal["auto"] | Schedule = 1.0,
        sigma: float | Schedule = 1.0,
        samples: int = 1,
        noise: Name | Noise = "sum-of-gamma",
        generator: torch.Generator | None = None,
        on_failure: OnFailure = "raise",
    ) -> None:
        super().__init__(solver, on_failure)
        if isinstance(sigma, str):
            raise ValueError(f"sigma={sigma!r} must be a positive number or a schedule: lam alone is measured")
        self.samples = whole("samples", samples)
        self.noise = named("noise", noise, Noise, NOISES)  # type: ignore[type-abstract]
        self.temperature, self.sigma, self.generator = lam, sigma, generator

    def sample_noise(self, costs: Costs) -> Float[Tensor, "m b n"]:
        """σ Z for every sample, row and entry."""
        return self.noise.sample((self.samples, *costs.shape), costs, self.generator).mul_(float(self.sigma))

    def targets(self, costs: Answers, gradient: Costs, step: Step, y: Answers) -> Answers:
        """c + λ g + σ Z."""
        return costs + step * gradient

    def difference(self, y: Answers, moved: Answers, step: Step) -> Costs:
        """The mean difference of solutions, over λ."""
        return (moved - y).mean(0) / step

    def gained(self, gradient: Costs, y: Answers, moved: Answers) -> tuple[Costs, Costs, Costs]:
        """Those of the means, since a gain is linear in y."""
        return gradient, y.mean(0), moved.mean(0)

    def extra_repr(self) -> str:
        own = f"sigma={self.sigma}, samples={self.samples}, noise={self.noise}"
        return f"{super().extra_repr()}, temperature={self.temperature}, {own}"
