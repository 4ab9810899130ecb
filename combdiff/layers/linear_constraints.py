"""CombOptNet: an integer program whose constraints are learned."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.autograd import not_compiled, with_vjp
from combdiff.layers.program_layer import ProgramLayer
from combdiff.oracle import OnFailure
from combdiff.temperature import Schedule, Temperature
from combdiff_solvers.protocol import Solver, Status

FEASIBLE = 1e-6  # a point that misses a constraint by less holds it, as in the back ends
PerRow = Float[Tensor, " b"]


class LinearConstraints(ProgramLayer):
    """The solution of an integer program min ⟨c, y⟩ over A y ≤ b, lower ≤ y ≤ upper; gradients for A, b and c.

    The incoming gradient g = ∂L/∂y is split into steps between integer points. With the entries in falling order of
    |gⱼ|, those left out whose step −sign gⱼ leaves the box,

        −g = Σₖ λₖ Δₖ,        Δₖ = Σ_{j ≤ k} −sign(gⱼ) eⱼ,        λₖ = |gₖ| − |gₖ₊₁| ≥ 0

    and A, b and c are made to prefer each yₖ = y + Δₖ to y: the gradient is that of Σₖ λₖ Pₖ, with the distances
    dᵢ(y) = (⟨aᵢ, y⟩ − bᵢ) / ‖aᵢ‖ of a point from the border of constraint i,

        Pₖ = softminᵢ max(0, −dᵢ(y)) + max(0, ⟨c, Δₖ⟩)     where yₖ is feasible: cut y off, or make yₖ the cheaper
        Pₖ = Σᵢ max(0, dᵢ(yₖ))                             where it is not: move what yₖ violates

    softmin x = −τ log meanᵢ exp(−xᵢ/τ). Where no constraint is near, the gradient for c is −g, as that of `Identity`.

    The gradient does not see the scale of a constraint (aᵢ, bᵢ): divide by ‖aᵢ‖ before the layer, or it may drift.
    Where a program has no feasible point in training, there is nothing to compare with: `fallback` is a point that
    stands for the solution of such a row, so that A and b still learn to let in the points that the loss prefers.

    Args:
        solver: what solves rows with an A and b of their own: its instances are mappings of "A" and "b", and its
            attribute `bounds` holds the box (`combdiff.solvers.MixedIntegerPrograms`, by the MIP back ends).
        tau: the temperature τ of the softmin, a positive float or a schedule, in units of y. It decides how many of the
            constraints near y move; with one constraint it has no effect.
        fallback: whole numbers within the bounds, a number or one for each variable: y of a row whose program is
            infeasible, which `last.status` says; rows that failed otherwise are masked then. None: see `on_failure`.
        on_failure: "raise" or "mask": rows without a solution are NaN in y and have no gradient.

    Raises:
        TypeError: for anything but a solver with bounds.
        ValueError: for a fallback that does not fit.

    Source: Paulus, Rolínek, Musil, Amos & Martius (2021), "CombOptNet: fit the right NP-hard problem by learning
    integer programming constraints", section 3 (with A y + b ≤ 0, and means over k and the batch in place of sums).
    Not for: continuous variables, and second derivatives (refused).

    >>> from combdiff.solvers import MixedIntegerPrograms
    >>> layer = LinearConstraints(MixedIntegerPrograms(2, bounds=(0, 3)))
    >>> A, b = torch.tensor([[1.0, 1.0]], requires_grad=True), torch.tensor([2.5], requires_grad=True)
    >>> y = layer(torch.tensor([-2.0, -1.0]), A, b)
    >>> y.detach()
    tensor([2., 0.])
    >>> ((y - torch.tensor([3.0, 0.0])) ** 2).sum().backward()  # y should be (3, 0), which is infeasible
    >>> b.grad  # so b has to grow
    tensor([-1.4142])
    """

    needs = replace(
        ProgramLayer.needs,
        solver="an integer program of its own for each row (`MixedIntegerPrograms`)",
        bias="yes: of a surrogate that moves the constraints nearest to y, and those that better points violate",
        scale="nothing: divide each constraint by its norm; τ is in units of y",
        use="rules that are not known: it learns A and b of an integer program from its solutions",
    )
    tau = Temperature()
    temperature = tau

    def __init__(
        self,
        solver: Solver,
        tau: float | Schedule = 0.5,
        fallback: float | int | Tensor | None = None,
        on_failure: OnFailure = "raise",
    ) -> None:
        super().__init__(solver, on_failure if fallback is None else "mask")
        self.tau = tau
        self.fallback: Tensor | None = None
        if fallback is not None:
            point = torch.as_tensor(fallback, dtype=torch.float64).expand(solver.shape)
            if not ((point == point.round()) & (point >= self.lower) & (point <= self.upper)).all():
                raise ValueError(f"fallback={fallback!r} must be whole numbers within the bounds")
            self.fallback = point

    @not_compiled
    def forward(
        self, theta: Float[Tensor, "*batch n"], A: Float[Tensor, "*rows m n"], b: Float[Tensor, "*sides m"]
    ) -> Float[Tensor, "*batch n"]:
        """Solve for every row.

        Args:
            theta: (*batch, n), costs c (rewards, where the layer maximises).
            A: (*batch, m, n), or (m, n) for all rows.
            b: (*batch, m), or (m) for all rows.

        Returns:
            y, of the shape, dtype and device of θ.

        Raises:
            TypeError: as `Oracle.costs`.
            ValueError: for other shapes, or an entry that is not finite.
            SolverError: for rows without a solution, if `on_failure` is "raise" and there is no `fallback`.
        """
        costs = self.oracle.costs(theta)
        answer, packed = self.solve(costs, theta, {"A": A, "b": b})
        report, m, y = answer.report, b.shape[-1], answer.y
        failed = report.failed
        if failed is not None and self.fallback is not None:
            infeasible = (report.status == Status.INFEASIBLE).to(y.device)
            y = torch.where(infeasible.unsqueeze(-1), self.fallback.to(y.device), y)
            failed = failed & (report.status != Status.INFEASIBLE)
        self.oracle.record(report, theta)
        strength = float(self.tau)

        def vjp(gradient: Tensor, packed: Tensor, y: Tensor) -> Tensor:
            with torch.enable_grad():
                leaf = packed.detach().requires_grad_()
                total = self._mismatch(leaf, m, y, gradient.detach().double(), strength).sum()
            (found,) = torch.autograd.grad(total, leaf)
            return found

        out = with_vjp(y.clone(), vjp, packed, y, linear=False)
        return self.finish(out, failed, theta)

    def _mismatch(
        self,
        packed: Float[Tensor, "b p"],  # costs, A, b
        m: int,
        y: Float[Tensor, "b n"],
        gradient: Float[Tensor, "b n"],
        tau: float,
    ) -> PerRow:
        """Σₖ λₖ Pₖ of each row, differentiable by A, b and c (to be minimised)."""
        n = y.shape[1]
        costs, A, b = packed[:, :n], packed[:, n : n + m * n].reshape(-1, m, n), packed[:, n + m * n :]
        step = -gradient.sign()
        inside = (y + step >= self.lower.to(y.device)) & (y + step <= self.upper.to(y.device))
        sizes = gradient.abs() * inside
        falling, order = sizes.sort(dim=1, descending=True, stable=True)
        weights = falling - torch.nn.functional.pad(falling[:, 1:], (0, 1))  # λ
        rank = order.argsort(dim=1).unsqueeze(1)
        moves = (step * inside).unsqueeze(1) * (rank <= torch.arange(n, device=y.device).unsqueeze(1))  # Δ, (b, k, n)
        length = torch.linalg.vector_norm(A, dim=2).clamp(min=1e-12)
        at = ((A * y.unsqueeze(1)).sum(2) - b) / length  # d(y), (b, m)
        there = at.unsqueeze(1) + (moves.unsqueeze(2) * A.unsqueeze(1)).sum(3) / length.unsqueeze(1)  # d(yₖ), (b, k, m)
        feasible = (there <= FEASIBLE).all(2)
        near = -tau * torch.logsumexp(-(-at).clamp(min=0.0) / tau, 1)  # softmin, but for a constant
        dearer = (costs.unsqueeze(1) * moves).sum(2).clamp(min=0.0)
        loose = there.clamp(min=0.0).sum(2)
        return (weights * torch.where(feasible, near.unsqueeze(1) + dearer, loose)).sum(1)

    def extra_repr(self) -> str:
        return f"n={len(self.lower)}, tau={self.tau}"
