"""What methods tell an adaptive temperature: how much of y moves, or the signal to noise."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from combdiff import FenchelYoungLoss, Interpolation, Perturbed, SoftNDCGLoss, SoftTopKLoss, SpearmanLoss, TrimmedLoss
from combdiff.soft import SoftPermutation, SoftRank, SoftSort, SoftTopK
from combdiff.solvers import Ranking, ShortestPath, TopK
from combdiff.temperature import Adaptive, Constant
from combdiff.testing import HYPERSIMPLEX, Enumerated
from tests.measured import METHODS, ROWS, some_theta, told

LADDER = [0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0]


def test_the_chance_that_samples_differ_is_exact_over_a_simplex_and_grows() -> None:
    """1 − Σ p², with p = softmax(−c/σ), falls with 1/σ: its slope is that of a convex function at two places."""
    theta, exact = some_theta(), []
    for sigma in LADDER:
        chance = 1.0 - torch.softmax(-theta / sigma, -1).square().sum(-1)
        samples = 500
        measured = told(
            Perturbed(Enumerated(np.eye(4)), samples=samples, noise="gumbel"), sigma, lambda layer: layer(theta)
        )
        # of neighbours i, i + 1 and i + 1, i + 2 the covariance is at most the variance: 3 × that of independent pairs
        error = float((3 * chance * (1 - chance) / samples).sum().sqrt()) / ROWS
        assert measured == pytest.approx(float(chance.mean()), abs=5 * error + 1e-9)
        exact.append(float(chance.mean()))
    assert exact == sorted(exact)
    assert exact[0] < 0.05 < 0.7 < exact[-1]


@pytest.mark.parametrize(
    ("options", "most"),
    [({}, 0.5), ({"antithetic": True}, 0.5), ({"mode": "multiplicative"}, 0.2)],  # which keeps the signs of θ
)
def test_the_share_that_differs_grows_over_a_hypersimplex(options: dict[str, Any], most: float) -> None:
    theta = some_theta()
    method = Perturbed(Enumerated(HYPERSIMPLEX), samples=200, **options)
    ladder = [sigma for sigma in LADDER if sigma <= 3.0] if "mode" in options else LADDER
    shares = [told(method, sigma, lambda layer: layer(theta)) for sigma in ladder]
    assert shares == sorted(shares)
    assert shares[0] < 0.1 < most < shares[-1]


def test_the_limit_of_the_share_is_that_of_random_subsets() -> None:
    """Of two random pairs out of four, 1/6 are the same, 4/6 share one of three entries, 1/6 none."""
    layer = Perturbed(Enumerated(HYPERSIMPLEX), samples=500)
    measured = told(layer, 1e4, lambda layer: layer(some_theta()))
    assert measured == pytest.approx(4 / 6 * 2 / 3 + 1 / 6, abs=5 * 0.5 / math.sqrt(500 * ROWS / 3))


def test_a_subset_and_its_complement_differ_by_the_same_share() -> None:
    """Of 5 out of 6 entries two samples share at least 4: what is left out tells them apart."""
    for k in (1, 2):
        few = told(Perturbed(TopK(6, k), samples=500), 1.0, lambda layer: layer(some_theta(0, 6)))
        many = told(Perturbed(TopK(6, 6 - k), samples=500), 1.0, lambda layer: layer(-some_theta(0, 6)))
        assert few == pytest.approx(many, abs=5 * 0.5 * math.sqrt(2 * 3 / (500 * ROWS)))


def test_long_rankings_that_all_differ_do_so_by_a_share() -> None:
    theta = some_theta(0, 30)
    shares = [told(Perturbed(Ranking(30), samples=20), sigma, lambda layer: layer(theta)) for sigma in (0.01, 0.1, 1.0)]
    assert shares == sorted(shares)
    assert 0.1 < shares[0] < 0.3 < 0.5 < shares[1] < 0.8 < shares[2] < 1.0


@pytest.mark.parametrize("options", [{"samples": 1}, {"samples": 2, "antithetic": True}])
def test_where_no_two_samples_are_independent_one_more_is_drawn(options: dict[str, Any]) -> None:
    theta = some_theta().repeat(50, 1)
    layer = Perturbed(Enumerated(np.eye(4)), noise="gaussian", **options)
    many = told(Perturbed(Enumerated(np.eye(4)), samples=100), 1.0, lambda layer: layer(theta))
    assert told(layer, 1.0, lambda layer: layer(theta)) == pytest.approx(many, abs=5 * 0.5 / math.sqrt(len(theta)))
    assert layer.stats.solves == len(theta) * (options["samples"] + 1)


def test_the_share_that_a_lambda_moves_grows_to_one() -> None:
    theta, gradient = some_theta(0), some_theta(1)
    gradient[::4] = 0.0  # rows without a gradient do not count
    shares = [
        told(
            Interpolation(Enumerated(HYPERSIMPLEX)), lam, lambda layer: layer(theta.requires_grad_()).backward(gradient)
        )
        for lam in LADDER
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] == pytest.approx(1.0)


def test_a_solver_that_refuses_a_gradient_tells_the_share_of_rows_that_moved() -> None:
    theta = torch.rand(8, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 10.0
    gradient = torch.zeros_like(theta)
    gradient[:4, 1, 1] = -1.0  # no λ = ∞ for a path, but at λ = 1 every row goes through the middle
    layer = Interpolation(ShortestPath.grid(3, neighbors=4))
    expected = 1.0 - float((ShortestPath.grid(3, neighbors=4).solve(theta[:4].flatten(1).numpy()).y[:, 4]).mean())
    share = told(layer, 5.0, lambda layer: (layer(theta.requires_grad_()) * gradient).sum().backward())
    assert share == expected > 0.0


SOFT: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...]]] = {
    "rank": (SoftRank, ()),
    "rank, sigmoid": (lambda: SoftRank(method="sigmoid"), ()),
    "sort": (SoftSort, ()),
    "top-k": (lambda: SoftTopK(2), ()),
    "permutation": (SoftPermutation, ()),
    "Spearman": (SpearmanLoss, (some_theta(1, 6),)),
    "NDCG": (SoftNDCGLoss, (some_theta(1, 6).abs(),)),
    "top-k loss": (lambda: SoftTopKLoss(2, method="pav"), (torch.zeros(ROWS, dtype=torch.long),)),
    "trimmed": (TrimmedLoss, ()),
}


@pytest.mark.parametrize("name", SOFT)
def test_the_share_of_soft_entries_grows(name: str) -> None:
    make, targets = SOFT[name]
    shares = [told(make(), strength, lambda module: module(some_theta(0, 6), *targets)) for strength in LADDER]
    assert shares == sorted(shares)
    assert shares[0] < 0.2 < 0.8 < shares[-1]


def test_a_mask_leaves_entries_out_of_the_share() -> None:
    theta = torch.tensor([[1.0, 1.1, 5.0, 9.0]])
    mask = torch.tensor([[True, True, False, False]])
    assert told(SoftRank(), 1.0, lambda module: module(theta)) == 0.5
    assert told(SoftRank(), 1.0, lambda module: module(theta, mask)) == 1.0


def test_a_fenchel_young_loss_measures_for_hold_alone() -> None:
    target = torch.from_numpy(HYPERSIMPLEX[:1]).expand(ROWS, 4)
    for hold, solves in ((True, 2 * ROWS), (False, ROWS)):
        sigma = Adaptive(1.0, hold=hold)
        loss = FenchelYoungLoss(Perturbed(Enumerated(HYPERSIMPLEX), samples=1, sigma=sigma))
        loss(some_theta(), target)
        assert loss.layer.stats.solves == solves


def test_signal_to_noise_grows_and_is_refused_without_samples() -> None:
    theta, gradient = some_theta().requires_grad_(), some_theta(1)

    def backward(layer: nn.Module) -> None:
        layer(theta).backward(gradient)

    ratios = [
        told(Perturbed(Enumerated(np.eye(4)), samples=500), sigma, backward, "snr") for sigma in LADDER[1:5]
    ]  # then it stays
    assert ratios == sorted(ratios)
    one, four = (told(Perturbed(Enumerated(np.eye(4)), samples=m), 1.0, backward, "snr") for m in (100, 400))
    assert four / one == pytest.approx(2.0, rel=0.2)  # of the mean: as √M
    with pytest.raises(ValueError, match="needs samples > 1"):
        told(Perturbed(Enumerated(np.eye(4))), 1.0, backward, "snr")
    with pytest.raises(ValueError, match="signal='moves'"):
        told(FenchelYoungLoss(Perturbed(Enumerated(np.eye(4)), samples=4)), 1.0, lambda loss: loss(theta, theta), "snr")
    with pytest.raises(ValueError, match="needs samples"):
        told(SoftRank(), 1.0, lambda module: module(theta), "snr")


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_measured_outside_training(name: str) -> None:
    make, call = METHODS[name]
    method = make()
    if name != "interpolation":  # which measures in a backward pass alone
        with torch.no_grad():
            assert math.isnan(told(method, 1.0, call))
    assert math.isnan(told(method.eval(), 1.0, call))
    assert not math.isnan(told(method.train(), 1.0, call))


def test_no_other_temperature_costs_a_solve_or_a_hook() -> None:
    layer = Interpolation(Enumerated(HYPERSIMPLEX), lam=Constant(1.0))
    layer(some_theta().requires_grad_()).backward(some_theta(1))
    assert layer.stats.solves == 2 * ROWS
    module = SoftRank(regularization_strength=Adaptive(1.0))
    assert len(module._forward_pre_hooks) == 1
    module.temperature = Constant(1.0)
    assert not module._forward_pre_hooks
