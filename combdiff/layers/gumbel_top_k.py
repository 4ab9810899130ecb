"""Sampling of k-subsets by Gumbel noise, with the gradient of a relaxation."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.autograd import with_vjp
from combdiff.layer import SolverLayer
from combdiff.needs import Needs
from combdiff.noise import Gumbel
from combdiff.oracle import Costs, OnFailure, Report
from combdiff.temperature import Auto, Schedule, Temperature
from combdiff_solvers.protocol import Sets, Solver


class GumbelTopK(SolverLayer):
    """A random k-subset, drawn by Gumbel noise on the costs; backward the Jacobian of its relaxation.

    For a solver of k-subsets (`TopK`, `KSubset`), costs c to be minimised, and minus Gumbel noise Z on each,

        y = y(c + Z)          r = −(c + Z)          α¹ = r,  pʲ = softmax(αʲ/τ),  αʲ⁺¹ = αʲ + log(1 − pʲ)

    y is a sample without replacement from the weights exp(−c) (Plackett–Luce), and the relaxation Σⱼ₌₁ᵏ pʲ tends to y
    for τ → 0. For k = 1 it is the Gumbel-softmax. k is the sum of each solution. The gradient is that of the sample, by
    reparametrisation: of low variance, biased for τ > 0.

    Scale: the noise has the size 1, so that θ is in units of its own (log weights); τ alone changes how soft the
    gradient is.

    Args:
        solver: what solves a batch of rows; every solution has to be the k entries of least cost. With instances that
            exclude entries, those that are seen to be excluded (cheap, and not chosen) get no gradient.
        tau: the temperature τ of the relaxation, a positive float, a schedule or "auto", in units of θ.
        hard: whether y is the subset itself (straight-through); else it is the relaxation, as in the paper, which sums
            to k, but of which single entries may be above 1.
        generator: source of the noise; torch's global one if None.
        on_failure: "raise" or "mask", see `SolverLayer`.

    Raises:
        ValueError: for an argument out of range; in the forward pass for a solution that is no such subset.

    Sources: Xie & Ermon (2019), "Reparameterizable subset sampling via continuous relaxations", algorithm 2; Kool, van
    Hoof & Welling (2019), "Stochastic beams and where to find them" (the samples).
    Not for: second derivatives (refused); solvers other than of k-subsets: see `StraightThrough`.

    >>> import combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> layer = GumbelTopK(combdiff.solvers.TopK(3, 2))
    >>> y = layer(torch.tensor([1.0, 2.0, 3.0]).expand(10_000, 3))
    >>> y.mean(0).round(decimals=1)  # Plackett–Luce: the third is first or second
    tensor([0.3000, 0.8000, 0.9000])
    """

    tau = Temperature()
    temperature = tau
    samples = 1
    theta_sets_unit = True
    noise_sets_unit = True
    needs = Needs(
        negative=True,
        no_potential="its gradient is that of a relaxation, along samples",
        solver="its solutions are the k entries of least cost",
        bias="for τ > 0: that of a relaxation of the sample; of low variance",
        scale="the noise: θ are log weights",
        use="random subsets: which features, examples or documents to take",
    )

    def __init__(
        self,
        solver: Solver,
        tau: float | Literal["auto"] | Schedule = 1.0,
        hard: bool = True,
        generator: torch.Generator | None = None,
        on_failure: OnFailure = "raise",
    ) -> None:
        super().__init__(solver, on_failure)
        self.tau, self.hard, self.generator = tau, hard, generator

    def sample_noise(self, costs: Costs) -> Float[Tensor, "1 b n"]:
        """Z for every row and entry."""
        return Gumbel().sample((1, *costs.shape), costs, self.generator)

    def _estimate(self, costs: Costs, instances: Sets) -> tuple[Costs, Report]:
        noise = self.sample_noise(costs)[0]
        point = costs.detach() + noise
        answer = self.oracle.solve(point, instances)
        closed, k = self._check(point, answer.y, answer.report, instances)
        keys = -point.masked_fill(closed, torch.inf)
        auto = self.tau if isinstance(self.tau, Auto) else None
        if auto is not None:
            auto.choose(self, self.as_theta(costs), instances=instances, again=True)
        tau, schedule = float(self.tau), self.adaptive(self.tau)
        soft = None if self.hard and schedule is None else relaxed_subset(keys, k, tau)
        if schedule is not None and schedule.signal != "moves":
            raise ValueError(f"signal={schedule.signal!r} needs more samples than one: use signal='moves'")
        if schedule is not None and soft is not None and len(soft):
            schedule.feed(float(((soft - answer.y).abs().sum(-1) / (2.0 * k.clamp(min=1))).mean()), len(soft))

        def vjp(gradient: Tensor, costs: Tensor, keys: Tensor) -> Tensor:
            if auto is not None:
                self.ask(auto, costs, gradient, instances)
            with torch.enable_grad():
                point = keys.detach().requires_grad_()
                value = relaxed_subset(point, k, tau)
                if not value.requires_grad:  # no row has a subset
                    return torch.zeros_like(gradient)
                (slope,) = torch.autograd.grad(value, point, gradient.detach())
            return -slope

        value = answer.y.clone() if self.hard or soft is None else soft
        return with_vjp(value, vjp, costs, keys, linear=False), answer.report

    def _check(self, point: Costs, y: Costs, report: Report, instances: Sets) -> tuple[Tensor, Tensor]:
        """Which entries are excluded, and k of each row."""
        chosen = y == 1.0
        last = point.masked_fill(~chosen, -torch.inf).amax(-1, keepdim=True)
        closed = ~chosen & (point < last)
        wrong = (~chosen & (y != 0.0)) | closed if instances is None else ~chosen & (y != 0.0)
        wrong = wrong & report.solved.to(wrong.device)[:, None]
        if bool(wrong.any()):
            raise ValueError(
                f"a solution of {type(self.solver).__name__} is not the k entries of least cost: GumbelTopK is for "
                "solvers of k-subsets, use StraightThrough(Perturbed(...)) for others"
            )
        return closed, chosen.sum(-1)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, tau={self.tau}, hard={self.hard}"


def relaxed_subset(keys: Float[Tensor, "b n"], k: Tensor, tau: float) -> Float[Tensor, "b n"]:
    """Σⱼ₌₁ᵏ pʲ of each row, k by k: softmaxes of which each leaves out what the ones before took.

    >>> relaxed_subset(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([2]), 0.01).round(decimals=3)
    tensor([[1., 1., 0.]])
    """
    total, least = torch.zeros_like(keys), torch.finfo(keys.dtype).eps
    for j in range(int(k.max()) if k.numel() else 0):
        share = torch.softmax(keys / tau, -1)
        total = total + share.masked_fill((k <= j)[:, None], 0.0)
        keys = keys + torch.log1p(-share.clamp(max=1.0 - least))
    return total
