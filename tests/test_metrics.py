"""The metrics against SciPy, and against their own definitions."""

import numpy as np
import pytest
import scipy.stats
import torch

from combdiff.metrics import cost_ratio, is_optimal, optimal_rate, regret, spearman


def test_spearman_is_scipys_with_and_without_ties() -> None:
    rng = np.random.default_rng(0)
    for a, b in [
        (rng.standard_normal((7, 30)), rng.standard_normal((7, 30))),
        (rng.integers(0, 5, (7, 30)), rng.integers(0, 3, (7, 30))),
    ]:
        expected = [scipy.stats.spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
        found = spearman(torch.from_numpy(a.astype(float)), torch.from_numpy(b.astype(float)))
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_spearman_sees_the_order_only_and_has_no_gradient() -> None:
    x = torch.randn(2, 3, 20, requires_grad=True)
    assert spearman(x, torch.exp(3 * x)).flatten().tolist() == pytest.approx([1.0] * 6)
    assert spearman(x, -x).flatten().tolist() == pytest.approx([-1.0] * 6)
    assert not spearman(x, x).requires_grad
    assert bool(spearman(x, torch.ones_like(x)).isnan().all())


def test_other_solutions_of_the_same_cost_are_optimal() -> None:
    costs = torch.tensor([[0.1, 0.2, 0.3, 0.0]], dtype=torch.float64)
    two, one = torch.tensor([[1.0, 1, 0, 1]]).double(), torch.tensor([[0.0, 0, 1, 0]]).double()
    assert bool(is_optimal(two, one, costs))  # 0.1 + 0.2 is not 0.3 in floating point
    assert not bool(is_optimal(two, one, costs + torch.tensor([0, 0, -1e-6, 0])))


def test_they_agree_with_each_other() -> None:
    rng = torch.Generator().manual_seed(0)
    costs = torch.rand(50, 4, generator=rng).double() + 0.1
    best, y = torch.eye(4)[costs.argmin(1)].double(), torch.eye(4)[torch.randint(4, (50,), generator=rng)].double()
    assert bool((regret(y, best, costs) >= 0).all())
    torch.testing.assert_close(cost_ratio(y, best, costs) - 1, regret(y, best, costs) / costs.min(1).values)
    assert torch.equal(is_optimal(y, best, costs), regret(y, best, costs) == 0)
    assert optimal_rate(y, best, costs) == float((y == best).all(1).double().mean())
    assert np.isnan(optimal_rate(y[:0], best[:0], costs[:0]))
