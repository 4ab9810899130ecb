"""The base of losses that choose among the solutions of a pool."""

from __future__ import annotations

import torch
from torch import Tensor

from combdiff.losses.decision import DecisionLoss, Reduction
from combdiff.needs import Needs
from combdiff.oracle import Costs, Report
from combdiff.solution_pool import GOLDEN, Candidates, SolutionPool
from combdiff_solvers.protocol import Sets


class PoolLoss(DecisionLoss):
    """A loss over a pool of feasible solutions, which may grow while it trains.

    Args:
        pool: the `SolutionPool`, filled beforehand; its solver and failure policy are used.
        solve_ratio: the share of calls, from 0 to 1, that solve for θ and add the solutions to the pool (by the
            golden-ratio sequence, so that a run can be repeated). 0 never solves in training.
        reduction: "mean" or "sum" over the rows that have a solution, or "none".

    Raises:
        TypeError: for anything but a pool.
        ValueError: for a ratio outside [0, 1], or another reduction.
    """

    needs = Needs(target="solution", forward="0", solver="a `SolutionPool` that is filled beforehand")

    def __init__(self, pool: SolutionPool, solve_ratio: float = 0.0, reduction: Reduction = "mean") -> None:
        if not isinstance(pool, SolutionPool):
            raise TypeError(f"pool is a {type(pool).__name__}, but must be a combdiff.SolutionPool over the solver")
        if not 0.0 <= solve_ratio <= 1.0:
            raise ValueError(f"solve_ratio={solve_ratio} must be from 0 to 1")
        super().__init__(pool.oracle.solver, reduction, pool.oracle.on_failure)
        self.oracle, self.pool, self.solve_ratio = pool.oracle, pool, solve_ratio
        self._calls = 0

    def choose(self, costs: Costs, instances: Sets) -> tuple[Candidates, Report, Tensor | None]:
        """What the pool has for each row, how the rows of a solve ended (OPTIMAL without), and what it found.

        Raises:
            ValueError: for a row for which the pool holds nothing.
        """
        self._calls += 1
        solves = self.solve_ratio == 1.0 or self._calls * GOLDEN % 1.0 < self.solve_ratio
        if not solves:
            report = Report(torch.zeros(len(costs), dtype=torch.uint8))
            report.failed = None
            return self.pool.candidates(costs, instances), report, None
        answer = self.oracle.solve(costs, instances)
        y, failed = answer.y, answer.report.failed
        kept = y if failed is None else y.masked_fill(failed.to(y.device).unsqueeze(-1), torch.nan)
        self.pool.add(kept.reshape(-1, *self.solver.shape), instances)
        return self.pool.candidates(costs, instances, answer.report.solved), answer.report, y

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, {len(self.pool)} solutions, solve_ratio={self.solve_ratio}"
