"""The bases of every layer: a solver as a module, with a gradient."""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from combdiff import _bridge
from combdiff._autograd import not_compiled
from combdiff.errors import SolverError
from combdiff.temperature import Temperature
from combdiff_solvers.protocol import Instances, Sense, Solutions, Solver, Status, as_instances, check_count

OnFailure = Literal["raise", "mask"]
FEASIBLE = int(Status.FEASIBLE)  # arrays and tensors compare faster with a plain int
DRIFT = 10.0  # by this factor the mean of |θ| may change before a homogeneous method warns


@dataclass
class Stats:
    """What a layer has asked of its solver since it was made, or since `reset()`.

    >>> Stats(solves=8, seconds=0.5).reset()
    Stats(calls=0, solves=0, seconds=0.0, cached=0, failures=0, feasible=0, empty=0, no_gradient=0)
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
    feasible: int = 0
    """rows with a solution that is not proven optimal (`Status.FEASIBLE`)"""
    empty: int = 0
    """batches of which no row has a solution, those without rows, too: they teach nothing"""
    no_gradient: int = 0
    """entries of θ that got a zero in place of a gradient, being too near zero to divide by (multiplicative noise)"""

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
    """what the solver said of a row, by flat row number, in the solve that gave it its status"""

    @property
    def solved(self) -> Bool[Tensor, "*batch"]:
        """Which rows have a solution."""
        return self.status <= FEASIBLE


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
            the fix. `"mask"`: they are NaN in y and zero in the gradient, and `layer.last.status` tells. A batch whose
            every row is an ERROR raises all the same: that is a fault of the solver, not of the data.

    Attributes:
        stats: counts of solves, seconds, cache hits, failures, rows that are not proven optimal ...
        last: a `Report` on the rows of the last call of the layer or of its loss (None before it). Threads may share a
            layer: each gets the mask of its own rows, and `last` is of the call that ended last.
        degree: k where y(aθ) = aᵏ y(θ) for every a > 0 under the same noise (of a solver without a term h(y)), None
            where no k does it. With degree 0 nothing holds the scale of θ in training: a warning is given, once, when
            the mean of |θ| has changed by a factor of 10.

    Laws, each a test of `combdiff.testing.LayerContract`: a batch is its rows; any leading batch dimensions; min of θ
    is max of −θ; every float dtype; NaN and inf are refused; one bad row costs no other its gradient.
    """

    degree: int | None = None

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
        self._first_scale: float | None = None
        self._warned = False

    @abstractmethod
    def _estimate(
        self, costs: Float[Tensor, "b n"], instances: Sequence[Any] | None
    ) -> tuple[Float[Tensor, "b n"], Report]:
        """The layer on costs to be minimised, differentiable, and how the rows ended; failed rows are zero."""

    @not_compiled
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
        y, report = self._estimate(self.costs(theta, instances), instances)
        self.record(report, theta)
        if self.on_failure == "mask":
            y = _nan_unless(report.solved.unsqueeze(-1), y)
        return y.reshape(theta.shape).to(theta.dtype)

    def record(self, report: Report, theta: Float[Tensor, "*dims"]) -> None:
        """Keep a report on rows as `last`, in the batch shape of θ."""
        batch = theta.shape[: theta.ndim - len(self.solver.shape)]
        self.last = report if report.status.shape == batch else Report(report.status.reshape(batch), report.messages)

    def costs(self, theta: Float[Tensor, "*dims"], instances: Instances | None = None) -> Float[Tensor, "b n"]:
        """Check θ and return it as rows of costs to be minimised, in float32 or float64.

        Raises:
            TypeError: when θ is no tensor of floats, or has no values (on the meta device, under torch.export or inside
                a transform of torch.func).
            ValueError: for another shape, a NaN or infinite entry, or another number of instances than rows.
        """
        shape = self.solver.shape
        if not isinstance(theta, Tensor):
            raise TypeError(
                f"theta is a {type(theta).__name__}, but a layer takes a torch.Tensor: use torch.as_tensor(theta)"
            )
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
        if self.degree is not None and not self._warned and theta.requires_grad and torch.is_grad_enabled():
            self._watch_scale(theta)
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
        seconds = time.perf_counter() - began
        if found.y.shape != rows.shape:
            raise ValueError(
                f"{type(self.solver).__name__}.solve returned y of shape {found.y.shape} for theta {rows.shape}"
            )
        report = _report(found, batch)
        y, value = found.y, sign * found.objective
        failed = np.flatnonzero(~found.solved)
        if len(failed):
            y, value = y.copy(), value.copy()
            y[failed], value[failed] = 0.0, 0.0
        stats = self.stats
        stats.calls += 1
        stats.solves += len(rows)
        stats.seconds += seconds
        stats.cached += found.cached
        stats.failures += len(failed)
        stats.feasible += int(np.count_nonzero(found.status == FEASIBLE))
        if not batch or (len(failed) and not bool(report.solved.any())):
            stats.empty += 1
        if len(failed) and (self.on_failure == "raise" or bool((report.status == Status.ERROR).all())):
            raise _error(report, batch)
        return Answer(
            _bridge.to_tensor(y, like=costs).reshape(costs.shape),
            _bridge.to_tensor(value, like=costs).reshape(costs.shape[:-1]),
            report,
        )

    def _watch_scale(self, theta: Float[Tensor, "*dims"]) -> None:
        """Warn, once, when the mean of |θ| is ten times larger or smaller than in the first call that trains."""
        scale = float(torch.linalg.vector_norm(theta.detach(), 1, dtype=torch.float64)) / max(theta.numel(), 1)
        if self._first_scale is None:
            self._first_scale = scale or None
        elif not self._first_scale / DRIFT < scale < self._first_scale * DRIFT:
            self._warned = True
            warnings.warn(
                f"the mean of |theta| went from {self._first_scale:.3g} to {scale:.3g} in training: "
                f"{type(self).__name__} is homogeneous of degree {self.degree} in theta (a Fenchel–Young loss of it of "
                f"degree {(self.degree or 0) + 1}), so nothing holds the scale of theta. Divide theta by its mean "
                "before the layer, or use additive noise",
                stacklevel=2,
            )

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, nn.Parameter) and isinstance(getattr(type(self), name, None), Temperature):
            raise TypeError(
                f"{name} cannot be an nn.Parameter: a layer has no gradient with respect to its temperature. "
                f"Give a float ({name}=parameter.item()) or a schedule, and set layer.{name} between steps"
            )
        super().__setattr__(name, value)

    def extra_repr(self) -> str:
        return f"{type(self.solver).__name__}{self.solver.shape}, on_failure={self.on_failure!r}"


