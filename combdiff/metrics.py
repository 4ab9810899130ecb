"""How good predicted solutions and costs are, row by row.

A metric has to know where a row ends: a batch of 12 vectors and one grid of 12×12 look alike. So each takes the solver,
from which it reads the shape of a row, the sense and the model's own term h(y); or else that shape alone, for costs
that are to be minimised without an h. Metrics are computed in float64, and have no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float64, Real, Shaped
from torch import Tensor

from combdiff import _bridge
from combdiff.retrieval import average_precision as average_precision
from combdiff.retrieval import ndcg as ndcg
from combdiff.retrieval import reciprocal_rank as reciprocal_rank
from combdiff_solvers.protocol import Solver, as_rows, check_count, value

Row = Solver | Sequence[int]
Rows = Shaped[Tensor, "..."]  # shape: (*batch, *shape)
Costs = Real[Tensor, "..."]  # shape: (*batch, *shape)
PerRow = Float64[Tensor, "..."]  # shape: (*batch,)
Instances = Sequence[Any] | None


def regret(y: Rows, y_best: Rows, costs: Costs, solver: Row, instances: Instances = None) -> PerRow:
    """What it costs to have taken y in place of the best solution, in units of the costs: never negative.

    For c to be minimised ⟨c, y⟩ + h(y) − (⟨c, y_best⟩ + h(y_best)); for a maximum the negative of that.

    Args:
        y: (*batch, *shape), the solutions of predicted costs; the batch dimensions of the three tensors broadcast.
        y_best: (*batch, *shape), optimal solutions for the true costs.
        costs: (*batch, *shape), the true costs c (rewards, where the solver maximises).
        solver: the solver, or the shape of its rows, such as `(12, 12)`: then costs are to be minimised, and h = 0.
        instances: the feasible set of each row, for a solver whose h depends on it.

    Returns:
        (*batch) float64; NaN in a row whose y is NaN (a masked one), or has no h. Where y_best is an incumbent, of a
        solve that was cut short, it may be negative: `regret_interval` says what is certain.

    Raises:
        TypeError: for a solver that is neither a solver nor a shape.
        ValueError: for a tensor whose last dimensions are not the solver's shape, batch dimensions that do not
            broadcast, another number of instances than rows, or costs that are not finite.

    Source: Elmachtoub & Grigas (2022), "Smart predict, then optimize", definition 1 (for one solution y; where the
    predicted costs have ties, theirs is the worst over the tied solutions).

    >>> costs = torch.tensor([1.0, 2.0, 4.0])
    >>> regret(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]), costs, (3,))
    tensor(3., dtype=torch.float64)
    >>> from combdiff.solvers import TopK
    >>> regret(torch.eye(3), torch.tensor([0.0, 0.0, 1.0]), costs, TopK(3, 1, "max"))
    tensor([3., 2., 0.], dtype=torch.float64)
    """
    own, best = _values(y, y_best, costs, solver, instances)
    return own - best


def regret_interval(
    y: Rows, y_best: Rows, bound: Costs, costs: Costs, solver: Row, instances: Instances = None
) -> tuple[PerRow, PerRow]:
    """Ends of an interval that holds the regret for certain, also where the solve for the true costs was cut short.

    With an incumbent ỹ of that solve and its proven bound, for c to be minimised,

        low = max(0, ⟨c, y⟩ + h(y) − (⟨c, ỹ⟩ + h(ỹ)))          high = ⟨c, y⟩ + h(y) − bound

    both rounded outwards by the errors of float64. (Of h, which the model computes itself, 2⁻⁴⁰ counts as its error.)
    For feasible y and ỹ the regret is in between: no point is better than the bound, and the best is no worse than ỹ.
    high < low says that y is better than what is proven: it is infeasible, or of another instance.

    Args:
        y, costs, solver, instances: as for `regret`, with its errors.
        y_best: (*batch, *shape), the incumbents: `Solutions.y` of the solve for `costs`. NaN in a row without one,
            whose low end is 0.
        bound: (*batch) float64, `Solutions.bound` of that solve, in the solver's own sense: with −inf (min) or +inf
            (max), where nothing is proven, the high end is inf. (A float32 would round what is proven.)

    Returns:
        low and high, (*batch) float64; NaN in a row whose y is NaN, or has no h.

    Raises:
        TypeError: for a bound that is not float64, and as `regret`.
        ValueError: for a bound of another shape than the batch, and as `regret`.

    >>> import numpy as np
    >>> from combdiff.solvers import MixedInteger
    >>> knapsack = MixedInteger([[3, 4, 2]], 6, integrality=1, bounds=(0, 1), sense="max", relative_gap=0.5)
    >>> costs, y = torch.tensor([[5.0, 6.0, 3.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    >>> found = knapsack.solve(np.array([[5.0, 6.0, 3.0]]))
    >>> low, high = regret_interval(y, torch.as_tensor(found.y), torch.as_tensor(found.bound), costs, knapsack)
    >>> bool(low <= 1.0 <= high)  # of the best solution, items 1 and 2, y lacks 1
    True
    """
    if bound.dtype is not torch.float64:
        raise TypeError(f"bound has dtype {bound.dtype}, and must be float64: rounding it would undo the proof")
    own, best = _values(y, y_best, costs, solver, instances)
    try:
        bound = bound.detach().to(own.device).broadcast_to(own.shape)
    except RuntimeError as error:
        raise ValueError(f"bound has shape {tuple(bound.shape)}, but the batch is {tuple(own.shape)}") from error
    sign = solver.sense.sign if isinstance(solver, Solver) else 1.0
    points, incumbents, prices = _rows(solver, y=y, y_best=y_best, costs=costs)
    error = _rounding(own, points, sign * prices)
    none = torch.zeros_like(own)
    low = torch.fmax(own - best - error - _rounding(best, incumbents, sign * prices), none)
    high = own - sign * bound + error + bound.nan_to_num(0.0, 0.0, 0.0).abs() * 2.0**-51
    high = torch.nextafter(high, none + torch.inf).where(own.abs() < torch.inf, torch.inf)
    return torch.nextafter(low, none).where(~own.isnan(), torch.nan), high.where(~own.isnan(), torch.nan)


def cost_ratio(y: Rows, y_best: Rows, costs: Costs, solver: Row, instances: Instances = None) -> PerRow:
    """The objective of y over that of y_best: 1 for an optimal solution, more for a worse one (less for a maximum).

    It means something where optimal objectives are positive.

    Args:
        y, y_best, costs, solver, instances: as for `regret`, with its errors.

    >>> costs = torch.tensor([1.0, 2.0, 4.0])
    >>> cost_ratio(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]), costs, (3,))
    tensor(2., dtype=torch.float64)
    """
    own, best = _values(y, y_best, costs, solver, instances)
    return own / best


def is_optimal(
    y: Rows, y_best: Rows, costs: Costs, solver: Row, instances: Instances = None, tolerance: float = 1e-9
) -> Bool[Tensor, "*batch"]:
    """Which solutions are worth as much as the best one. Objectives are compared: solutions are often not unique.

    Args:
        y, y_best, costs, solver, instances: as for `regret`, with its errors. A row whose y is NaN is not optimal.
        tolerance: how much worse, relative to the best objective, still counts as optimal.

    >>> is_optimal(torch.eye(3), torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 4.0]), (3,))
    tensor([ True,  True, False])
    """
    own, best = _values(y, y_best, costs, solver, instances)
    return own - best <= tolerance * best.abs()


def optimal_rate(
    y: Rows, y_best: Rows, costs: Costs, solver: Row, instances: Instances = None, tolerance: float = 1e-9
) -> float:
    """The share of rows that are optimal, in [0, 1]; NaN of no rows. See `is_optimal`.

    >>> optimal_rate(torch.eye(2), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 4.0]), (2,))
    0.5
    """
    return float(is_optimal(y, y_best, costs, solver, instances, tolerance).double().mean())


def spearman(a: Costs, b: Costs, solver: Row) -> PerRow:
    """Spearman's rank correlation of each row of a with that of b, in [−1, 1]; ties share their mean rank.

    A row in which either side is constant has no rank correlation: it is NaN.

    Args:
        a, b: (*batch, *shape).
        solver: the solver, or the shape of its rows, such as `(12, 12)`: all entries of a row are ranked together.

    Raises:
        TypeError, ValueError: as `regret`.

    >>> a, b = torch.tensor([[1.0, 5.0, 9.0], [1.0, 1.0, 1.0]]), torch.tensor([[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]])
    >>> spearman(a, b, (3,))
    tensor([1., nan], dtype=torch.float64)
    """
    rank_a, rank_b = (_centred_ranks(part) for part in _rows(solver, a=a, b=b))
    product = (rank_a * rank_b).sum(-1)
    return product / torch.sqrt(rank_a.square().sum(-1) * rank_b.square().sum(-1))


def kendall(a: Costs, b: Costs, solver: Row) -> PerRow:
    """Kendall's rank correlation τ_b of each row of a with that of b, in [−1, 1].

    Pairs of entries in the same order minus those in opposite orders, over √(n_a n_b), where n_a pairs differ in a and
    n_b in b: a pair that is tied on either side is in no order. Without ties this is (same − opposite) / (all pairs).
    A row in which either side is constant, or that holds a NaN, has no rank correlation: it is NaN. O(n²).

    Args:
        a, b, solver: as for `spearman`, with its errors.

    Source: Kendall (1945), "The treatment of ties in ranking problems".

    >>> a, b = torch.tensor([[1.0, 5.0, 9.0], [1.0, 1.0, 2.0]]), torch.tensor([[0.1, 0.3, 0.2], [1.0, 2.0, 3.0]])
    >>> kendall(a, b, (3,))
    tensor([0.3333, 0.8165], dtype=torch.float64)
    """
    flat = [part.detach() for part in _rows(solver, a=a, b=b)]
    sums = torch.zeros(3, *flat[0].shape[:-1], dtype=torch.float64, device=flat[0].device)
    for lag in range(1, flat[0].shape[-1]):
        s, t = ((x[..., lag:] > x[..., :-lag]).double() - (x[..., lag:] < x[..., :-lag]).double() for x in flat)
        sums += torch.stack([(s * t).sum(-1), s.square().sum(-1), t.square().sum(-1)])
    known = ~(flat[0].isnan() | flat[1].isnan()).any(-1)
    return (sums[0] / torch.sqrt(sums[1] * sums[2])).where(known, torch.nan)


def _shape(solver: Row) -> tuple[int, ...]:
    if isinstance(solver, Solver):
        return solver.shape
    if isinstance(solver, tuple | list) and all(isinstance(size, int) for size in solver):
        return tuple(solver)
    raise TypeError(f"solver={solver!r} must be the solver, or the shape of its rows as a tuple, such as (12, 12)")


def _rows(solver: Row, **tensors: Tensor) -> list[Tensor]:
    """The tensors with their batch dimensions broadcast and each row flat: (*batch, n).

    Raises:
        TypeError, ValueError: as `regret`.
    """
    shape = _shape(solver)
    for name, tensor in tensors.items():
        if tensor.ndim < len(shape) or tuple(tensor.shape[tensor.ndim - len(shape) :]) != shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}, but rows of shape {shape} need (*batch, "
                f"{', '.join(map(str, shape))})"
            )
    try:
        alike = torch.broadcast_tensors(*tensors.values())  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"the batch dimensions do not broadcast: {shapes}") from error
    return [tensor.reshape(*tensor.shape[: tensor.ndim - len(shape)], prod(shape)) for tensor in alike]


def _values(y: Tensor, y_best: Tensor, costs: Tensor, solver: Row, instances: Instances) -> tuple[PerRow, PerRow]:
    """The objectives of y and of y_best as costs: negated for a solver that maximises."""
    y, y_best, costs = _rows(solver, y=y, y_best=y_best, costs=costs)
    theta = as_rows(_bridge.to_rows(costs), _shape(solver))
    if instances is not None:
        check_count(instances, len(theta))

    def objective(part: Tensor) -> PerRow:
        points = _bridge.to_rows(part)
        if isinstance(solver, Solver):
            found = solver.sense.sign * value(solver, points, theta, instances)
        else:
            found = (theta * points).sum(1)
        return _bridge.to_tensor(found, costs.new_empty(0, dtype=torch.float64), costs.shape[:-1])

    return objective(y), objective(y_best)


def _rounding(value: PerRow, y: Tensor, costs: Tensor) -> PerRow:
    """By how much an objective of n products and an h may be wrong in float64, and a difference from it."""
    products = y.detach().double() * costs.detach().double()
    own = (value - products.sum(-1)).abs()
    return 2.0**-51 * ((products.shape[-1] + 2) * products.abs().sum(-1) + value.abs()) + 2.0**-40 * own


def _centred_ranks(x: Real[Tensor, "*batch n"]) -> Float64[Tensor, "*batch n"]:
    x = x.detach().contiguous()
    ordered = x.sort(dim=-1).values
    below = torch.searchsorted(ordered, x)
    not_above = torch.searchsorted(ordered, x, right=True)
    return (below + not_above).double() / 2 - x.shape[-1] / 2
