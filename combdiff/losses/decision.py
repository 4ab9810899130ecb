"""What the losses of decisions have in common: an oracle, checked targets, and a reduction over solved rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from combdiff import _bridge
from combdiff.autograd import with_gradient, with_slope
from combdiff.needs import Needs, missing
from combdiff.oracle import Answer, Costs, OnFailure, Oracle, Report, Stats
from combdiff_solvers.protocol import Instances, Sets, Solver, as_instances

Reduction = Literal["mean", "sum", "none"]
PerRow = Float[Tensor, " b"]
SLACK = 1e-3  # of Σ |c| y: no rounding, and no gap of a MIP solver, makes a target so much better than an optimum


@dataclass
class Step(Report):
    """The solves of a loss's last call: how its rows ended, as a `Report`, and what was found.

    Attributes:
        y: (*batch, *shape), with a leading dimension where the loss asks for several solutions of each row (it says
            which); zero in a failed row. None of a loss that did not solve.
        y_true: (*batch, *shape), the targets, given or solved for; None of a loss without.
    """

    y: Tensor | None = None
    y_true: Tensor | None = None


class DecisionLoss(nn.Module):
    """A loss of predicted costs θ that judges the decision they lead to.

    A row whose solve was cut short (`Status.FEASIBLE`) teaches by its incumbent, as if that were the best solution;
    `stats.feasible` counts such rows and `stats.gap` says how far from the optimum they may be. The value of a loss
    that subtracts a least cost, as SPO+ does, is then too small by the gap at most, and may be negative.

    Args:
        solver: what solves a batch of rows; or a layer, whose oracle (and failure policy) is shared.
        reduction: "mean" or "sum" over the rows that have a solution (0, with a zero gradient, where none has:
            `stats.empty` counts such batches), or "none".
        on_failure: "raise", or "mask": rows without a solution count nothing, and are NaN under "none".

    Attributes:
        oracle: the `Oracle`; `stats` counts its solves.
        last: the `Step` of the last call (None before it): the solutions of its rows, and how they ended.
        degree: k where L(aθ) = aᵏ L(θ) for every a > 0 and the same targets; None where no k does it.

    Raises:
        TypeError, ValueError: as `Oracle`, and for another reduction.
    """

    needs = Needs(target="solution")

    degree: int | None = None
    reductions: tuple[str, ...] = get_args(Reduction)

    def __init__(self, solver: Solver | nn.Module, reduction: Any = "mean", on_failure: OnFailure = "raise") -> None:
        super().__init__()
        self.oracle = Oracle.of(solver, on_failure)
        self.reduction = check_reduction(reduction, self.reductions)
        self.last: Step | None = None

    @property
    def solver(self) -> Solver:
        return self.oracle.solver

    @property
    def stats(self) -> Stats:
        return self.oracle.stats

    def solve(self, c_true: Float[Tensor, "*dims"], instances: Instances | None = None) -> Float[Tensor, "*dims"]:
        """The best solutions for true costs, as targets: solved once for a data set, and not in every step.

        Args:
            c_true: (*batch, *solver.shape).
            instances: the feasible set of each row.

        Returns:
            y_true, of the shape, dtype and device of c_true; NaN in a row without a solution.

        Raises:
            ValueError, SolverError: as the loss.
        """
        answer = self.oracle.solve(self.oracle.costs(c_true).detach(), as_instances(instances))
        self.oracle.record(answer.report, c_true)
        y = answer.y
        if answer.report.failed is not None:
            y = y.masked_fill(answer.report.failed.to(y.device).unsqueeze(-1), torch.nan)
        return y.reshape(c_true.shape).to(c_true.dtype)

    def true_costs(self, c_true: Float[Tensor, "*dims"], theta: Float[Tensor, "*dims"], finite: bool = True) -> Costs:
        """The true costs as rows to be minimised, of the dtype and device of those of θ; without a gradient.

        Raises:
            TypeError, ValueError: as `Oracle.costs`, and for another shape than θ's.
        """
        check_target(self, "c_true", c_true, theta)
        costs = self.oracle.costs(c_true.detach() if c_true.requires_grad else c_true, finite=False)
        if finite:
            check_finite("c_true", c_true)
        if costs.dtype is theta.dtype and costs.device == theta.device:
            return costs
        return costs.to(theta.device, theta.dtype if theta.dtype is torch.float64 else torch.float32)

    def target_rows(self, y_true: Float[Tensor, "*dims"], theta: Float[Tensor, "*dims"], costs: Costs) -> Costs:
        """Targets as rows like the costs, without a gradient.

        Raises:
            TypeError, ValueError: for another kind or shape.
        """
        check_target(self, "y_true", y_true, theta)
        target = y_true.detach() if y_true.requires_grad else y_true
        if target.shape != costs.shape:
            target = target.reshape(costs.shape)
        return target if target.dtype is costs.dtype and target.device == costs.device else target.to(costs)

    def gap(
        self, costs: Costs, target: Costs | None, true: Costs | None = None, instances: Sets = None
    ) -> tuple[PerRow, Costs, Costs, Report]:
        """How much better than the target the best solution for some costs is, with the solver's own term h.

        Args:
            costs: to be minimised.
            target: (b, n); None to take the best solution for the true costs, of the same batch of solves.
            true: those costs.

        Returns:
            ⟨c, ȳ − y⟩ + h(ȳ) − h(y), at least 0, where y is the best solution for c, which is held fixed in the
            gradient by c; y; ȳ, both zero in failed rows; and how the rows ended.

        Raises:
            ValueError: for a target that is better than a proven optimum (it is infeasible), or is not finite.
        """
        gap, _, y, target, report = self._gap(costs, target, true, instances)
        return gap, y, target, report

    def _gap(
        self, costs: Costs, target: Costs | None, true: Costs | None, instances: Sets
    ) -> tuple[PerRow, Costs, Costs, Costs, Report]:
        """`gap`, and after it ȳ − y, its gradient by the costs."""
        point = costs.detach() if costs.requires_grad else costs
        if target is None:
            assert true is not None
            answer = self.oracle.solve(torch.stack([point, true]), instances)
            y, target = answer.y
        else:
            answer = self.oracle.solve(point, instances)
            y, target = answer.y, without_failed(target, answer)
        slope = target - y
        gap = (costs * slope).sum(-1)  # nothing but 0 where y is the target
        own = self.oracle.own_term(target, instances)
        if own is not None:
            value = answer.value
            gap = gap + own - ((value if value.ndim == 1 else value[0]) - (point * y).sum(-1))
        if costs.shape[0]:
            low, high = (gap.detach() if gap.requires_grad else gap).aminmax()
            if not (low.item() >= 0.0 and high.item() < math.inf):
                _check_targets(gap.detach(), point, y, target, answer.report)
        return gap, slope, y, target, answer.report

    def finish(
        self,
        loss: PerRow,
        theta: Float[Tensor, "*dims"],
        report: Report,
        y: Tensor | None = None,
        y_true: Costs | None = None,
        slope: tuple[Costs, Costs] | None = None,
    ) -> Float[Tensor, "*reduced"]:
        """Record the step, and return the loss of each row, (b), reduced over those that did not fail.

        Args:
            slope: of a loss without a graph, its gradient, which is overwritten and depends on nothing (the loss is
                linear near θ), and the costs that it is by: this takes less time than a graph of its steps.
        """
        recorded = self.oracle.record(report, theta)
        self.__dict__["last"] = step_of(recorded, theta, y, y_true)  # nn.Module's own way takes 3 µs more
        return reduced(loss, theta, report.failed, self.reduction, recorded.status.shape, slope, with_slope)

    def extra_repr(self) -> str:
        return f"{type(self.solver).__name__}{self.solver.shape}, reduction={self.reduction!r}"


def check_reduction(reduction: Any, known: tuple[str, ...] = get_args(Reduction)) -> Any:
    """A reduction that is known.

    Raises:
        ValueError: otherwise.
    """
    if reduction not in known:
        raise ValueError(f"reduction={reduction!r} is none of {', '.join(map(repr, known))}")
    return reduction


def check_target(loss: nn.Module, name: str, target: Any, theta: Tensor) -> None:
    """Refuse what is no tensor of the shape of θ.

    Raises:
        TypeError, ValueError: which say which target it is.
    """
    if target is None:
        raise missing(name, loss)
    if not isinstance(target, Tensor):
        raise TypeError(f"{name} is a {type(target).__name__}, but must be a torch.Tensor: use torch.as_tensor({name})")
    if target.shape != theta.shape:
        raise ValueError(f"{name} has shape {tuple(target.shape)}, but theta {tuple(theta.shape)}: they must agree")


def without_failed(target: Costs, answer: Answer) -> Costs:
    """The targets with 0 in failed rows, whose targets are ignored, and may be NaN."""
    failed = answer.report.failed
    return target if failed is None else target.masked_fill(failed.to(target.device).unsqueeze(-1), 0.0)


def check_finite(name: str, target: Float[Tensor, "*dims"]) -> None:
    """Refuse targets that are not finite.

    Raises:
        ValueError: naming the entry.
    """
    bad = _bridge.not_finite(target)
    if bad is not None:
        index = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"{name}[{', '.join(map(str, index))}] is {target[index].item()}, but every target of a row with a "
            "solution must be finite: leave such rows out"
        )


def _check_targets(gap: PerRow, costs: Costs, y: Tensor, target: Costs, report: Report) -> None:
    check_finite("y_true", target)
    slack = SLACK * (costs.abs() * torch.maximum(y.abs(), target.abs())).sum(-1)
    wrong = (gap < -slack) & (report.status == 0).to(gap.device)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        raise ValueError(
            f"y_true of row {row} is better by {-gap[row].item():.4g} than what is proven optimal: it is infeasible, "
            "or belongs to another instance (or sense)"
        )


def step_of(report: Report, theta: Float[Tensor, "*dims"], y: Tensor | None, y_true: Costs | None) -> Step:
    """A step of rows of solutions and targets, in the shape of θ."""
    if y is not None and y.shape != theta.shape:
        y = y.reshape(*y.shape[:-2], *theta.shape)
    if y_true is not None and y_true.shape != theta.shape:
        y_true = y_true.reshape(theta.shape)
    return Step(report.status, report.messages, y, y_true)


def reduced(
    loss: PerRow,
    theta: Float[Tensor, "*dims"],
    failed: Bool[Tensor, " b"] | None,
    reduction: str,
    batch: tuple[int, ...],
    known: tuple[Costs, Costs] | None = None,
    attach: Callable[[Tensor, Tensor, Tensor], Tensor] = with_gradient,
) -> Float[Tensor, "*reduced"]:
    """The loss of each row, reduced over those that did not fail, in the dtype of θ (under autocast at least float32).

    Args:
        loss: finite in failed rows, too, with a finite gradient.
        batch: the batch dimensions of θ.
        known: the gradient of a loss without a graph, which is overwritten, and the costs that it is by: the result is
            then one node.
    """
    rows, (gradient, costs) = loss.shape[0], known or (None, None)
    if failed is not None:
        failed = failed.to(loss.device)
        loss = loss.masked_fill(failed, torch.nan if reduction == "none" else 0.0)
        rows -= int(failed.sum())
        gradient = None if gradient is None else gradient.masked_fill(failed.unsqueeze(-1), 0.0)
    if reduction != "none":
        loss = loss.sum()
    if reduction == "mean" and rows > 1:
        loss = loss / rows if gradient is None else loss.div_(rows)
        gradient = None if gradient is None else gradient.div_(rows)
    if gradient is not None and costs is not None:
        loss = attach(loss, gradient, costs)
    if reduction == "none" and loss.shape != batch:
        loss = loss.reshape(batch)
    same = loss.dtype is theta.dtype or torch.is_autocast_enabled(loss.device.type)
    return loss if same else loss.to(theta.dtype)


def finite(loss: Float[Tensor, "*rows"]) -> bool:
    """Whether the losses of all rows, or their sum, are finite, as they are not under any target that is not."""
    return math.isfinite((loss.sum() if loss.ndim else loss).item())
