"""Adaptive implicit maximum likelihood estimation (AIMLE)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch

from combdiff.layers.implicit_mle import ImplicitMLE
from combdiff.layers.targets import Answers, Step
from combdiff.noise import Name, Noise
from combdiff.oracle import Costs, OnFailure
from combdiff.temperature import Schedule, Temperature, positive
from combdiff_solvers.protocol import Solver


class AdaptiveImplicitMLE(ImplicitMLE):
    """`ImplicitMLE` whose λ follows the sizes of c and g, and the number of entries that its gradient has.

    For costs c to be minimised and an incoming g = ∂L/∂y, each row has

        λ = α ‖c‖ / ‖g‖          (a row with c = 0 counts as one with ‖c‖ = 1)

    After each backward pass of the training (`layer.training`) α goes up by `rate` where the running mean of the
    non-zero entries of y(c + λg + σZ) − y(c + σZ), counted per sample and row, is below `target`, and else down by as
    much: λ is the least at which there is a gradient, since a large one is biased.

    `alpha` and the running mean are part of the `state_dict`. With a schedule for α, it alone says what α is.

    Scale: λ does not depend on the scale of c or of the loss, σ does, as of `ImplicitMLE`.

    Args:
        solver, sigma, samples, noise, generator, on_failure: see `ImplicitMLE`.
        alpha: the temperature α, a positive float where it begins, a schedule or "auto". It has no unit.
        target: non-zero entries per sample and row that are aimed at. Two solutions that differ do so in two entries
            or more; 1 is then a gradient in half of the samples at most.
        rate: the change of α after a backward pass, and the least α.
        decay: of the running mean, from 0 (the last batch alone) to below 1.

    Raises:
        ValueError: for an argument out of range.

    Source: Minervini, Franceschi & Niepert (2023), "Adaptive perturbation-based gradient estimation for discrete latent
    variable models", equation 8 and its algorithm; here on one side, and with λ for each row.
    Not for: second derivatives (refused).

    >>> import combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> layer = AdaptiveImplicitMLE(combdiff.solvers.TopK(3), alpha=0.01, rate=0.01, sigma=0.01)
    >>> theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> for _ in range(50):
    ...     layer(theta)[2].backward()  # c + λg has to move the third cost past the second
    >>> 0.2 < layer.alpha < 0.3  # λ = α √14 ≥ 1
    True
    """

    needs = replace(ImplicitMLE.needs, use="as `ImplicitMLE`, where no λ is known: it finds its own")
    alpha: Any = Temperature()
    temperature: Any = alpha
    lam: Any = None

    def __init__(
        self,
        solver: Solver,
        alpha: float | Literal["auto"] | Schedule = 1.0,
        sigma: float | Schedule = 1.0,
        samples: int = 1,
        noise: Name | Noise = "sum-of-gamma",
        target: float = 1.0,
        rate: float = 1e-3,
        decay: float = 0.9,
        generator: torch.Generator | None = None,
        on_failure: OnFailure = "raise",
    ) -> None:
        super().__init__(solver, alpha, sigma, samples, noise, generator, on_failure)
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay={decay!r} must be at least 0 and below 1")
        self.target, self.rate, self.decay = positive("target", target), positive("rate", rate), float(decay)
        self.mean = self.target

    def step(self, temperature: float, costs: Costs, gradient: Costs) -> Step:
        """α ‖c‖ / ‖g‖, of each row."""
        sizes = [torch.linalg.vector_norm(part, dim=-1, keepdim=True) for part in (costs.detach(), gradient)]
        size, slope = (one.masked_fill(one == 0.0, 1.0) for one in sizes)
        return temperature * size / slope

    def difference(self, y: Answers, moved: Answers, step: Step) -> Costs:
        """The mean difference of solutions, over λ; adapt α."""
        if self.training and isinstance(self.alpha, float) and y.numel():
            count = float((moved != y).sum()) / (y.numel() / y.shape[-1])
            self.mean = self.decay * self.mean + (1.0 - self.decay) * count
            self.alpha = max(self.rate, self.alpha + (self.rate if self.mean < self.target else -self.rate))
        return super().difference(y, moved, step)

    def get_extra_state(self) -> dict[str, float | None]:
        """α, where it is no schedule, and the running mean."""
        return {"alpha": self.alpha if isinstance(self.alpha, float) else None, "mean": self.mean}

    def set_extra_state(self, state: dict[str, float | None]) -> None:
        """Go on from a checkpoint."""
        if state["alpha"] is not None and isinstance(self.alpha, float):
            self.alpha = state["alpha"]
        self.mean = positive("mean", state["mean"] or self.target)
