"""The bases of every layer: a solver as a module, with a gradient."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from combdiff import _bridge
from combdiff.errors import SolverError
from combdiff_solvers.protocol import Instances, Sense, Solutions, Solver, Status, as_instances, check_count

OnFailure = Literal["raise", "mask"]
F = TypeVar("F", bound=Callable[..., Any])


def eager(function: F) -> F:
    """A solver cannot be traced: `torch.compile` leaves the function as it is, by a break in the graph."""
    kept: F = torch.compiler.disable(function)  # type: ignore[no-untyped-call]
    return kept


class _FirstOrder(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, source: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[None, None]:
        raise RuntimeError(
            "a solver layer has no second derivative: its gradient is an estimate that is not differentiable. "
            "Leave out create_graph=True, or detach the gradient"
        )


def first_order(gradient: Tensor, source: Tensor) -> Tensor:
    """A gradient with respect to `source` that refuses to be differentiated again.

    `torch.autograd.function.once_differentiable` lets a gradient whose incoming gradient is constant pass as a
    constant, which is wrong in silence.
    """
    refused: Tensor = _FirstOrder.apply(gradient, source) if torch.is_grad_enabled() else gradient  # type: ignore[no-untyped-call]
    return refused


@dataclass
class Stats:
    """What a layer has asked of its solver since it was made, or since `reset()`.

    >>> Stats(solves=8, seconds=0.5).reset()
    Stats(calls=0, solves=0, seconds=0.0, cached=0, failures=0)
    """

    calls: int = 0
    """batches sent to the solver"""
    solves: int = 0
    """rows in them"""
    seconds: float = 0.0
    """time spent in the solver"""
    cached: int = 0
    """rows answered from a cache"""
    failures: int = 0
    """rows without a solution"""

    def reset(self) -> Stats:
        """Begin again at zero."""
        self.__dict__.update(Stats().__dict__)
        return self


@dataclass(frozen=True)
class Report:
    """How the rows of the last forward call ended."""

    status: UInt8[Tensor, "*batch"]
    """the worst `Status` among the solves of each row"""
    messages: Mapping[int, str] = field(default_factory=dict)
    """what the solver said of failed rows, by flat row number"""

    @property
    def solved(self) -> Bool[Tensor, "*batch"]:
        """Which rows have a solution."""
        return self.status <= Status.FEASIBLE


class Answer(NamedTuple):
    """What the oracle returns for costs of shape (*lead, b, n)."""

    y: Float[Tensor, "*lead b n"]  # zero in a failed row
    value: Float[Tensor, "*lead b"]  # ⟨cost, y⟩ + h(y), to be minimised; zero in a failed row
    report: Report  # of the b rows, over all leading dimensions


class SolverLayer(nn.Module, ABC):
    """A solver as a differentiable layer: θ ↦ y(θ), of θ's shape, dtype and device.

    This base is the one place that reads the solver's sense: it turns θ into costs, and a subclass, which
    never sees a sense, says in `_estimate` what it returns for costs to be minimised and what the gradient is.

    Args:
        solver: what solves a batch of rows.
        on_failure: what becomes of rows without a solution. `"raise"`: an error that names them, their status and
            the fix. `"mask"`: they are NaN in y and zero in the gradient, and `layer.last.status` tells.

    Attributes:
        stats: counts of solves, seconds, cache hits and failures.
        last: a `Report` on the rows of the last forward call (None before it).

    Laws, each a test of `combdiff.testing.LayerContract`: a batch is its rows; any leading batch dimensions; min of θ
    is max of −θ; every float dtype; NaN and inf are refused; one bad row costs no other its gradient.
    """

    def __init__(self, solver: Solver, on_failure: OnFailure = "raise") -> None:
        super().__init__()
        if not isinstance(solver, Solver):
            raise TypeError(
                f"a {type(solver).__name__} is not a Solver (it needs sense, shape and solve): "
                "make one of it with combdiff.wrap"
            )
        if on_failure not in get_args(OnFailure):
            raise ValueError(f"on_failure={on_failure!r} is none of {', '.join(map(repr, get_args(OnFailure)))}")
        self.solver = solver
        self.on_failure = on_failure
        self.stats = Stats()
        self.last: Report | None = None

    @abstractmethod
    def _estimate(self, costs: Float[Tensor, "b n"], instances: Sequence[Any] | None) -> Float[Tensor, "b n"]:
        """The layer on costs to be minimised, differentiable; failed rows are zero, with zero gradient."""

    @eager
    def forward(self, theta: Float[Tensor, "*dims"], instances: Instances | None = None) -> Float[Tensor, "*dims"]:
        """Solve for every θ.

        Args:
            theta: (*batch, *solver.shape), any float dtype, any device.
            instances: the feasible set of each row, in row-major order over the batch dimensions: a sequence, or
                columns (a mapping of arrays or tensors with a leading batch axis), as a `DataLoader` makes them.

        Returns:
            y, of the shape, dtype and device of θ.

        Raises:
            ValueError: for another shape, or a NaN or infinite entry (named by its index).
            SolverError: for rows without a solution, if `on_failure` is "raise".
        """
        instances = as_instances(instances)
        y = self._estimate(self.costs(theta, instances), instances)
        batch = theta.shape[: theta.ndim - len(self.solver.shape)]
        if self.last is not None:
            self.last = Report(self.last.status.reshape(batch), self.last.messages)
            if self.on_failure == "mask":
                y = _nan_unless(self.last.solved.reshape(-1, 1), y)
        return y.reshape(theta.shape).to(theta.dtype)

    def costs(self, theta: Float[Tensor, "*dims"], instances: Instances | None = None) -> Float[Tensor, "b n"]:
        """Check θ and return it as rows of costs to be minimised, in float32 or float64.

        Raises:
            TypeError: when θ is no tensor of floats.
            ValueError: for another shape, a NaN or infinite entry, or another number of instances than rows.
        """
        shape = self.solver.shape
        if not torch.is_floating_point(theta):
            raise TypeError(f"theta has dtype {theta.dtype}, but only floats have a gradient: use theta.float()")
        if theta.ndim < len(shape) or tuple(theta.shape[theta.ndim - len(shape) :]) != shape:
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}, but {type(self.solver).__name__} needs (*batch, "
                f"{', '.join(map(str, shape))})"
            )
        bad = _bridge.first_not_finite(theta)
        if bad is not None:
            raise ValueError(f"theta[{', '.join(map(str, bad))}] is {theta[bad].item()}: every entry must be finite")
        batch = theta.shape[: theta.ndim - len(shape)]
        if instances is not None:
            check_count(instances, prod(batch))
        rows = theta.reshape(prod(batch), prod(shape))
        if rows.dtype in (torch.float16, torch.bfloat16):
            rows = rows.float()
        return rows if self.solver.sense is Sense.MIN else -rows

    def oracle(self, costs: Float[Tensor, "*lead b n"], instances: Sequence[Any] | None) -> Answer:
        """Solve for all costs in one batch, without a gradient; keep count, and apply the failure policy.

        The leading dimensions hold several problems for each of the b rows (the samples of a smoothed layer).
        """
        *lead, batch, _ = costs.shape
        times = prod(lead)
        sign = self.solver.sense.sign
        rows = _bridge.to_rows(costs if sign > 0 else -costs)
        began = time.perf_counter()
        found = self.solver.solve(rows, _bridge.repeat(instances, times))
        self.stats.seconds += time.perf_counter() - began
        self.stats.calls += 1
        self.stats.solves += len(rows)
        self.stats.cached += found.cached
        if found.y.shape != rows.shape:
            raise ValueError(
                f"{type(self.solver).__name__}.solve returned y of shape {found.y.shape} for theta {rows.shape}"
            )
        y, value = found.y, sign * found.objective
        failed = np.flatnonzero(~found.solved)
        if len(failed):
            self.stats.failures += len(failed)
            y, value = y.copy(), value.copy()
            y[failed], value[failed] = 0.0, 0.0
        report = _report(found, batch)
        if self.on_failure == "raise" and len(failed):
            raise _error(report, batch)
        return Answer(
            _bridge.to_tensor(y, like=costs).reshape(costs.shape),
            _bridge.to_tensor(value, like=costs).reshape(costs.shape[:-1]),
            report,
        )

    def extra_repr(self) -> str:
        return f"{type(self.solver).__name__}{self.solver.shape}, on_failure={self.on_failure!r}"


class SmoothedLayer(SolverLayer):
    """A layer that is (the mean of) a gradient: ∇potential(θ) = the layer's mean solution.

    Fenchel–Young losses need nothing else. For costs to be minimised the potential is concave, for θ to be
    maximised convex.
    """

    @abstractmethod
    def cost_potential(
        self, costs: Float[Tensor, "b n"], instances: Sequence[Any] | None
    ) -> tuple[Float[Tensor, " b"], Report]:
        """The smoothed optimal value of costs to be minimised, differentiable, and how the rows ended."""

    @eager
    def potential(self, theta: Float[Tensor, "*dims"], instances: Instances | None = None) -> Float[Tensor, "*batch"]:
        """The smoothed optimal value of each θ, shape (*batch): E of the optimal objective under the layer's noise.

        Raises:
            ValueError, SolverError: as in `forward`.
        """
        instances = as_instances(instances)
        value, report = self.cost_potential(self.costs(theta, instances), instances)
        batch = theta.shape[: theta.ndim - len(self.solver.shape)]
        self.last = Report(report.status.reshape(batch), report.messages)
        value = _nan_unless(report.solved, value)
        return (value if self.solver.sense is Sense.MIN else -value).reshape(batch).to(theta.dtype)


def _nan_unless(solved: Bool[Tensor, "*dims"], y: Tensor) -> Tensor:
    """NaN in failed rows, and no gradient from there, not even a NaN."""
    if bool(solved.all()):
        return y
    return torch.where(solved.to(y.device), y, torch.full_like(y, torch.nan))


def _report(found: Solutions, batch: int) -> Report:
    messages: dict[int, str] = {}
    for row, message in found.messages.items():
        messages.setdefault(row % batch, message)
    return Report(_bridge.worst_status(found.status, batch), messages)


def _error(report: Report, batch: int) -> SolverError:
    rows: list[int] = (~report.solved).nonzero().flatten().tolist()
    statuses = [Status(int(report.status[row])) for row in rows]
    reasons = {row: report.messages.get(row, status.advice) for row, status in zip(rows, statuses, strict=True)}
    return SolverError(rows, [status.name for status in statuses], reasons, batch)
