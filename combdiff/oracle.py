"""The oracle: what a layer or a loss asks of its solver, in costs to be minimised."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor

from combdiff import _bridge
from combdiff.errors import SolverError
from combdiff_solvers.protocol import (
    BatchSolver,
    Instances,
    Sense,
    Sets,
    Solutions,
    Solver,
    Status,
    as_instances,
    solve_checked,
    value_checked,
)

OnFailure = Literal["raise", "mask"]
Costs = Float[Tensor, "b n"]  # to be minimised
FEASIBLE = int(Status.FEASIBLE)  # arrays and tensors compare faster with a plain int


@dataclass
class Stats:
    """What an oracle has asked of its solver since it was made, or since `reset()`.

    >>> stats = Stats(solves=8, seconds=0.5)
    >>> stats.reset().solves, stats.gap
    (0, nan)
    """

    calls: int = 0  # batches sent to the solver
    solves: int = 0  # rows in them
    seconds: float = 0.0  # time spent in the solver
    cached: int = 0  # rows answered from a cache
    failures: int = 0  # rows without a solution
    feasible: int = 0  # rows with a solution that is not proven optimal (`Status.FEASIBLE`)
    bounded: int = 0  # of those, rows with a proven bound
    gap: float = math.nan  # how far their objective is from it on average, in its units
    empty: int = 0  # batches of which no row has a solution, those without rows, too: they teach nothing
    no_gradient: int = 0  # entries of θ too near zero to divide by (multiplicative noise), whose gradient is 0
    effective: float = math.nan  # the least effective sample size of a row, when samples were weighed last

    def reset(self) -> Stats:
        """Begin again at zero."""
        self.__dict__.update(Stats().__dict__)
        return self


@dataclass
class Report:
    """How the rows of a call ended."""

    status: UInt8[Tensor, "*batch"]  # the worst `Status` among the solves of each row
    messages: Mapping[int, str] = field(default_factory=dict)  # by flat row number, of the solve with that status

    @property
    def solved(self) -> Bool[Tensor, "*batch"]:
        """Which rows have a solution."""
        return self.status <= FEASIBLE

    @cached_property
    def failed(self) -> Bool[Tensor, "*batch"] | None:
        """Which rows have no solution; None where every row has one."""
        failed = self.status > FEASIBLE
        return failed if failed.any() else None

    def worst(self, other: Report) -> Report:
        """How the rows of two calls ended: each as the worse of its two."""
        messages = {
            row: text
            for report, worse in ((self, self.status >= other.status), (other, other.status > self.status))
            for row, text in report.messages.items()
            if worse.flatten()[row]
        }
        return Report(torch.maximum(self.status, other.status), messages)


class Answer:
    """What the solver said of costs of shape (*lead, b, n).

    Attributes:
        report: how the b rows ended, over all leading dimensions.
    """

    def __init__(self, found: Solutions, sign: float, costs: Tensor, report: Report) -> None:
        self._found, self._sign, self._costs, self.report = found, sign, costs, report

    @cached_property
    def y(self) -> Float[Tensor, "*lead b n"]:
        """The solutions; zero in a failed row."""
        return _bridge.to_tensor(self._found.y, self._costs, self._costs.shape)

    @cached_property
    def value(self) -> Float[Tensor, "*lead b"]:
        """⟨cost, y⟩ + h(y), to be minimised; zero in a failed row."""
        return self._per_row(self._found.objective, self._costs)

    @cached_property
    def bound(self) -> Float64[Tensor, "*lead b"]:
        """What is proven to be at most the least value of each row; −inf where nothing is.

        It is float64 whatever the costs are: rounding would undo the proof.
        """
        return self._per_row(self._found.bound, self._costs.new_empty(0, dtype=torch.float64))

    @cached_property
    def solved(self) -> Bool[Tensor, "*lead b"]:
        """Which of the solves have a solution."""
        return _bridge.to_tensor(self._found.solved, self._costs, self._costs.shape[:-1]).bool()

    def _per_row(self, numbers: np.ndarray, like: Tensor) -> Tensor:
        return _bridge.to_tensor(numbers if self._sign > 0 else -numbers, like, self._costs.shape[:-1])


class Oracle:
    """Solves for costs to be minimised, whatever the sense of the solver; a layer has one, and so has a loss.

    It checks θ, turns it into costs, solves, applies the failure policy and keeps count.

    Args:
        solver: what solves a batch of rows.
        on_failure: what becomes of rows without a solution. `"raise"`: an error that names them, their status and
            the fix. `"mask"`: their y is zero and `answer.report.failed` tells. A batch whose every row is an ERROR
            raises all the same: that is a fault of the solver, not of the data.

    Attributes:
        stats: counts of solves, seconds, cache hits, failures, rows that are not proven optimal ...
        last: the `Report` that was recorded last (None before).

    Raises:
        TypeError: for anything but a solver.
        ValueError: for another policy.

    >>> from combdiff.solvers import TopK
    >>> oracle = Oracle(TopK(3, 1, "max"))
    >>> costs = oracle.costs(torch.tensor([1.0, 2.0, 3.0]))
    >>> answer = oracle.solve(costs)
    >>> costs, answer.y, answer.value
    (tensor([[-1., -2., -3.]]), tensor([[0., 0., 1.]]), tensor([-3.]))
    """

    def __init__(self, solver: Solver, on_failure: OnFailure = "raise") -> None:
        if not isinstance(solver, Solver):
            raise TypeError(
                f"a {type(solver).__name__} is not a Solver (it needs sense, shape and solve): "
                "make one of it with combdiff.wrap"
            )
        if on_failure not in get_args(OnFailure):
            raise ValueError(f"on_failure={on_failure!r} is none of {', '.join(map(repr, get_args(OnFailure)))}")
        self.solver, self.on_failure, self.stats = solver, on_failure, Stats()
        self.last: Report | None = None

    @classmethod
    def of(cls, source: Any, on_failure: OnFailure = "raise") -> Oracle:
        """The oracle of a layer, shared with it (and its own failure policy); of a solver a new one."""
        own = getattr(source, "oracle", None)
        return own if isinstance(own, Oracle) else cls(source, on_failure)

    def costs(self, theta: Float[Tensor, "*dims"], finite: bool = True) -> Costs:
        """Check θ and return it as rows of costs to be minimised, in float32 or float64; differentiable.

        Args:
            theta: (*batch, *solver.shape), any float dtype, any device.
            finite: whether to look for entries that are not finite; `solve` looks, too.

        Raises:
            TypeError: when θ is no tensor of floats, or has no values (on the meta device, under torch.export or inside
                a transform of torch.func).
            ValueError: for another shape, or a NaN or infinite entry (named by its index).
        """
        shape = self.solver.shape
        if not isinstance(theta, Tensor):
            raise TypeError(
                f"theta is a {type(theta).__name__}, but a layer takes a torch.Tensor: use torch.as_tensor(theta)"
            )
        if not theta.is_floating_point():
            raise TypeError(f"theta has dtype {theta.dtype}, but only floats have a gradient: use theta.float()")
        batch = theta.ndim - len(shape)
        if batch < 0 or tuple(theta.shape[batch:]) != shape:
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}, but {type(self.solver).__name__} needs (*batch, "
                f"{', '.join(map(str, shape))})"
            )
        bad = _bridge.not_finite(theta) if finite else None
        if bad is not None:
            index = tuple(bad.nonzero()[0].tolist())
            raise ValueError(
                f"theta[{', '.join(map(str, index))}] is {theta[index].item()}: every entry must be finite"
            )
        rows = theta if batch == len(shape) == 1 else theta.reshape(-1, prod(shape))
        if rows.dtype in (torch.float16, torch.bfloat16):
            rows = rows.float()
        return rows if self.solver.sense is Sense.MIN else -rows

    def solve(self, costs: Float[Tensor, "*lead b n"], instances: Instances | None = None) -> Answer:
        """Solve for all costs in one batch, without a gradient; keep count, and apply the failure policy.

        Args:
            costs: to be minimised. The leading dimensions hold several problems for each of the b rows (the samples of
                a smoothed layer).
            instances: the feasible set of each of the b rows.

        Raises:
            ValueError: for another number of instances than rows, or costs that are not finite.
            SolverError: for rows without a solution, if `on_failure` is "raise".
        """
        batch = costs.shape[-2]
        sign = self.solver.sense.sign
        rows = _bridge.to_rows(costs)
        if np.count_nonzero(np.isfinite(rows)) != rows.size:
            index = tuple(np.argwhere(~np.isfinite(rows))[0].tolist())
            raise ValueError(
                f"a cost of row {index[0] % batch} is {rows[index]}, though theta is finite: the temperature, "
                "or theta itself, is too large"
            )
        if sign < 0:
            rows = -rows
        given = None if instances is None else _bridge.repeat(as_instances(instances, batch), prod(costs.shape[:-2]))
        began = time.perf_counter()
        found = solve_checked(self.solver, rows, given)
        seconds = time.perf_counter() - began
        if found.y.shape != rows.shape:
            raise ValueError(
                f"{type(self.solver).__name__}.solve returned y of shape {found.y.shape} for theta {rows.shape}"
            )
        stats = self.stats
        stats.calls += 1
        stats.solves += len(rows)
        stats.seconds += seconds
        stats.cached += found.cached
        report = Report(_bridge.worst_status(found.status, batch))
        if np.count_nonzero(found.status):  # `any` takes longer
            report.messages = _messages(found, report.status)
            found = self._count_failures(found, report)
        else:
            report.failed = None
            stats.empty += not batch
        return Answer(found, sign, costs, report)

    @property
    def has_own_term(self) -> bool:
        """Whether the model's objective may hold a term h(y) beside θ."""
        solver = self.solver
        return (
            hasattr(solver, "value") and getattr(type(solver), "value_checked", None) is not BatchSolver.value_checked
        )

    def own_term(self, y: Costs, instances: Sets = None) -> Float[Tensor, " b"] | None:
        """h(y) of each row, to be minimised: what the model's objective holds beside θ; None where it holds nothing."""
        if not self.has_own_term:
            return None
        rows = _bridge.to_rows(y)
        own = value_checked(self.solver, rows, np.zeros_like(rows), instances)
        return _bridge.to_tensor(self.solver.sense.sign * own, y, y.shape[:-1])

    def _count_failures(self, found: Solutions, report: Report) -> Solutions:
        """Count and raise, or return the solutions with zeros in failed rows."""
        stats = self.stats
        failed = np.flatnonzero(~found.solved)
        stats.failures += len(failed)
        cut = found.status == FEASIBLE
        stats.feasible += int(np.count_nonzero(cut))
        gaps = np.abs(found.objective[cut] - found.bound[cut])
        gaps = gaps[np.isfinite(gaps)]
        if len(gaps):
            total = float(gaps.sum()) + (stats.gap * stats.bounded if stats.bounded else 0.0)
            stats.bounded += len(gaps)
            stats.gap = total / stats.bounded
        if not len(failed):
            return found
        stats.empty += not bool(report.solved.any())
        if self.on_failure == "raise" or bool((report.status == Status.ERROR).all()):
            raise _error(report)
        y, objective = found.y.copy(), found.objective.copy()
        y[failed], objective[failed] = 0.0, 0.0
        return replace(found, y=y, objective=objective)

    def record(self, report: Report, theta: Float[Tensor, "*dims"]) -> Report:
        """Keep a report on rows as `last`, in the batch shape of θ, and return it."""
        batch = theta.shape[: theta.ndim - len(self.solver.shape)]
        self.last = report if report.status.shape == batch else Report(report.status.reshape(batch), report.messages)
        return self.last


def _messages(found: Solutions, status: UInt8[Tensor, " batch"]) -> dict[int, str]:
    """What the solver said of each row, in a solve that ended as the row does."""
    messages: dict[int, str] = {}
    for row, message in found.messages.items():
        if found.status[row] == status[row % len(status)]:
            messages.setdefault(row % len(status), message)
    return messages


def _error(report: Report) -> SolverError:
    rows: list[int] = (~report.solved).nonzero().flatten().tolist()
    statuses = [Status(int(report.status[row])) for row in rows]
    reasons = {row: report.messages.get(row, status.advice) for row, status in zip(rows, statuses, strict=True)}
    return SolverError(rows, [status.name for status in statuses], reasons, len(report.status))
