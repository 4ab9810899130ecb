"""The bases of every layer: a solver as a module, with a gradient."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from combdiff.autograd import not_compiled, with_gradient
from combdiff.needs import Needs
from combdiff.oracle import Costs, OnFailure, Oracle, Report, Stats
from combdiff.temperature import Adaptive, Auto, Temperature
from combdiff_solvers.protocol import Instances, Sense, Sets, Solver, as_instances

DRIFT = 10.0  # by this factor the mean of |θ| may change before a homogeneous method warns


class SolverLayer(nn.Module, ABC):
    """A solver as a differentiable layer: θ ↦ y(θ), of θ's shape, dtype and device.

    Its oracle turns θ into costs. A subclass, which never sees a sense, says in `_estimate` what it returns for costs
    to be minimised and what the gradient is.

    Args:
        solver: what solves a batch of rows.
        on_failure: what becomes of rows without a solution. `"raise"`: an error that names them, their status and
            the fix. `"mask"`: they are NaN in y and zero in the gradient, and `layer.last.status` tells. A batch whose
            every row is an ERROR raises all the same: that is a fault of the solver, not of the data.

    Attributes:
        oracle: the `Oracle` over the solver; a loss may share it (`Oracle.of(layer)`).
        stats: counts of solves, seconds, cache hits, failures, rows that are not proven optimal ...
        last: a `Report` on the rows of the last call of the layer or of its loss (None before it). Threads may share a
            layer: each gets the mask of its own rows, and `last` is of the call that ended last.
        degree: k where y(aθ) = aᵏ y(θ) for every a > 0 under the same noise (of a solver without a term h(y)), None
            where no k does it. With degree 0 nothing holds the scale of θ in training: a warning is given, once, when
            the mean of |θ| has changed by a factor of 10.
        temperature: of the layer, under the name that all share; None where it has none.
        needs: what it asks of the data and of the solver.
        theta_sets_unit: whether the temperature is in units of θ; else it is in those of θ² over the loss (of a step).
        noise_sets_unit: whether it is beside noise of a size of its own, so that it need not grow with θ.

    A row whose solve was cut short (`Status.FEASIBLE`) counts by its incumbent, forward and backward; `stats.feasible`
    counts such rows, and `stats.gap` says how far from the optimum they may be.

    Laws, each a test of `combdiff.testing.LayerContract`: a batch is its rows; any leading batch dimensions; min of θ
    is max of −θ; every float dtype; NaN and inf are refused; one bad row costs no other its gradient.
    """

    degree: Any = None  # int | None, a class attribute or a property
    temperature: Any = None
    needs: Needs = Needs(no_potential="its gradient is not that of a function of theta")
    theta_sets_unit = False
    noise_sets_unit = False

    def __init__(self, solver: Solver, on_failure: OnFailure = "raise") -> None:
        super().__init__()
        self.oracle = Oracle(solver, on_failure)
        self._first_scale: float | None = None
        self._warned = False

    @property
    def solver(self) -> Solver:
        return self.oracle.solver

    @property
    def on_failure(self) -> OnFailure:
        return self.oracle.on_failure

    @property
    def stats(self) -> Stats:
        return self.oracle.stats

    @property
    def last(self) -> Report | None:
        return self.oracle.last

    @abstractmethod
    def _estimate(self, costs: Costs, instances: Sets) -> tuple[Costs, Report]:
        """The layer on costs to be minimised, differentiable, and how the rows ended; failed rows may be anything."""

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
        y, report = self._estimate(self.costs(theta), as_instances(instances))
        self.oracle.record(report, theta)
        if report.failed is not None:  # NaN in failed rows, and no gradient from there, not even a NaN
            y = y.masked_fill(report.failed.to(y.device).unsqueeze(-1), torch.nan)
        return y if y.shape == theta.shape and y.dtype == theta.dtype else y.reshape(theta.shape).to(theta.dtype)

    def costs(self, theta: Float[Tensor, "*dims"]) -> Costs:
        """θ as costs to be minimised, see `Oracle.costs`; watch its scale where nothing holds it."""
        costs = self.oracle.costs(theta)
        if self.degree is not None and not self._warned and theta.requires_grad and torch.is_grad_enabled():
            self._watch_scale(theta)
        return costs

    def adaptive(self, temperature: Any) -> Adaptive | None:
        """The schedule that wants a measurement of this call; None for any other temperature, and outside training."""
        if type(temperature) is float or not isinstance(temperature, Adaptive):
            return None
        return temperature if self.training and torch.is_grad_enabled() else None

    def as_theta(self, costs: Costs) -> Float[Tensor, rows * dims]:
        """Costs to be minimised as the θ of as many rows that makes them."""
        costs = costs.detach().reshape(-1, *self.solver.shape)
        return costs if self.solver.sense is Sense.MIN else -costs

    def ask(self, auto: Auto, costs: Costs, gradient: Costs, instances: Sets) -> None:
        """Have a temperature chosen for costs to be minimised and a gradient ∂L/∂y, in a backward pass."""
        theta = self.as_theta(costs)
        auto.choose(self, theta, gradient=gradient.reshape(theta.shape), instances=instances)

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

    needs = Needs()
    theta_sets_unit = True

    @abstractmethod
    def cost_potential(self, costs: Costs, instances: Sets) -> tuple[Float[Tensor, " b"], Costs, Report]:
        """The smoothed optimal value of costs to be minimised, its gradient by them, and how the rows ended.

        The costs require no gradient. Failed rows may be anything finite.
        """

    def conjugate(self, y: Costs) -> Float[Tensor, " b"] | None:
        """What the smoothing costs at y, which a Fenchel–Young loss adds; None where it is not known (noise)."""
        return None

    def _strength(self, costs: Costs, instances: Sets) -> float:
        """The temperature now."""
        temperature = self.temperature
        if isinstance(temperature, Auto):
            temperature.choose(self, self.as_theta(costs), instances=instances, growth=1.0, again=True)
        return float(temperature)

    @not_compiled
    def potential(self, theta: Float[Tensor, "*dims"], instances: Instances | None = None) -> Float[Tensor, "*batch"]:
        """The smoothed optimal value of each θ, shape (*batch): E of the optimal objective under the layer's noise.

        Raises:
            ValueError, SolverError: as in `forward`.
        """
        costs = self.costs(theta)
        value, gradient, report = self.cost_potential(costs.detach(), as_instances(instances))
        self.oracle.record(report, theta)
        value = with_gradient(value, gradient, costs)
        if report.failed is not None:
            value = value.masked_fill(report.failed.to(value.device), torch.nan)
        value = value if self.solver.sense is Sense.MIN else -value
        return value.reshape(theta.shape[: theta.ndim - len(self.solver.shape)]).to(theta.dtype)