class SmoothedLayer(SolverLayer):
    """A layer that is (the mean of) a gradient: ∇potential(θ) = the layer's mean solution.

    Fenchel–Young losses need nothing else. For costs to be minimised the potential is concave, for θ to be
    maximised convex.

    Attributes:
        temperature: how smooth it is, a positive float or a schedule; the layer's own name for it, such as σ, has
            the unit.
    """

    temperature: Any

    @abstractmethod
    def cost_potential(
        self, costs: Float[Tensor, "b n"], instances: Sequence[Any] | None
    ) -> tuple[Float[Tensor, " b"], Report]:
        """The smoothed optimal value of costs to be minimised, differentiable, and how the rows ended."""

    @not_compiled
    def potential(self, theta: Float[Tensor, "*dims"], instances: Instances | None = None) -> Float[Tensor, "*batch"]:
        """The smoothed optimal value of each θ, shape (*batch): E of the optimal objective under the layer's noise.

        Raises:
            ValueError, SolverError: as in `forward`.
        """
        instances = as_instances(instances)
        value, report = self.cost_potential(self.costs(theta, instances), instances)
        self.record(report, theta)
        value = _nan_unless(report.solved, value)
        value = value if self.solver.sense is Sense.MIN else -value
        return value.reshape(theta.shape[: theta.ndim - len(self.solver.shape)]).to(theta.dtype)


def _nan_unless(solved: Bool[Tensor, "*dims"], y: Tensor) -> Tensor:
    """NaN in failed rows, and no gradient from there, not even a NaN."""
    if bool(solved.all()):
        return y
    return torch.where(solved.to(y.device), y, torch.full_like(y, torch.nan))


def _report(found: Solutions, batch: int) -> Report:
    status = _bridge.worst_status(found.status, batch)
    messages: dict[int, str] = {}
    for row, message in found.messages.items():
        if found.status[row] == status[row % batch]:  # a row's message is of a solve that ended as the row does
            messages.setdefault(row % batch, message)
    return Report(status, messages)


def _error(report: Report, batch: int) -> SolverError:
    rows: list[int] = (~report.solved).nonzero().flatten().tolist()
    statuses = [Status(int(report.status[row])) for row in rows]
    reasons = {row: report.messages.get(row, status.advice) for row, status in zip(rows, statuses, strict=True)}
    return SolverError(rows, [status.name for status in statuses], reasons, batch)
