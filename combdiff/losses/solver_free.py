"""The base of losses that are told the cone of the true solution, and never solve."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff import _bridge
from combdiff.losses.decision import DecisionLoss, PerRow
from combdiff.needs import Needs, missing
from combdiff.oracle import Costs, Report


class SolverFreeLoss(DecisionLoss):
    """A loss of θ and of generators of a cone, edges or normals, found once for each true solution."""

    needs = Needs(target="solution", forward="0")

    def generators(
        self, name: str, given: Float[Tensor, "*edges"], theta: Float[Tensor, "*dims"], costs: Costs
    ) -> Float[Tensor, "b k n"]:
        """Generators (*batch, k, *shape) as rows like the costs, without a gradient.

        Raises:
            TypeError, ValueError: for another kind or shape, or what is not finite.
        """
        if given is None:
            raise missing(name, self)
        if not isinstance(given, Tensor):
            raise TypeError(f"{name} is a {type(given).__name__}, but must be a torch.Tensor: see its forward")
        batch = theta.ndim - len(self.solver.shape)
        lead, shape = theta.shape[:batch], theta.shape[batch:]
        if given.ndim != theta.ndim + 1 or given.shape[:batch] != lead or given.shape[batch + 1 :] != shape:
            wanted = ", ".join(map(str, (*lead, "k", *shape)))
            raise ValueError(f"{name} has shape {tuple(given.shape)}, but theta {tuple(theta.shape)} needs ({wanted})")
        rows = given.detach().reshape(len(costs), given.shape[batch], costs.shape[-1]).to(costs)
        if _bridge.not_finite(rows) is not None:
            raise ValueError(f"{name} has an entry that is NaN or infinite: fill up with rows of zeros")
        return rows

    def finish_unsolved(self, loss: PerRow, theta: Float[Tensor, "*dims"]) -> Float[Tensor, "*reduced"]:
        """`finish` of a step that had nothing to solve: every row counts."""
        report = Report(torch.zeros(len(loss), dtype=torch.uint8))
        report.failed = None
        return self.finish(loss, theta, report)
