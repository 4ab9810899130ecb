"""The interval of `regret_interval` holds the true regret, in exact arithmetic, whatever ended the solve."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from combdiff.losses import RegretLoss
from combdiff.metrics import regret, regret_interval
from combdiff.solvers import TopK
from combdiff.testing import HYPERSIMPLEX, CutShort, Enumerated

both = pytest.mark.parametrize("sense", ["min", "max"])


@pytest.mark.parametrize("backend", ["scip", "highs", "pyscipopt", "cp_sat", "rc2", "auto"])
def test_interval_holds_the_regret_of_solves_that_were_cut_short(backend: str) -> None:
    """Integer programs and formulas with an h and instances, against all of their points; no clock ends a solve."""
    pytest.importorskip({"rc2": "pysat", "pyscipopt": "pyscipopt"}.get(backend, "ortools"))
    if backend == "auto":
        pytest.importorskip("pysat")
    from experiments.benchmarks.certified import run

    count = run(backend, "nodes", 6, seed=1)
    assert count.inside == count.rows >= 20
    assert 2 * count.cut >= count.rows
    assert 2 * len(count.widths) >= count.cut  # finite ones, or nothing was tested


@both
def test_interval_of_an_optimum_is_the_rounding_alone(sense: str) -> None:
    rng, sign = np.random.default_rng(0), 1 if sense == "min" else -1
    solver, costs = TopK(7, 3, sense), torch.from_numpy(rng.uniform(0.1, 1.0, size=(100, 7)))
    y = torch.from_numpy(solver.solve(rng.normal(size=(100, 7))).y)
    found = solver.solve(costs.numpy())
    best, bound = torch.from_numpy(found.y), torch.from_numpy(found.bound)
    tight = torch.empty_like(bound)  # the optimum itself, rounded to the side that proves
    true = []
    for row, prices in enumerate(costs.tolist()):
        own, least = (
            sum((Fraction(c) * int(bit) for c, bit in zip(prices, part[row].tolist(), strict=True)), Fraction(0))
            for part in (y, best)
        )
        true.append(sign * (own - least))
        near = float(least)
        tight[row] = float(np.nextafter(near, -sign * np.inf)) if sign * (Fraction(near) - least) > 0 else near
    for proven in (bound, tight):
        low, high = regret_interval(y, best, proven, costs, solver)
        ends = zip(low.tolist(), true, high.tolist(), strict=True)
        assert all(start <= exact <= end for start, exact, end in ends)
    assert (high - low < 1e-13).all()
    assert (low >= 0).all()
    torch.testing.assert_close(regret(y, best, costs, solver), low, rtol=0, atol=1e-13)


def test_interval_holds_a_sum_that_cancels() -> None:
    """Of all entries against none: as wide as float64 is wrong in their sum."""
    costs = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 9)) * 10.0 ** np.arange(9))
    costs[:, 0] -= costs.sum(1) - 1e-3
    exact = [sum(map(Fraction, row), Fraction(0)) for row in costs.tolist()]
    low, high = regret_interval(torch.ones(9), torch.zeros(9), torch.zeros(50).double(), costs, (9,))
    assert all(a <= max(x, 0) <= b for a, x, b in zip(low.tolist(), exact, high.tolist(), strict=True))


@both
def test_interval_of_a_loss_whose_solves_are_cut_short(sense: str) -> None:
    """From the incumbent to the bound, which is better by 2.5; costs of either dtype, instances and failed rows."""
    generator = torch.Generator().manual_seed(0)
    theta, c_true = torch.randn(2, 2, 3, 4, generator=generator, dtype=torch.float64)
    every = list(range(6))
    sets = [every, every, [], [0, 3], every, [1]]
    given: dict[str, Any] = {"c_true": c_true, "instances": sets}
    value = RegretLoss(Enumerated(HYPERSIMPLEX, sense), "none", "mask")(theta, **given)
    for dtype in (torch.float64, torch.float32):
        exact = RegretLoss(Enumerated(HYPERSIMPLEX, sense), "none", "mask")
        exact(theta.to(dtype), **given)
        assert exact.interval is not None
        for end in exact.interval:
            torch.testing.assert_close(end, value, equal_nan=True, rtol=0, atol=1e-12)
        loss = RegretLoss(CutShort(HYPERSIMPLEX, sense), "none", "mask")
        rounded = loss(theta.to(dtype), **given)
        assert loss.interval is not None
        low, high = loss.interval
        torch.testing.assert_close(low, value, equal_nan=True)
        torch.testing.assert_close(high - 2.5, value, equal_nan=True)
        assert (low <= rounded)[~value.isnan()].all()
        assert loss.last is not None
        assert loss.last.y is not None
        assert loss.last.y.dtype == dtype
        loss(theta[0, 0], c_true[0, 0], loss.last.y[0, 0])
        assert loss.interval is None


def test_what_is_not_known_is_wide_or_nan_and_bad_bounds_are_refused() -> None:
    y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [torch.nan, 0.0]])
    costs, none = torch.tensor([2.0, 5.0]), torch.full((3, 2), torch.nan)
    nothing, half = -torch.full((3,), torch.inf).double(), torch.tensor(0.5).double()
    low, high = regret_interval(y, none, nothing, costs, (2,))
    assert low.nan_to_num(-1.0).tolist() == [0.0, 0.0, -1.0]
    assert high[:2].tolist() == [torch.inf, torch.inf]
    assert high[2].isnan()
    low, high = regret_interval(y, y[0], half, costs, (2,))
    assert low.nan_to_num(-1.0).tolist() == pytest.approx([0.0, 3.0, -1.0])
    assert high.nan_to_num(-1.0).tolist() == pytest.approx([1.5, 4.5, -1.0])
    low, high = regret_interval(y[0], y[0], torch.tensor(3.0).double(), costs, (2,))
    assert high < low  # better than what is proven
    with pytest.raises(TypeError, match=r"bound has dtype torch\.float32, and must be float64"):
        regret_interval(y, y[0], half.float(), costs, (2,))
    with pytest.raises(ValueError, match=r"bound has shape \(2,\), but the batch is \(3,\)"):
        regret_interval(y, y[0], half.expand(2), costs, (2,))
