"""Minimising a convex function over the hull of known points, row by row: the inner step of Frank–Wolfe."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from combdiff.layers.regularizers import Regularizer

STEPS, HALVINGS, BISECTIONS = 100, 40, 50
DROPPED = 1e-13  # a smaller weight is none
RIDGE = 1e-13  # of the largest diagonal entry: affinely dependent points leave the weights undetermined
FALL = 1e-24  # of the size of the objective: a smaller fall is rounding; below its root a value tells nothing
INSIDE = 0.95  # of the way to the boundary, where the Hessian may change on it

Weights = Float[Tensor, "b k"]


class ActiveSet:
    """Points a of each row, with convex weights w that minimise ⟨c, μ⟩ + ⟨h, w⟩ + ε Ω(μ) at μ = Σ w a.

    Newton steps on the weights of the active points, each cut where a weight would become negative, which drops its
    point. For a quadratic Ω every step is exact, so that they are few: Wolfe's method for the nearest point of a hull.

    Args:
        costs, points, heights: c (b, n), the first point of each row (b, n), and its h (b,); all in float64.
        omega, epsilon: Ω and ε.
    """

    def __init__(self, costs: Tensor, points: Tensor, heights: Tensor, omega: Regularizer, epsilon: float) -> None:
        self.costs, self.omega, self.epsilon = costs, omega, epsilon
        self.points, self.heights = points[:, None], heights[:, None]  # shapes: (b, k, n), (b, k)
        self.weights: Weights = torch.ones_like(self.heights)
        self.active: Bool[Tensor, "b k"] = torch.ones_like(self.weights, dtype=torch.bool)

    def mean(self, rows: Tensor, weights: Weights | None = None) -> Float[Tensor, "b n"]:
        """μ of some rows."""
        weights = self.weights[rows] if weights is None else weights
        return (weights[:, :, None] * self.points[rows]).sum(1)

    def slope(self, rows: Tensor, mu: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        """c + ε ∇Ω(μ)."""
        return self.costs[rows] + self.epsilon * self.omega.gradient(mu)

    def value(self, rows: Tensor, weights: Weights | None = None) -> Float[Tensor, " b"]:
        """What is minimised."""
        weights = self.weights[rows] if weights is None else weights
        mu = self.mean(rows, weights)
        linear = (self.costs[rows] * mu).sum(-1) + (self.heights[rows] * weights).sum(-1)
        return linear + self.epsilon * self.omega.value(mu)

    def add(self, rows: Tensor, points: Tensor, heights: Tensor) -> None:
        """Make one more point active in some rows, in the place of one that is not where there is one."""
        free = ~self.active[rows]
        if not bool(free.any(1).all()):
            self.points = torch.cat([self.points, torch.zeros_like(self.points[:, :1])], 1)
            self.heights, self.weights = (
                torch.cat([one, torch.zeros_like(one[:, :1])], 1) for one in (self.heights, self.weights)
            )
            self.active = torch.cat([self.active, torch.zeros_like(self.active[:, :1])], 1)
            free = ~self.active[rows]
        place = free.double().argmax(1)
        self.points[rows, place], self.heights[rows, place] = points, heights
        self.weights[rows, place], self.active[rows, place] = 0.0, True
        if not self.omega.quadratic:
            self._search(rows, place)

    def _search(self, rows: Tensor, place: Tensor) -> None:
        """Give the new point the weight that is best on the line to it: Newton steps begin badly at a boundary."""
        old = self.weights[rows]
        towards = torch.zeros_like(old).scatter_(1, place[:, None], 1.0) - old
        direction, rise = self.mean(rows, towards), (self.heights[rows] * towards).sum(-1)
        low, high = torch.zeros_like(rise), torch.ones_like(rise)
        mu = self.mean(rows)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2.0
            uphill = (self.slope(rows, mu + middle[:, None] * direction) * direction).sum(-1) + rise > 0.0
            low, high = torch.where(uphill, low, middle), torch.where(uphill, middle, high)
        self.weights[rows] = old + low[:, None] * towards

    def minimise(self, rows: Tensor) -> None:
        """Bring some rows to their minimum."""
        for _ in range(STEPS):
            mu, weights = self.mean(rows), self.weights[rows]
            slope = (self.points[rows] * self.slope(rows, mu)[:, None]).sum(-1) + self.heights[rows]
            size = (slope.abs() * weights).sum(-1)
            slope = slope - (weights * slope).sum(-1, keepdim=True)  # a constant, as d sums to 0, that hides the fall
            direction = self.solve(rows, mu, slope, RIDGE if self.omega.quadratic else 1e3 * RIDGE)
            fall = -(slope * direction).sum(-1)
            open_ = fall > FALL * size
            if not bool(open_.any()):
                return
            rows, weights, direction, fall, size = (one[open_] for one in (rows, weights, direction, fall, size))
            room = torch.where(direction < 0.0, -weights / direction, torch.inf)
            most = room.amin(1)
            step = most.clamp(max=1.0)
            if not self.omega.quadratic:
                step = self._backtrack(rows, weights, direction, fall, (INSIDE * most).clamp(max=1.0), size)
            weights = weights + step[:, None] * direction
            blocked = (room <= step[:, None]) & self.active[rows]
            gone = blocked | (weights < DROPPED) & (direction < 0.0)
            weights = weights.masked_fill(gone, 0.0).clamp_(min=0.0)
            self.active[rows] = self.active[rows] & ~gone
            self.weights[rows] = weights / weights.sum(1, keepdim=True)

    def _backtrack(
        self, rows: Tensor, weights: Weights, direction: Weights, fall: Tensor, step: Tensor, size: Tensor
    ) -> Tensor:
        """Halve steps until the value falls; near the minimum, where it cannot tell, a Newton step is right."""
        before, told = self.value(rows, weights), fall > FALL**0.5 * size
        for _ in range(HALVINGS):
            bad = told & (self.value(rows, weights + step[:, None] * direction) > before - 1e-4 * step * fall)
            if not bool(bad.any()):
                return step
            step = torch.where(bad, step / 2.0, step)
        return step.masked_fill(bad, 0.0)

    def solve(self, rows: Tensor, mu: Float[Tensor, "b n"], slope: Weights, ridge: float = RIDGE) -> Weights:
        """The d of active entries, with sum 0, at which ⟨slope, d⟩ + ½ dᵀ A ε∇²Ω(μ) Aᵀ d is the least."""
        points, active = self.points[rows], self.active[rows]
        hessian = self.epsilon * self.omega.hessian(mu)
        bent = points * hessian[:, None] if hessian.ndim == 2 else points @ hessian
        count = points.shape[1]
        system = torch.zeros(len(points), count + 1, count + 1, dtype=points.dtype, device=points.device)
        system[:, :count, :count] = bent @ points.transpose(1, 2)
        both = active[:, :, None] & active[:, None, :]
        system[:, :count, :count] *= both
        diagonal = system.diagonal(dim1=1, dim2=2)
        largest = diagonal.amax(1, keepdim=True).clamp(min=torch.finfo(points.dtype).tiny)
        diagonal[:, :count] += torch.where(active, ridge * largest, largest)
        system[:, :count, count] = system[:, count, :count] = active * largest
        right = torch.cat([-slope.masked_fill(~active, 0.0), torch.zeros_like(slope[:, :1])], 1)
        return torch.linalg.solve(system, right)[:, :count] * active
