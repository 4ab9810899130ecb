"""The pool of solutions, and the losses over it, against enumeration."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import kl_div

from combdiff import SolutionPool, wrap
from combdiff.losses import ContrastiveMAPLoss, LearningToRankLoss, NoiseContrastiveLoss
from combdiff.solvers import GraphInstances, ShortestPath, TopK
from combdiff.testing import HYPERSIMPLEX, Enumerated

POINTS = torch.from_numpy(HYPERSIMPLEX)
HELD = POINTS[:5]  # of the pool: not all
both = pytest.mark.parametrize("sense", ["min", "max"])


def draws(sense: str, count: int = 30) -> tuple[Tensor, Tensor, Tensor, float]:
    """θ, true costs, the best solutions, and the sign that makes costs of them."""
    sign = 1.0 if sense == "min" else -1.0
    theta, c_true = torch.randn(2, count, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return theta, c_true, POINTS[(sign * c_true @ POINTS.T).argmin(1)], sign


def pool_of(sense: str = "min") -> SolutionPool:
    pool = SolutionPool(Enumerated(HYPERSIMPLEX, sense))
    pool.add(HELD)
    return pool


@both
def test_noise_contrastive_is_its_definition(sense: str) -> None:
    theta, c_true, y_true, sign = draws(sense)
    loss = NoiseContrastiveLoss(pool_of(sense), reduction="none")
    for p, given in ((sign * theta, {}), (sign * (theta - c_true), {"c_true": c_true})):
        expected = (p * y_true).sum(1) - (p @ HELD.T).mean(1)
        torch.testing.assert_close(loss(theta, y_true, **given), expected)
    assert loss.stats.solves == 0


@both
def test_contrastive_map_is_its_definition(sense: str) -> None:
    theta, c_true, y_true, sign = draws(sense)
    loss = ContrastiveMAPLoss(pool_of(sense), reduction="none")
    for p, given in ((sign * theta, {}), (sign * (theta - c_true), {"c_true": c_true})):
        expected = ((p * y_true).sum(1) - (p @ HELD.T).amin(1)).clamp(min=0)
        torch.testing.assert_close(loss(theta, y_true, **given), expected)
        assert (expected > 0).any()
    assert (loss(c_true, y_true) == 0).all()
    assert (loss(c_true, y_true, c_true=c_true) == 0).all()


@both
@pytest.mark.parametrize("tau", [0.5, 2.0])
def test_learning_to_rank_is_its_definition(sense: str, tau: float) -> None:
    theta, c_true, _, sign = draws(sense)
    v, predicted = sign * c_true @ HELD.T, sign * theta @ HELD.T
    q = torch.softmax(-v / tau, 1)
    listwise = kl_div(torch.log_softmax(-predicted / tau, 1), q, reduction="none").sum(1)
    best = v.argmin(1, keepdim=True)
    pairwise = (tau + predicted.gather(1, best) - predicted).clamp(min=0)
    pairwise = pairwise.scatter(1, best, 0.0).sum(1) / (len(HELD) - 1)
    pointwise = (predicted - v).square().mean(1)
    for kind, expected in (("list", listwise), ("pair", pairwise), ("point", pointwise)):
        loss: Any = LearningToRankLoss(pool_of(sense), kind, tau, reduction="none")  # type: ignore[arg-type]
        torch.testing.assert_close(loss(theta, c_true), expected)
        assert (loss(theta, c_true) > 1e-6).any()
        at_truth = loss(20 * c_true if kind == "pair" else c_true, c_true)
        assert (at_truth < 1e-9).all() or kind == "pair"


def test_an_order_that_leads_by_the_margin_costs_nothing() -> None:
    loss = LearningToRankLoss(pool_of(), "pair", 1.0)
    c_true = torch.tensor([1.0, 2.0, 4.0, 8.0])
    assert loss(c_true, c_true).item() == 0
    assert loss(0.5 * c_true, c_true).item() == 0  # the best is worth 3, the next 5
    assert loss(0.25 * c_true, c_true).item() == pytest.approx(((1.0 - 0.5) + (1.0 - 0.75)) / 4)  # 5 and 6 follow
    tied = torch.tensor([1.0, 1.0, 1.0, 9.0])
    assert loss(torch.tensor([1.0, 3.0, 1.0, 30.0]), tied).item() == 0  # equally good ones are in no order


@pytest.mark.parametrize("kind", [NoiseContrastiveLoss, ContrastiveMAPLoss, LearningToRankLoss])
def test_rows_see_the_solutions_of_their_instance_alone(kind: Any) -> None:
    """Paths from vertex 0 and from vertex 1: a batch of both is each alone, over pools of their own."""
    edges = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]
    solver = ShortestPath.graph(edges, target=3, negative="exact")
    starts = GraphInstances(source=np.array([0, 1, 0, 1, 0, 1]))
    costs = torch.rand(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    pool = SolutionPool(solver)
    y_true = pool.solve(costs, starts)
    from_1 = pool.solutions(starts[1])
    assert (from_1[:, :2] == 0).all()
    assert (pool.solutions(starts[0])[:, :2].sum(1) == 1).all()
    pool.add(torch.tensor([[0, 0, 0, 1.0, 0], [0, 0, 1, 0, 1]]), [starts[1]] * 2)  # all of vertex 1, not of vertex 0
    theta = costs.roll(1, 0).requires_grad_()
    loss = kind(pool, reduction="none")
    target = costs if kind is LearningToRankLoss else y_true
    found = loss(theta, target, starts)
    for row in range(6):
        own = SolutionPool(solver)
        own.add(pool.solutions(starts[row]))
        alone = ShortestPath.graph(edges, int(starts.source[row]), 3, negative="exact")  # type: ignore[index]
        own.oracle.solver = alone
        torch.testing.assert_close(kind(own, reduction="none")(theta[row], target[row]), found[row])
    (gradient,) = torch.autograd.grad(found.sum(), theta)
    assert (gradient[1::2, :2] == 0).all(), "an edge that no path of this row has"
    assert torch.autograd.gradcheck(lambda part: loss(part, target, starts), theta)


def test_a_term_of_the_model_counts() -> None:
    h = 5.0 * HELD[:, 0]
    solver = wrap(lambda cost: HYPERSIMPLEX[(HYPERSIMPLEX @ cost).argmin()], shape=4, h=lambda y: 5.0 * float(y[0]))
    pool = SolutionPool(solver)
    pool.add(HELD)
    theta, c_true, y_true, _ = draws("min")
    worth, values = (theta * y_true).sum(1) + 5.0 * y_true[:, 0], theta @ HELD.T + h
    nce, contrast = NoiseContrastiveLoss(pool, reduction="none"), ContrastiveMAPLoss(pool, reduction="none")
    torch.testing.assert_close(nce(theta, y_true), worth - values.mean(1))
    torch.testing.assert_close(contrast(theta, y_true), (worth - values.amin(1)).clamp(min=0))
    p = theta - c_true
    torch.testing.assert_close(nce(theta, y_true, c_true=c_true), (p * y_true).sum(1) - (p @ HELD.T).mean(1))
    listed = LearningToRankLoss(pool, reduction="none")
    q = torch.softmax(-(c_true @ HELD.T) - h, 1)
    torch.testing.assert_close(listed(theta, c_true), kl_div(torch.log_softmax(-values, 1), q, reduction="none").sum(1))


def test_a_pool_keeps_different_solutions_the_latest_and_no_nan() -> None:
    pool = SolutionPool(TopK(3), size=2)
    pool.add(torch.tensor([[[1.0, 0, 0], [1.0, 0, 0]], [[0, 1.0, 0], [torch.nan, 0, 0]]]))
    assert len(pool) == 2
    pool.add(torch.tensor([0, 0, 1.0]))
    assert pool.solutions().tolist() == [[0, 1, 0], [0, 0, 1]]
    assert pool.solutions("elsewhere").shape == (0, 3)


def test_a_share_of_the_calls_solves_and_adds() -> None:
    pool = SolutionPool(TopK(6))
    pool.add(torch.eye(6)[:1])
    loss = NoiseContrastiveLoss(pool, solve_ratio=0.25)
    solved = []
    for step in range(40):
        loss(torch.eye(6)[step % 6], torch.eye(6)[0])
        solved.append(loss.last is not None and loss.last.y is not None)
    assert sum(solved) == loss.stats.calls
    assert abs(sum(solved) - 10) <= 1
    assert len(pool) > 2
    other = ContrastiveMAPLoss(pool)
    assert other.pool is loss.pool
    assert other.oracle is loss.oracle


def test_bad_pools_are_refused() -> None:
    solver = Enumerated(HYPERSIMPLEX)
    with pytest.raises(ValueError, match=r"no feasible solution for row 0: it holds no solution at all.*pool\.solve"):
        NoiseContrastiveLoss(SolutionPool(solver))(torch.ones(2, 4), POINTS[:2].float())
    pool = SolutionPool(solver)
    pool.add(POINTS[:2], [[0, 1], [0, 1]])
    with pytest.raises(ValueError, match="no feasible solution for row 1: it holds solutions of 1 other instances"):
        LearningToRankLoss(pool)(torch.ones(2, 4), torch.ones(2, 4), [[0, 1], [2, 3]])
    with pytest.raises(ValueError, match="no feasible solution for row 0"):
        LearningToRankLoss(pool)(torch.ones(2, 4), torch.ones(2, 4))
    with pytest.raises(TypeError, match=r"pool is a Enumerated, but must be a combdiff\.SolutionPool"):
        NoiseContrastiveLoss(solver)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"solve_ratio=1\.5 must be from 0 to 1"):
        NoiseContrastiveLoss(pool, 1.5)
    with pytest.raises(ValueError, match="kind='triple' is none of 'list'"):
        LearningToRankLoss(pool, "triple")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size=0 must be at least 1"):
        SolutionPool(solver, size=0)
    with pytest.raises(ValueError, match=r"y has shape \(3,\), but needs \(\*batch, 4\)"):
        pool.add(torch.ones(3))
    with pytest.raises(TypeError, match="y is a list"):
        pool.add([1.0, 0.0, 0.0, 0.0])  # type: ignore[arg-type]
