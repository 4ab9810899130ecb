"""Fix the integers at the optimum, and differentiate the linear program that is left."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.autograd import not_compiled, with_vjp
from combdiff.layers.program_layer import ProgramLayer
from combdiff.oracle import OnFailure
from combdiff_solvers.protocol import Solver

TIGHT = 1e-6  # of its terms: a constraint that is missed by less holds with equality
RANK = 1e-9


class FixAndDifferentiate(ProgramLayer):
    """The solution of a mixed-integer program min ⟨c, y⟩ over A y ≤ b, lower ≤ y ≤ upper; gradients for all but c.

    With the integer variables fixed at the optimum, the others are at a vertex of a linear program. Let F be those that
    are at no bound, and R the rows that hold with equality, A_RF y_F = b_R − A_RN y_N. Then for g = ∂L/∂y

        λ = A_RF⁻ᵀ g_F        ∂L/∂b_R = λ        ∂L/∂A_R = −λ yᵀ        ∂L/∂(bound of j ∉ F) = g_j − ⟨a_j, λ⟩

    and 0 for everything else: for c, rows that do not bind, bounds of integers. This is the derivative of y wherever it
    has one: it jumps where an integer or the basis changes. Of the objective, L = ⟨c, y⟩, λ are the dual values. At a
    degenerate vertex λ is that of the pseudo-inverse, one choice of many.

    In a program whose variables are all integer, nothing is left to differentiate: `LinearConstraints` is for that.
    Costs have no gradient here, for y is constant between the jumps: use any other layer.

    Args:
        solver: what solves rows with an A and b of their own, with attributes `bounds` and `integrality`
            (`combdiff.solvers.MixedIntegerPrograms`).
        on_failure: "raise" or "mask": rows without a solution are NaN in y and have no gradient.

    Raises:
        TypeError: for anything but such a solver.

    Source: the sensitivity of a basic solution (Fiacco 1983, "Introduction to sensitivity and stability analysis in
    nonlinear programming"), of the program with its integers fixed.
    Not for: second derivatives (refused).

    Two plants, of which the cheap one is on to its capacity, and the other gives the rest of the demand, 3:

    >>> from combdiff.solvers import MixedIntegerPrograms
    >>> layer = FixAndDifferentiate(MixedIntegerPrograms(2, bounds=(0, 9), integrality=0))
    >>> demand = torch.tensor([3.0], requires_grad=True)
    >>> capacity = torch.tensor([2.0, 9.0], requires_grad=True)
    >>> y = layer(torch.tensor([1.0, 4.0]), -torch.ones(1, 2), -demand, upper=capacity)
    >>> y.detach()
    tensor([2., 1.])
    >>> (y @ torch.tensor([1.0, 4.0])).backward()
    >>> demand.grad, capacity.grad  # the price of one unit more, and what one more of capacity saves
    (tensor([4.]), tensor([-3.,  0.]))
    """

    needs = replace(
        ProgramLayer.needs,
        solver="a program of its own for each row (`MixedIntegerPrograms`)",
        bias="none, off the jumps of y: for A, b and bounds; none for the costs, which have no gradient",
        scale="what binds: A, b and bounds are in the units of the program",
        use="capacities, demands and coefficients are predicted, and some variables are continuous",
    )

    def __init__(self, solver: Solver, on_failure: OnFailure = "raise") -> None:
        super().__init__(solver, on_failure)
        if not hasattr(solver, "integrality"):
            raise TypeError(f"a {type(solver).__name__} does not say by `integrality` which variables are integer")
        self.continuous = torch.as_tensor(solver.integrality) == 0

    @not_compiled
    def forward(
        self,
        theta: Float[Tensor, "*batch n"],
        A: Float[Tensor, "*rows m n"],
        b: Float[Tensor, "*sides m"],
        lower: Float[Tensor, "*low n"] | None = None,
        upper: Float[Tensor, "*up n"] | None = None,
    ) -> Float[Tensor, "*batch n"]:
        """Solve for every row.

        Args:
            theta: (*batch, n), costs c (rewards, where the solver maximises).
            A: (*batch, m, n), or (m, n) for all rows.
            b: (*batch, m), or (m) for all rows.
            lower, upper: (*batch, n), or (n) for all rows; None for those of the solver.

        Returns:
            y, of the shape, dtype and device of θ.

        Raises:
            TypeError: as `Oracle.costs`.
            ValueError: for other shapes, or an entry that is not finite (NaN, of bounds).
            SolverError: for rows without a solution, if `on_failure` is "raise".
        """
        costs = self.oracle.costs(theta)
        bounds = {"lower": self.lower if lower is None else lower, "upper": self.upper if upper is None else upper}
        answer, packed = self.solve(costs, theta, {"A": A, "b": b, **bounds})
        report, m = answer.report, b.shape[-1]
        self.oracle.record(report, theta)

        def vjp(gradient: Tensor, packed: Tensor, y: Tensor) -> Tensor:
            found = self._adjoint(gradient.double(), packed, y, m)
            if report.failed is not None:
                found = found.masked_fill(report.failed.to(found.device).unsqueeze(-1), 0.0)
            return found

        return self.finish(with_vjp(answer.y.clone(), vjp, packed, answer.y), report.failed, theta)

    def _adjoint(
        self, gradient: Float[Tensor, "b n"], packed: Float[Tensor, "b p"], y: Float[Tensor, "b n"], m: int
    ) -> Float[Tensor, "b p"]:
        """The gradient by costs, A, b, lower and upper, side by side."""
        n = y.shape[1]
        _, flat, b, lower, upper = packed.split([n, m * n, m, n, n], 1)  # type: ignore[no-untyped-call]
        A, continuous = flat.reshape(-1, m, n), self.continuous.to(y.device)
        terms = A * y.unsqueeze(1)
        tight = b - terms.sum(2) <= TIGHT * (1.0 + b.abs() + terms.abs().sum(2))
        low, high = ((y - end).abs() <= TIGHT * (1.0 + y.abs()) for end in (lower, upper))
        free = continuous & ~low & ~high
        active = A * tight.unsqueeze(2) * free.unsqueeze(1)  # A_RF, zero elsewhere
        inverse = torch.linalg.pinv(active, rtol=RANK)
        dual = (inverse * (gradient * free).unsqueeze(2)).sum(1)  # λ
        moved = (gradient - (A * dual.unsqueeze(2)).sum(1)) * continuous
        share = 1.0 / (1.0 + (low & high))  # of a variable whose bounds are equal
        slopes = (-dual.unsqueeze(2) * y.unsqueeze(1)).flatten(1), dual, moved * low * share, moved * high * share
        return torch.cat([torch.zeros_like(y), *slopes], 1)
