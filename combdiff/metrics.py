"""How good predicted solutions and costs are, row by row, in cost space (for rewards to be maximised pass −θ)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def regret(
    y: Float[Tensor, "*#batch n"], y_best: Float[Tensor, "*#batch n"], costs: Float[Tensor, "*#batch n"]
) -> Float[Tensor, "*batch"]:
    """What it costs to have taken y in place of the best solution: ⟨c, y⟩ − ⟨c, y_best⟩, in units of c.

    Args:
        y: (*batch, n), the solutions of predicted costs; batch dimensions broadcast.
        y_best: (*batch, n), optimal solutions for the true costs.
        costs: (*batch, n), the true costs, to be minimised.

    Source: Elmachtoub & Grigas (2022), "Smart predict, then optimize", definition 1 (for one solution y; where the
    predicted costs have ties, theirs is the worst over the tied solutions).

    >>> costs = torch.tensor([1.0, 2.0, 4.0])
    >>> regret(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]), costs)
    tensor(3.)
    """
    return (costs * (y - y_best)).sum(-1)


def cost_ratio(
    y: Float[Tensor, "*#batch n"], y_best: Float[Tensor, "*#batch n"], costs: Float[Tensor, "*#batch n"]
) -> Float[Tensor, "*batch"]:
    """⟨c, y⟩ / ⟨c, y_best⟩: 1 for an optimal solution. It means something where optimal costs are positive.

    Args:
        y, y_best, costs: as for `regret`.

    >>> costs = torch.tensor([1.0, 2.0, 4.0])
    >>> cost_ratio(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0]), costs)
    tensor(2.)
    """
    return (costs * y).sum(-1) / (costs * y_best).sum(-1)


def is_optimal(
    y: Float[Tensor, "*#batch n"],
    y_best: Float[Tensor, "*#batch n"],
    costs: Float[Tensor, "*#batch n"],
    tolerance: float = 1e-9,
) -> Bool[Tensor, "*batch"]:
    """Which solutions cost as little as the best one. Costs are compared: optimal solutions are often not unique.

    Args:
        y, y_best, costs: as for `regret`; in float64 if the tolerance is to mean something.
        tolerance: how much more, relative to the best cost, still counts as optimal.

    >>> is_optimal(torch.eye(3), torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 4.0]))
    tensor([ True,  True, False])
    """
    best = (costs * y_best).sum(-1)
    return (costs * y).sum(-1) - best <= tolerance * best.abs()


def optimal_rate(
    y: Float[Tensor, "*#batch n"],
    y_best: Float[Tensor, "*#batch n"],
    costs: Float[Tensor, "*#batch n"],
    tolerance: float = 1e-9,
) -> float:
    """The share of rows that are optimal, in [0, 1]; NaN of no rows. See `is_optimal`.

    >>> optimal_rate(torch.eye(2), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 4.0]))
    0.5
    """
    return float(is_optimal(y, y_best, costs, tolerance).double().mean())


def spearman(a: Float[Tensor, "*batch n"], b: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """Spearman's rank correlation of each row of a with that of b, in [−1, 1]; ties share their mean rank.

    A row in which either side is constant has no rank correlation: it is NaN.

    >>> spearman(torch.tensor([[1.0, 5.0, 9.0], [1.0, 1.0, 1.0]]), torch.tensor([[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]))
    tensor([1., nan], dtype=torch.float64)
    """
    rank_a, rank_b = _centred_ranks(a), _centred_ranks(b)
    product = (rank_a * rank_b).sum(-1)
    return product / torch.sqrt(rank_a.square().sum(-1) * rank_b.square().sum(-1))


def _centred_ranks(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
    x = x.detach().contiguous()
    ordered = x.sort(dim=-1).values
    below = torch.searchsorted(ordered, x)
    not_above = torch.searchsorted(ordered, x, right=True)
    return (below + not_above).double() / 2 - x.shape[-1] / 2
