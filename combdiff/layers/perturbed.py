"""Perturbed optimizers: the mean solution under random noise on the costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.autograd import not_compiled, with_vjp
from combdiff.layer import SmoothedLayer
from combdiff.layers.draws import Draws, sobol
from combdiff.needs import Needs
from combdiff.noise import NOISES, PERTURBATIONS, Additive, Name, Noise, Perturbation, named, whole
from combdiff.oracle import Answer, Costs, OnFailure, Report
from combdiff.temperature import Adaptive, Auto, Schedule, Temperature
from combdiff_solvers.protocol import Instances, Sets, Solver, as_instances

EQUAL = 1e-6  # entries of two solutions that are nearer than this are the same


class Perturbed(SmoothedLayer):
    """The mean of the solver's answers under noise on θ, with its Monte Carlo Jacobian.

    For costs c to be minimised and noise Z of density ∝ exp(−ν(z)), over M samples:

        additive         y_σ(c) = mean_m y(c + σ Z_m)               Jacobian  1/(Mσ) Σ_m y_m ⊗ ∇ν(Z_m)
        multiplicative   y_σ(c) = mean_m y(c ⊙ exp(σ Z_m − σ²/2))   the same, each column divided by its c

    Gaussian: ∇ν(z) = z. Gumbel: Z is minus a centred Gumbel variable, so that over one-hot vectors the layer
    is softmax(−c/σ) exactly, in value and Jacobian. All M solves of all rows go to the solver as one batch.

    Multiplicative noise keeps the sign of every cost, as a shortest path needs; additive noise can make a cost
    negative. The multiplicative Jacobian divides by σc: an entry of c that is zero or next to it (at most √eps of the
    row's largest |c|: 3.5e-4 in float32, 1.5e-8 in float64) gets the gradient 0, and `stats.no_gradient` counts it.
    The forward and the Fenchel–Young loss divide by nothing.

    Scale: multiplicative noise is homogeneous (degree 0; the Fenchel–Young loss is of degree 1, its minimum is c → 0):
    nothing holds the size of c in training. Fenchel–Young training shrank costs from 0.68 to their floor of 0.015, and
    reached 39–49 % optimal paths where additive noise reaches 91–97 %: divide c by its mean, or use additive noise.
    Additive noise has a scale of its own, σ: on raw costs its value hardly matters, since they grow with it; on costs
    divided by their mean it has to fit (at σ = 0.3, 66–76 % optimal paths, 20 points below raw costs).

    Args:
        solver: what solves a batch of rows.
        sigma: the temperature σ, a positive float, a schedule or "auto", in units of θ (additive) or of log θ
            (multiplicative). Large is smooth and biased, small is sharp with a noisy gradient.
        samples: M, solves a row.
        noise: "gaussian"; additive only: "gumbel", "laplace", "logistic", "sum-of-gamma" (without a gradient of the
            layer, for Fenchel–Young losses), or any `combdiff.noise.Noise`.
        mode: "additive", "multiplicative", or any `combdiff.noise.Perturbation`.
        antithetic: sample pairs Z, −Z (M even, symmetric noise only): less variance in y, and so in the
            Fenchel–Young gradient E[y] − ȳ (by a factor of 1.3 to 4). From about M = 4 on the variance of the *layer's*
            gradient is above that of the default, independent samples with leave-one-out: at M = 16, 12.5 against 6.5
            (linear), 18.3 against 12.0 (top-k), 78 against 51 (ranking).
        variance_reduction: subtract from each sample the mean of the others, which leaves the gradient unbiased. None:
            where it applies (M > 1, not antithetic: pairs cancel every baseline already).
        generator: source of the noise; torch's global one if None.
        on_failure: "raise" or "mask", see `SolverLayer`.
        scrambles: R: instead of independent samples, R independently scrambled Sobol sequences of M/R points in each
            row. Points of one sequence depend on each other, so that `variance_reduction` is by the mean of the other
            sequences, and the spread over the R means tells the error. At most 21,201 entries a row. Two of them have
            less variance than the default in most problems, and take more time: worth it where a solve takes long (the
            figures: docs/perturbed.md).

    Raises:
        ValueError: for an argument out of range, or two that exclude each other.

    Sources: Berthet et al. (2020), "Learning with differentiable perturbed optimizers", proposition 3.1; Dalle et al.
    (2022), "Learning with combinatorial optimization layers", section 3.2 (multiplicative).
    Not for: second derivatives (refused), or σ far below the gaps between solutions, where no sample ever moves.

    >>> import combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> layer = Perturbed(combdiff.solvers.TopK(3), sigma=1.0, samples=10_000, noise="gumbel")
    >>> theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = layer(theta)
    >>> bool((y - torch.softmax(theta, 0)).abs().max() < 0.02)
    True
    """

    sigma = Temperature()
    temperature = sigma
    needs = Needs(
        forward="M",
        negative=True,
        solver='`mode="multiplicative"` keeps the sign of costs',
        bias="none, for the mean solution under noise; variance ∝ 1/M",
        scale="σ; of multiplicative noise nothing (degree 0, gradient −1)",
        use="a loss of mean solutions; `FenchelYoungLoss` of it, where solutions are known",
    )

    def __init__(
        self,
        solver: Solver,
        sigma: float | Literal["auto"] | Schedule = 1.0,
        samples: int = 1,
        noise: Name | Noise = "gaussian",
        mode: Literal["additive", "multiplicative"] | Perturbation = "additive",
        antithetic: bool = False,
        variance_reduction: bool | None = None,
        generator: torch.Generator | None = None,
        on_failure: OnFailure = "raise",
        scrambles: int | None = None,
    ) -> None:
        super().__init__(solver, on_failure)
        samples = whole("samples", samples)
        self.noise = named("noise", noise, Noise, NOISES)  # type: ignore[type-abstract]
        self.mode = named("mode", mode, Perturbation, PERTURBATIONS)  # type: ignore[type-abstract]
        self.mode.check(self.noise)
        if antithetic and (not self.noise.symmetric or samples % 2):
            raise ValueError(
                f"antithetic pairs need symmetric noise and an even number of samples; got noise={noise!r}, "
                f"samples={samples}"
            )
        if scrambles is not None and (whole("scrambles", scrambles) > samples or samples % scrambles or antithetic):
            raise ValueError(f"samples={samples} must be a multiple of scrambles={scrambles}, without antithetic pairs")
        independent = scrambles or samples
        if variance_reduction and (independent == 1 or antithetic):
            raise ValueError(
                "variance_reduction subtracts the mean of the other, independent samples (scrambles): it needs more "
                "than one, samples > 1, and no antithetic pairs (which need no baseline); got "
                f"samples={samples}, scrambles={scrambles}, antithetic={antithetic}"
            )
        if scrambles is not None:
            self.noise.quantile(torch.tensor(0.5))  # noise without one says so
        self.sigma, self.samples, self.degree = sigma, samples, self.mode.degree
        self.antithetic, self.generator = antithetic, generator
        self.scrambles = 0 if scrambles is None else int(scrambles)
        self.variance_reduction = (
            independent > 1 and not antithetic if variance_reduction is None else variance_reduction
        )
        gradient_degree = None if self.degree is None else self.degree - 1
        self.needs = replace(self.needs, negative=not self.mode.keeps_sign, gradient_degree=gradient_degree)

    def _estimate(self, costs: Costs, instances: Sets) -> tuple[Costs, Report]:
        sigma = self._strength(costs, instances)
        auto = self.sigma if isinstance(self.sigma, Auto) and self.sigma.open else None
        noise, point = self.sample_noise(costs), costs.detach()
        answer, _ = self._solve(point, noise, sigma, instances)
        schedule = self.adaptive(self.sigma)
        if schedule is not None and schedule.signal == "moves":
            self._measure_moves(schedule, point, answer, sigma, instances)

        def vjp(gradient: Tensor, costs: Tensor, y: Tensor, noise: Tensor) -> Tensor:
            strength = sigma
            if auto is not None:  # the gradient at the new σ: that at the old one is larger by their ratio
                self.ask(auto, costs, gradient, instances)
                strength = float(auto)
                y = self._solve(costs.detach(), noise, strength, instances)[0].y
            gain = (y * gradient).sum(-1, keepdim=True)  # shape: (m, b, 1)
            return self.by_score(gain, noise, costs.detach(), strength, schedule)

        mean = answer.y.mean(0) if self.samples > 1 else answer.y[0].clone()
        return with_vjp(mean, vjp, costs, answer.y, noise), answer.report

    def by_score(
        self, gain: Float[Tensor, "m b 1"], noise: Float[Tensor, "m b n"], costs: Costs, sigma: float,
        schedule: Adaptive | None = None,
    ) -> Costs:  # fmt: skip
        """The gradient by c of E[gain], from gains under samples of noise: mean of (gain − baseline) ∇ν(Z) / σ."""
        scale = 1.0 / sigma / self.samples
        if self.variance_reduction and self.scrambles:  # less the mean of the other scrambles
            size = self.samples // self.scrambles
            parts = gain.reshape(self.scrambles, size, *gain.shape[1:])
            others = (gain.sum(0) - parts.sum(1)) / (self.samples - size)
            gain = (parts - others.unsqueeze(1)).flatten(0, 1)
        elif self.variance_reduction:
            gain = gain - gain.mean(0)  # with the factor M/(M−1), in the scale, this is leave-one-out
            scale = 1.0 / sigma / (self.samples - 1)
        if schedule is not None and schedule.signal == "snr":
            parts = gain * self.noise.score(noise)
            if self.scrambles:  # only these are independent
                parts = parts.reshape(self.scrambles, -1, *costs.shape).mean(1)
            schedule.feed(_signal_to_noise(parts), gain.shape[1])
        result, without = self.mode.divide((gain * self.noise.score(noise)).sum(0) * scale, costs)
        self.stats.no_gradient += without
        return result

    def cost_potential(self, costs: Costs, instances: Sets) -> tuple[Float[Tensor, " b"], Costs, Report]:
        sigma = self._strength(costs, instances)
        answer, weight = self._solve(costs, self.sample_noise(costs), sigma, instances)
        schedule = self.adaptive(self.sigma)
        if schedule is not None:
            if schedule.signal != "moves":
                raise ValueError(
                    f"signal={schedule.signal!r} is no guide where the gradient is zero because the answer is right, "
                    "as of a Fenchel–Young loss: use Adaptive(..., signal='moves')"
                )
            if schedule.hold:  # else σ is the unit of θ, whose gradient is not lost
                self._measure_moves(schedule, costs, answer, sigma, instances)
        gradient = answer.y if weight is None else weight * answer.y
        return _mean(answer.value), _mean(gradient), answer.report

    @not_compiled
    def draw(self, theta: Float[Tensor, "*dims"], instances: Instances | None = None) -> Draws:
        """Solve once, for the means at several θ or σ near these: see `Draws`.

        Raises:
            ValueError, SolverError: as in `forward`; for noise that is not additive.
        """
        if not isinstance(self.mode, Additive):
            raise ValueError(f"samples of {self.mode!r} cannot be weighed: use mode='additive'")
        costs, given = self.costs(theta).detach(), as_instances(instances)
        sigma, noise = self._strength(costs, given), self.sample_noise(costs)
        answer, _ = self._solve(costs, noise, sigma, given)
        self.oracle.record(answer.report, theta)
        return Draws(self, costs, sigma, noise, answer)

    def sample_noise(self, costs: Costs) -> Float[Tensor, "m b n"]:
        """Z for every sample, row and entry, on the device of the costs."""
        if self.scrambles:
            shape = (self.scrambles, self.samples // self.scrambles, *costs.shape)
            return self.noise.quantile(sobol(shape, costs.device, self.generator)).flatten(0, 1).to(costs.dtype)
        drawn = self.samples // 2 if self.antithetic else self.samples
        noise = self.noise.sample((drawn, *costs.shape), costs, self.generator)
        return torch.cat([noise, -noise]) if self.antithetic else noise

    def _solve(
        self, costs: Costs, noise: Float[Tensor, "m b n"], sigma: float, instances: Sets
    ) -> tuple[Answer, Float[Tensor, "m b n"] | None]:
        """Solve for every perturbed cost; also the derivatives of these costs, where they are not 1."""
        perturbed, weight = self.mode.perturb(costs, noise, sigma)
        return self.oracle.solve(perturbed, instances), weight

    def _measure_moves(self, schedule: Adaptive, costs: Costs, answer: Answer, sigma: float, instances: Sets) -> None:
        """Give a schedule the share of y in which two independent samples of a row differ."""
        one = answer.y
        near = self.samples // self.scrambles if self.scrambles else 1  # the next one that is independent
        if len(one) > near + self.antithetic:  # also the last of Z and the first of −Z
            other = one.roll(near, 0)
        else:
            other = self._solve(costs, self.noise.sample((1, *costs.shape), costs, self.generator), sigma, instances)[
                0
            ].y
            one = one[:1]
        differ = _difference(one, other)
        if answer.report.failed is not None:
            differ = differ[:, ~answer.report.failed.to(differ.device)]
        if differ.numel():
            schedule.feed(float(differ.mean()), differ.shape[1])

    def extra_repr(self) -> str:
        kinds = f"noise={self.noise}, mode={self.mode}"
        return f"{super().extra_repr()}, sigma={self.sigma}, samples={self.samples}, {kinds}"


def _difference(one: Float[Tensor, "m b n"], other: Float[Tensor, "m b n"]) -> Float[Tensor, "m b"]:
    """The share of the entries in which two solutions differ; 1 − |A ∩ B| / |A ∪ B| of sets, or of their complements.

    Whether they differ at all would be no measure: of long paths and rankings all samples do.
    """
    low = torch.minimum(one.amin(-1, keepdim=True), other.amin(-1, keepdim=True))
    high = torch.maximum(one.amax(-1, keepdim=True), other.amax(-1, keepdim=True))
    used = (torch.maximum(one, other) > low + EQUAL).sum(-1)
    unused = (torch.minimum(one, other) < high - EQUAL).sum(-1)
    return ((one - other).abs() > EQUAL).sum(-1).double() / torch.minimum(used, unused).clamp(min=1)


def _signal_to_noise(samples: Float[Tensor, "m b n"]) -> float:
    """‖mean‖ over the standard error of the mean, of a whole batch; NaN where no sample differs from another."""
    count = len(samples)
    if count < 2:
        raise ValueError("signal='snr' needs samples > 1: one sample has no spread")
    noise = float(samples.var(0).sum()) / count
    signal = float(samples.mean(0).square().sum()) - noise  # less what noise adds to the square, in the mean
    return max(signal, 0.0) ** 0.5 / noise**0.5 if noise > 0.0 else 0.0


def _mean(samples: Tensor) -> Tensor:
    return samples.mean(0) if len(samples) > 1 else samples[0]
