"""The metrics against SciPy, and against their own definitions."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from combdiff.metrics import cost_ratio, is_optimal, kendall, optimal_rate, regret, spearman
from combdiff.solvers import ShortestPath
from combdiff.testing import Enumerated


@pytest.mark.parametrize(
    ("metric", "reference"), [(spearman, scipy.stats.spearmanr), (kendall, scipy.stats.kendalltau)]
)
def test_rank_correlations_are_scipys_with_and_without_ties(metric: Any, reference: Any) -> None:
    rng = np.random.default_rng(0)
    for a, b in [
        (rng.standard_normal((7, 30)), rng.standard_normal((7, 30))),
        (rng.integers(0, 5, (7, 30)), rng.integers(0, 3, (7, 30))),
    ]:
        expected = [reference(x, y).statistic for x, y in zip(a, b, strict=True)]
        found = metric(torch.from_numpy(a.astype(float)), torch.from_numpy(b.astype(float)), (30,))
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("metric", [spearman, kendall])
def test_rank_correlations_see_the_order_only_and_have_no_gradient(metric: Any) -> None:
    x = torch.randn(2, 3, 20, requires_grad=True)
    assert metric(x, torch.exp(3 * x), (20,)).flatten().tolist() == pytest.approx([1.0] * 6)
    assert metric(x, -x, (20,)).flatten().tolist() == pytest.approx([-1.0] * 6)
    assert not metric(x, x, (20,)).requires_grad
    assert bool(metric(x, torch.ones_like(x), (20,)).isnan().all())


def test_kendall_of_a_grid_of_integers_and_of_rows_with_holes() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (2, 3, 4, 4))
    expected = [scipy.stats.kendalltau(x.ravel(), y.ravel()).statistic for x, y in zip(a, b, strict=True)]
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    assert kendall(x, y, (4, 4)).tolist() == pytest.approx(expected)
    big = 2**60 + x  # float64 would see ties only
    assert torch.equal(kendall(big, y, (4, 4)), kendall(x, y, (4, 4)))
    holes = x.double()
    holes[1, 2, 3] = torch.nan
    assert kendall(holes, y, (4, 4)).isnan().tolist() == [False, True, False]


def test_other_solutions_of_the_same_cost_are_optimal() -> None:
    costs = torch.tensor([[0.1, 0.2, 0.3, 0.0]], dtype=torch.float64)
    two, one = torch.tensor([[1.0, 1, 0, 1]]).double(), torch.tensor([[0.0, 0, 1, 0]]).double()
    assert bool(is_optimal(two, one, costs, (4,)))  # 0.1 + 0.2 is not 0.3 in floating point
    assert not bool(is_optimal(two, one, costs + torch.tensor([0, 0, -1e-6, 0]), (4,)))


def test_they_agree_with_each_other() -> None:
    rng = torch.Generator().manual_seed(0)
    costs = torch.rand(50, 4, generator=rng).double() + 0.1
    best, y = torch.eye(4)[costs.argmin(1)].double(), torch.eye(4)[torch.randint(4, (50,), generator=rng)].double()
    assert bool((regret(y, best, costs, (4,)) >= 0).all())
    torch.testing.assert_close(cost_ratio(y, best, costs, (4,)) - 1, regret(y, best, costs, (4,)) / costs.min(1).values)
    assert torch.equal(is_optimal(y, best, costs, (4,)), regret(y, best, costs, (4,)) == 0)
    assert optimal_rate(y, best, costs, (4,)) == float((y == best).all(1).double().mean())
    assert np.isnan(optimal_rate(y[:0], best[:0], costs[:0], (4,)))


def test_a_row_of_a_grid_is_the_whole_grid() -> None:
    """One cell too dear in one of two grids: one is optimal, whatever the rows of a grid look like."""
    solver = ShortestPath.grid(3)
    costs = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0)) + 1
    best = torch.from_numpy(solver.solve(costs.reshape(2, 9).double().numpy()).y).reshape(2, 3, 3)
    y = best.clone()
    y[1] = 1.0
    extra = float(((y - best) * costs)[1].sum())
    for row in (solver, (3, 3)):
        assert regret(y, best, costs, row).tolist() == pytest.approx([0.0, extra])
        assert is_optimal(y, best, costs, row).tolist() == [True, False]
        assert optimal_rate(y, best, costs, row) == 0.5
        assert cost_ratio(y, best, costs, row).shape == (2,)
        assert regret(y[1], best[1], costs[1], row).item() == pytest.approx(extra)
        expected = scipy.stats.spearmanr(costs[0].flatten(), costs[1].flatten()).statistic
        assert spearman(costs[0], costs[1], row).item() == pytest.approx(expected)


class OpeningCost(Enumerated):
    """Facilities: h(y) = 10 for each open one, twice that where the row's instance says so."""

    def own_term(self, y: Any, instances: Any = None) -> Any:
        return 10.0 * y.sum(1) * (1.0 if instances is None else np.array(instances))

    def value(self, y: Any, theta: Any, instances: Any = None) -> Any:
        return np.einsum("bn,bn->b", theta, y) + self.own_term(y, instances)


def test_the_solvers_sense_and_own_term_count() -> None:
    y, best = torch.tensor([[1.0, 1.0], [1.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    costs = torch.tensor([[3.0, -4.0], [-1.0, 2.0]])
    points = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert regret(y, best, costs, (2,)).tolist() == [-4.0, -1.0]  # negative without h
    assert regret(y, best, costs, OpeningCost(points)).tolist() == [6.0, 9.0]
    assert regret(y, best, costs, OpeningCost(points), [1, 2]).tolist() == [6.0, 19.0]
    assert regret(best, y, costs, OpeningCost(points, "max")).tolist() == [6.0, 9.0]
    assert cost_ratio(y, best, costs, OpeningCost(points)).tolist() == pytest.approx([19 / 13, 21 / 12])
    assert is_optimal(best, y, costs, OpeningCost(points, "max")).tolist() == [False, False]


def test_a_masked_row_is_not_optimal() -> None:
    y = torch.tensor([[1.0, 0.0], [torch.nan, torch.nan]])
    best, costs = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 2.0])
    assert is_optimal(y, best, costs, (2,)).tolist() == [True, False]
    assert regret(y, best, costs, (2,))[1].isnan()


def test_bad_arguments_are_refused() -> None:
    grid, costs = torch.ones(2, 3, 3), torch.ones(2, 3, 3)
    with pytest.raises(ValueError, match=r"y has shape \(2, 3, 3\), but rows of shape \(4, 4\) need \(\*batch, 4, 4\)"):
        regret(grid, grid, costs, (4, 4))
    with pytest.raises(ValueError, match=r"do not broadcast: y \(2, 3, 3\), y_best \(2, 3, 3\), costs \(5, 3, 3\)"):
        regret(grid, grid, torch.ones(5, 3, 3), (3, 3))
    with pytest.raises(TypeError, match=r"solver=9 must be the solver, or the shape of its rows"):
        is_optimal(grid, grid, costs, 9)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="solver"):
        optimal_rate(grid, grid, costs)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="got 3 instances for 2 rows"):
        regret(grid, grid, costs, ShortestPath.grid(3), [None] * 3)
    with pytest.raises(ValueError, match=r"theta\[1, 0\] is nan"):
        regret(grid, grid, costs * torch.tensor([1.0, torch.nan]).reshape(2, 1, 1), (3, 3))
