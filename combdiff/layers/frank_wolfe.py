"""Regularized argmin over the hull of the solutions, by Frank–Wolfe: SparseMAP and its like for any solver."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff import _bridge
from combdiff.autograd import with_vjp
from combdiff.errors import SolverError
from combdiff.layer import SmoothedLayer
from combdiff.layers.active_set import ActiveSet
from combdiff.layers.regularizers import REGULARIZERS, Name, Regularizer
from combdiff.needs import Needs
from combdiff.noise import named, whole
from combdiff.oracle import FEASIBLE, Answer, Costs, OnFailure, Report
from combdiff.temperature import Auto, Schedule, Temperature
from combdiff_solvers.protocol import Sets, Solver, Status

DONE = 1e-11  # of the size of its sums: a smaller gap is rounding


class FrankWolfe(SmoothedLayer):
    """The point of the hull of all solutions that minimises the cost and a convex Ω, with its exact Jacobian.

    For costs c to be minimised, over the hull conv(Y) of the solutions,

        y_ε(c) = argmin ⟨c, μ⟩ + ε Ω(μ)

    without noise: a weighted mean of few solutions. Ω = ½‖·‖² gives SparseMAP, the projection of −c/ε onto the hull,
    sparse; entropy over one-hot vectors gives softmax(−c/ε).

    Each round solves for the costs c + ε∇Ω(μ), and adds the solution v to an active set over whose hull the objective
    is then minimised exactly, with points dropped as their weight falls to zero (fully corrective Frank–Wolfe; for
    ½‖·‖² it is Wolfe's method, which ends). The duality gap ⟨c + ε∇Ω(μ), μ − v⟩ bounds how far μ is from optimal. Rows
    that are done are not solved again.

    The backward pass solves nothing: with A the directions within the face that the active points span,

        ∂y/∂c = −A (Aᵀ ε∇²Ω(μ) A)⁻¹ Aᵀ

    At a c where y_ε lies in a larger face than its points span, as where all costs are equal, it is the part within
    their face.

    With ½‖·‖² and solutions that are not negative, positive costs stay positive, as a shortest path needs; entropy
    makes costs negative. Its potential, the least value, is a function, without noise: a Fenchel–Young loss of it is
    exact, at least 0, and 0 where y_ε(c) = ȳ.

    Scale: ε is in units of θ (½‖·‖²: θ per unit of y), and sets its scale.

    Args:
        solver: what solves a batch of rows. Its own term h(y) counts as its lower convex hull.
        epsilon: the temperature ε, a positive float, a schedule or "auto".
        omega: "quadratic", "entropy" (solutions not negative), or any `combdiff.layers.regularizers.Regularizer`.
        max_solves: rounds of a row; one that has more to do is FEASIBLE, and its message has the gap.
        on_failure: "raise" or "mask", see `SolverLayer`.

    Raises:
        ValueError: for an argument out of range.

    Sources: Niculae, Martins, Blondel & Cardie (2018), "SparseMAP: differentiable sparse structured inference"
    (active set, backward pass); Dalle et al. (2022), "Learning with combinatorial optimization layers", section 3.3;
    Lacoste-Julien & Jaggi (2015), "On the global linear convergence of Frank–Wolfe optimization variants".
    Not for: second derivatives (refused); slow solvers, since a row takes about as many solves as its mean has
    solutions, up to the dimension and 1 where ε is large.

    >>> import combdiff.solvers
    >>> layer = FrankWolfe(combdiff.solvers.TopK(3), epsilon=2.0)
    >>> theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = layer(theta)  # sparsemax(θ/2)
    >>> y.detach()
    tensor([0.0000, 0.2500, 0.7500])
    >>> y[2].backward()
    >>> theta.grad + 0.0
    tensor([ 0.0000, -0.2500,  0.2500])
    """

    epsilon = Temperature()
    temperature = epsilon

    def __init__(
        self,
        solver: Solver,
        epsilon: float | Literal["auto"] | Schedule = 1.0,
        omega: Name | Regularizer = "quadratic",
        max_solves: int = 1000,
        on_failure: OnFailure = "raise",
    ) -> None:
        super().__init__(solver, on_failure)
        self.omega = named("omega", omega, Regularizer, REGULARIZERS)  # type: ignore[type-abstract]
        self.epsilon, self.max_solves = epsilon, whole("max_solves", max_solves)
        self.needs = replace(self.needs, negative=not self.omega.keeps_sign)

    needs = Needs(
        forward="rounds",
        solver="fast: about as many rounds a row as its mean has solutions",
        bias="none, and no noise",
        scale="ε",
        use="sparse means of few solutions; exact Fenchel–Young losses",
    )

    def _estimate(self, costs: Costs, instances: Sets) -> tuple[Costs, Report]:
        epsilon = self._strength(costs, instances)
        auto = self.epsilon if isinstance(self.epsilon, Auto) and self.epsilon.open else None
        found, report = self._minimise(costs.detach(), epsilon, instances)
        rows = torch.arange(len(costs), device=costs.device)
        mu = found.mean(rows)
        self._measure_moves(mu, found.first)

        def vjp(gradient: Tensor, costs: Tensor) -> Tensor:
            if auto is not None:
                self.ask(auto, costs, gradient, instances)
            inner = (found.points * gradient.detach().double()[:, None]).sum(-1)
            return found.mean(rows, found.solve(rows, mu, inner)).to(gradient.dtype)

        return with_vjp(mu.to(costs.dtype), vjp, costs, linear=False), report

    def cost_potential(self, costs: Costs, instances: Sets) -> tuple[Float[Tensor, " b"], Costs, Report]:
        found, report = self._minimise(costs, self._strength(costs, instances), instances)
        rows = torch.arange(len(costs), device=costs.device)
        mu = found.mean(rows)
        self._measure_moves(mu, found.first, only_held=True)  # else ε is the unit of θ, whose gradient is not lost
        return found.value(rows).to(costs.dtype), mu.to(costs.dtype), report

    def conjugate(self, y: Costs) -> Float[Tensor, " b"]:
        return float(self.epsilon) * self.omega.value(y)

    def _minimise(self, costs: Costs, epsilon: float, instances: Sets) -> tuple[ActiveSet, Report]:
        costs = costs.double()
        answer = self.oracle.solve(costs, instances)
        status, messages, first = answer.report.status.clone(), dict(answer.report.messages), answer.y
        found = ActiveSet(costs, first, _height(answer, costs), self.omega, epsilon)
        rows = torch.arange(len(costs), device=costs.device)[answer.report.solved.to(costs.device)]
        for round_ in range(self.max_solves):
            if not len(rows):
                break
            mu = found.mean(rows)
            slope = found.slope(rows, mu)
            try:
                answer = self.oracle.solve(slope, _bridge.take(instances, rows))
            except SolverError as error:
                raised = error.within(rows.tolist(), len(costs))
                if self.on_failure == "raise" or len(rows) == len(costs):
                    raise raised from error
                status[rows.cpu()] = int(Status.ERROR)  # each of the rows that are left, though not of the batch
                messages |= raised.reasons
                break
            status[rows.cpu()] = torch.maximum(status[rows.cpu()], answer.report.status)
            messages |= {int(rows[row]): text for row, text in answer.report.messages.items()}
            y, height = answer.y, _height(answer, slope)
            gap = (slope * (mu - y)).sum(-1) + (found.weights[rows] * found.heights[rows]).sum(-1) - height
            size = (slope.abs() * (mu.abs() + y.abs())).sum(-1) + height.abs()
            known = ((found.points[rows] == y[:, None]).all(-1) & found.active[rows]).any(1)
            more = (gap > DONE * size) & ~known & answer.report.solved.to(costs.device)
            if round_ == self.max_solves - 1:
                for row in rows[more].tolist():
                    status[row] = max(int(status[row]), FEASIBLE)
                    messages[row] = f"a gap is left after max_solves={self.max_solves} rounds: raise it, or epsilon"
                break
            rows, y, height = rows[more], y[more], height[more]
            if len(rows):
                found.add(rows, y, height)
                found.minimise(rows)
        return found, Report(status, messages)

    def _measure_moves(self, mu: Tensor, hard: Tensor, only_held: bool = False) -> None:
        """Give an adaptive schedule the share of y in which μ differs from the solver's answer."""
        schedule = self.adaptive(self.epsilon)
        if schedule is None or not len(mu) or (only_held and not schedule.hold):
            return
        if schedule.signal != "moves":
            raise ValueError(f"signal={schedule.signal!r} is of samples, and there are none: use signal='moves'")
        low = torch.minimum(hard, mu).amin(-1, keepdim=True)
        share = (mu - hard).abs().sum(-1) / (torch.maximum(mu, hard) - low).sum(-1).clamp(min=1e-12)
        schedule.feed(float(share.mean()), len(mu))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, epsilon={self.epsilon}, omega={self.omega}, max_solves={self.max_solves}"


def _height(answer: Answer, costs: Costs) -> Float[Tensor, " b"]:
    """h(y): what the value holds beside ⟨c, y⟩; rounding is none."""
    height = answer.value - (costs * answer.y).sum(-1)
    return height.masked_fill(height.abs() <= 1e-12 * (costs * answer.y).abs().sum(-1), 0.0)
