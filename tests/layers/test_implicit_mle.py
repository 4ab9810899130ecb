"""I-MLE with a fixed and with an adaptive λ."""

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from combdiff import AdaptiveImplicitMLE, ImplicitMLE, Interpolation, Perturbed, Solver, SolverLayer
from combdiff.noise import SumOfGamma
from combdiff.solvers import TopK
from combdiff.temperature import Adaptive, Linear
from combdiff.testing import HYPERSIMPLEX, Enumerated, LayerContract
from tests.layers.estimates import gradients, same_noise_in_every_row, standard_errors

THETA = torch.tensor([0.3, -0.5, 0.9, 0.2], dtype=torch.float64)
GAIN = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)


class TestImplicitMLE(LayerContract):
    kind: ClassVar[Any] = ImplicitMLE

    def make(self, solver: Solver, on_failure: Any = "raise") -> ImplicitMLE:
        layer: ImplicitMLE = self.kind(solver, 2.0, 0.8, samples=5, on_failure=on_failure)
        return layer

    def freeze(self, layer: SolverLayer) -> SolverLayer:
        assert isinstance(layer, ImplicitMLE)
        return same_noise_in_every_row(layer)


class TestAdaptiveImplicitMLE(TestImplicitMLE):
    kind = AdaptiveImplicitMLE

    def make(self, solver: Solver, on_failure: Any = "raise") -> ImplicitMLE:
        return super().make(solver, on_failure).eval()  # in training α changes from call to call


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("samples", [1, 5])
def test_gumbel_over_one_hot_is_a_difference_of_softmaxes(samples: int, sense: str) -> None:
    """Value and gradient within 5 standard errors, for λ and σ away from 1."""
    torch.manual_seed(0)
    sigma, lam, sign = 0.7, 0.4, 1.0 if sense == "min" else -1.0
    layer = ImplicitMLE(TopK(4, 1, sense), lam, sigma, samples, "gumbel")
    cost = sign * THETA
    before, after = (torch.softmax(-one / sigma, 0) for one in (cost, cost + lam * GAIN))
    found = gradients(layer, THETA, GAIN, 40_000)
    assert (standard_errors(found, sign * (after - before) / lam) < 5).all()
    assert (standard_errors(layer(THETA.expand(40_000, 4)), before) < 5).all()


def test_small_lambda_is_the_gradient_of_the_smoothed_layer() -> None:
    """Within 5 standard errors: the bias of a one-sided difference is of the order of λ, far below them."""
    torch.manual_seed(0)
    found = gradients(ImplicitMLE(Enumerated(HYPERSIMPLEX), 0.01, 1.0, 100, "gaussian"), THETA, GAIN, 40_000)
    smooth = gradients(Perturbed(Enumerated(HYPERSIMPLEX), 1.0, 100), THETA, GAIN, 10_000)
    error = (found.var(0) / len(found) + smooth.var(0) / len(smooth)).sqrt()
    assert ((found.mean(0) - smooth.mean(0)).abs() < 5 * error).all()
    assert (smooth.mean(0).abs() > 10 * error).any()


