"""The score function estimator (REINFORCE)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.autograd import not_compiled, with_gradient
from combdiff.layers.perturbed import Perturbed
from combdiff.noise import Name, Noise, Perturbation
from combdiff.oracle import OnFailure
from combdiff.temperature import Schedule
from combdiff_solvers.protocol import Instances, Solver, as_instances

Baseline = Literal["leave-one-out", "solution", "none"]


class ScoreFunction(Perturbed):
    """`Perturbed`, with the expected value of any loss of its solutions: E[L(y(c + σZ))], and its unbiased gradient.

    For costs c to be minimised, noise Z of density ∝ exp(−ν(z)) and M samples with losses L_m = L(y(c + σ Z_m)),

        E[L] ≈ mean_m L_m          gradient  1/(Mσ) Σ_m (L_m − b) ∇ν(Z_m)

    L is called on feasible solutions, and need be neither linear nor differentiable: a simulation, or a metric. (The
    layer's forward pass is the mean solution, whose gradient is right for losses linear in y.) The baseline b leaves
    the gradient unbiased:

        leave-one-out    the mean of the other M − 1 losses (M > 1)
        solution         L(y(c)): one more solve a row and sample of L (self-critical)
        none             0

    Args:
        solver, sigma, samples, noise, mode, generator, on_failure: see `Perturbed`; any noise that has a score.
        baseline: "leave-one-out", "solution" or "none".

    Raises:
        ValueError: for an argument out of range; "leave-one-out" with one sample.

    Sources: Williams (1992), "Simple statistical gradient-following algorithms"; Rennie et al. (2017),
    "Self-critical sequence training"; Kool, van Hoof & Welling (2019), "Buy 4 REINFORCE samples, get a baseline for
    free!". For solvers: Silvestri et al. (2023), "Score function gradient estimation to widen the applicability of
    decision-focused learning".
    Not for: second derivatives (refused); many entries with few samples: its variance grows with their number.

    >>> import combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> layer = ScoreFunction(combdiff.solvers.TopK(3), sigma=1.0, samples=20_000, noise="gumbel")
    >>> theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> loss = layer.expected_loss(lambda y: (y[..., 2] == 1).float(), theta)  # P(y₂ = 1): a softmax
    >>> loss.backward()
    >>> round(loss.item(), 1), bool((theta.grad - torch.tensor([-0.0599, -0.1628, 0.2227])).abs().max() < 0.02)
    (0.7, True)
    """

    needs = replace(
        Perturbed.needs,
        bias="none, for the mean loss of solutions under noise; of high variance, the more entries the more",
        use="losses of whole solutions that have no gradient: a simulation, a metric",
    )

    def __init__(
        self,
        solver: Solver,
        sigma: float | Literal["auto"] | Schedule = 1.0,
        samples: int = 8,
        noise: Name | Noise = "gaussian",
        mode: Literal["additive", "multiplicative"] | Perturbation = "additive",
        baseline: Baseline = "leave-one-out",
        generator: torch.Generator | None = None,
        on_failure: OnFailure = "raise",
    ) -> None:
        if baseline not in get_args(Baseline):
            raise ValueError(f"baseline={baseline!r} is none of {', '.join(map(repr, get_args(Baseline)))}")
        one = baseline == "leave-one-out"
        super().__init__(solver, sigma, samples, noise, mode, False, one, generator=generator, on_failure=on_failure)
        self.baseline = baseline
        if baseline == "solution":
            self.needs = replace(self.needs, forward="M, and 1 for the expected loss")

    @not_compiled
    def expected_loss(
        self,
        loss: Callable[[Tensor], Tensor],
        theta: Float[Tensor, "*dims"],
        instances: Instances | None = None,
    ) -> Float[Tensor, "*batch"]:
        """E[L(y)] of each row, shape (*batch), differentiable by θ; NaN, without a gradient, in rows that failed.

        Args:
            loss: from solutions (samples, *batch, *solver.shape) to the loss of each, (samples, *batch). No gradient
                flows into it. In rows that failed its argument is zero.
            theta: (*batch, *solver.shape).
            instances: the feasible set of each row.

        Raises:
            ValueError: for losses of another shape, or that are not finite; and as in `forward`.
            SolverError: as in `forward`.
        """
        costs, given = self.costs(theta), as_instances(instances)
        point, sigma = costs.detach(), self._strength(costs, given)
        noise = self.sample_noise(point)
        answer, _ = self._solve(point, noise, sigma, given)
        schedule = self.adaptive(self.sigma)
        if schedule is not None and schedule.signal == "moves":
            self._measure_moves(schedule, point, answer, sigma, given)
        y, report = answer.y, answer.report
        if self.baseline == "solution":
            exact = self.oracle.solve(point, given)
            y, report = torch.cat([y, exact.y[None]]), report.worst(exact.report)
        self.oracle.record(report, theta)
        with torch.no_grad():
            losses = loss(y.reshape(-1, *theta.shape).to(theta.dtype))
        batch = theta.shape[: theta.ndim - len(self.solver.shape)]
        if losses.shape != (len(y), *batch):
            raise ValueError(
                f"loss gave {tuple(losses.shape)}, but must give one number for each of {(len(y), *batch)}"
            )
        gain = losses.to(point.dtype).reshape(len(y), len(point), 1)
        if report.failed is not None:
            gain = gain.masked_fill(report.failed.to(gain.device)[:, None], 0.0)
        if not bool(gain.isfinite().all()):
            raise ValueError("loss gave a NaN or infinite number for a solution: it must be finite for each")
        value = gain[: self.samples].mean(0).squeeze(-1)
        if self.baseline == "solution":
            gain = gain[:-1] - gain[-1]
        value = with_gradient(value, self.by_score(gain, noise, point, sigma, schedule), costs)
        if report.failed is not None:
            value = value.masked_fill(report.failed.to(value.device), torch.nan)
        return value.reshape(batch).to(theta.dtype)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, baseline={self.baseline!r}"