def test_without_noise_it_is_interpolation() -> None:
    theta, gain = torch.randn(2, 40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = []
    for layer in (ImplicitMLE(Enumerated(HYPERSIMPLEX), 3.0, 1e-9, 7), Interpolation(Enumerated(HYPERSIMPLEX), 3.0)):
        point = theta.clone().requires_grad_()
        found.append(torch.autograd.grad(layer(point), point, gain)[0])
    torch.testing.assert_close(*found)


def one_gradient(layer: SolverLayer, theta: Tensor, gain: Tensor) -> Tensor:
    point = theta.clone().requires_grad_()
    return torch.autograd.grad(layer(point), point, gain)[0]


def test_the_step_of_each_row_is_alpha_times_the_ratio_of_norms() -> None:
    theta, gain = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = AdaptiveImplicitMLE(Enumerated(HYPERSIMPLEX), 0.6, 1e-9).eval()
    found = one_gradient(layer, theta, gain)
    for row in range(30):
        lam = float(0.6 * theta[row].norm() / gain[row].norm())
        expected = one_gradient(Interpolation(Enumerated(HYPERSIMPLEX), lam), theta[row], gain[row])
        torch.testing.assert_close(found[row], expected)
    assert torch.isfinite(one_gradient(layer, torch.zeros(2, 4), gain[:2].float())).all()
    assert (one_gradient(layer, theta, torch.zeros_like(theta)) == 0).all()


def test_alpha_goes_up_where_the_gradient_is_sparse_and_down_where_it_is_not() -> None:
    layer = AdaptiveImplicitMLE(TopK(4), 0.5, 1e-9, rate=0.1, decay=0.5)
    theta = torch.tensor([[0.0, 1.0, 2.0, 3.0]])
    one_gradient(layer, theta, torch.zeros(1, 4))  # no entry: the mean is (1 + 0)/2
    assert layer.alpha == pytest.approx(0.6)
    assert layer.mean == pytest.approx(0.5)
    one_gradient(layer, theta, torch.tensor([[-9.0, 0.0, 0.0, 9.0]]))  # two entries: (0.5 + 2)/2
    assert layer.alpha == pytest.approx(0.5)
    assert layer.mean == pytest.approx(1.25)
    layer.eval()
    one_gradient(layer, theta, torch.zeros(1, 4))
    assert layer.alpha == pytest.approx(0.5)
    assert layer.mean == pytest.approx(1.25)
    other = AdaptiveImplicitMLE(TopK(4))
    other.load_state_dict(layer.state_dict())
    assert (other.alpha, other.mean) == (layer.alpha, layer.mean)


def test_alpha_stays_above_zero() -> None:
    layer = AdaptiveImplicitMLE(TopK(4), 0.15, 1e-9, rate=0.1, target=0.1)
    for _ in range(3):
        one_gradient(layer, torch.tensor([[2.0, 1.9, 0.0, 0.0]]), torch.tensor([[1.0, -1.0, 0.0, 0.0]]))
    assert layer.alpha == 0.1


def test_a_schedule_says_what_alpha_is() -> None:
    alpha = Linear(1.0, 2.0, steps=1)
    layer = AdaptiveImplicitMLE(TopK(4), alpha)
    one_gradient(layer, torch.rand(1, 4), torch.ones(1, 4))
    assert layer.alpha is alpha
    layer.load_state_dict(AdaptiveImplicitMLE(TopK(4), 0.5).state_dict())
    assert layer.alpha is alpha


@pytest.mark.parametrize("kind", [ImplicitMLE, AdaptiveImplicitMLE])
def test_temperatures_that_are_measured(kind: Any) -> None:
    torch.manual_seed(0)
    theta, gain = torch.randn(2, 40, 4)
    layer = kind(TopK(4), "auto")
    one_gradient(layer, theta, gain)
    assert 0.0 < float(layer.temperature) < 1e3
    layer = kind(TopK(4), adaptive := Adaptive(1e-3))
    one_gradient(layer, theta, gain)
    assert 0.0 <= adaptive.measured < 0.1
    adaptive.step()
    assert float(adaptive) > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lam": -1.0}, "lam=-1"),
        ({"sigma": 0.0}, "sigma=0"),
        ({"sigma": "auto"}, "sigma='auto' must be a positive number"),
        ({"samples": 0}, "samples=0"),
        ({"noise": "cauchy"}, "noise='cauchy'"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImplicitMLE(TopK(3), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"alpha": 0.0}, "alpha=0"), ({"target": 0.0}, "target=0"), ({"rate": 0.0}, "rate=0"), ({"decay": 1.0}, "decay=")],
)
def test_bad_adaptive_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveImplicitMLE(TopK(3), **options)


def test_the_default_noise_is_sum_of_gamma() -> None:
    assert isinstance(ImplicitMLE(TopK(3)).noise, SumOfGamma)
