import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import Perturbed, Solver, SolverLayer
from combdiff.losses import FenchelYoungLoss
from combdiff.solvers import GridInstances, ShortestPath, TopK
from combdiff.temperature import Geometric
from combdiff.testing import HYPERSIMPLEX, Enumerated, SmoothedLayerContract
from tests.layers.estimates import repeated, same_noise_in_every_row, standard_errors

SAMPLES = 6


class TestGaussian(SmoothedLayerContract):
    options: ClassVar[dict[str, Any]] = {}

    def make(self, solver: Solver, on_failure: Any = "raise") -> Perturbed:
        return Perturbed(solver, sigma=0.8, samples=SAMPLES, on_failure=on_failure, **self.options)

    def freeze(self, layer: SolverLayer) -> SolverLayer:
        assert isinstance(layer, Perturbed)
        return same_noise_in_every_row(layer)


class TestGumbel(TestGaussian):
    options: ClassVar[dict[str, Any]] = {"noise": "gumbel"}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace


class TestAntithetic(TestGaussian):
    options: ClassVar[dict[str, Any]] = {"antithetic": True}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace


class TestNoBaseline(TestGaussian):
    options: ClassVar[dict[str, Any]] = {"variance_reduction": False}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace


class TestMultiplicative(TestGaussian):
    options: ClassVar[dict[str, Any]] = {"mode": "multiplicative"}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace
    gradient_is_forward = False

    def theta(self, *batch: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Away from zero, of both signs."""
        draws = super().theta(*batch, dtype=torch.float64).detach().abs() + 0.5
        draws[..., 0] *= -1.0
        return draws.to(dtype).requires_grad_()


class TestMultiplicativeAntithetic(TestMultiplicative):
    options: ClassVar[dict[str, Any]] = {"mode": "multiplicative", "antithetic": True}


class TestOneSample(TestGaussian):
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace

    def make(self, solver: Solver, on_failure: Any = "raise") -> Perturbed:
        return Perturbed(solver, sigma=0.8, samples=1, on_failure=on_failure)


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("variance_reduction", [False, True])
def test_gumbel_over_one_hot_is_softmax(sense: str, variance_reduction: bool) -> None:
    """Value and Jacobian within 5 standard errors of softmax(±θ/σ)."""
    torch.manual_seed(0)
    sigma, theta = 0.7, torch.tensor([0.3, -0.5, 0.9, 0.2], dtype=torch.float64)
    sign = 1.0 if sense == "max" else -1.0
    layer = Perturbed(TopK(4, 1, sense), sigma, 20, noise="gumbel", variance_reduction=variance_reduction)
    y, jacobian = repeated(layer, theta, 20_000)
    expected = torch.softmax(sign * theta / sigma, 0)
    slope = sign / sigma * (torch.diag(expected) - torch.outer(expected, expected))
    assert (standard_errors(y, expected) < 5).all()
    assert (standard_errors(jacobian, slope) < 5).all()


def test_gumbel_fenchel_young_over_one_hot_is_cross_entropy() -> None:
    torch.manual_seed(0)
    sigma, theta = 0.7, torch.tensor([0.3, -0.5, 0.9, 0.2], dtype=torch.float64)
    layer = Perturbed(TopK(4), sigma, noise="gumbel")
    loss = FenchelYoungLoss(layer, "none")
    for label in range(4):
        target = torch.nn.functional.one_hot(torch.tensor(label), 4).double()
        values = loss(theta.expand(200_000, 4), target.expand(200_000, 4))
        exact = sigma * torch.nn.functional.cross_entropy(theta / sigma, torch.tensor(label))
        assert standard_errors(values, exact) < 5


def normal_cdf(x: Tensor) -> Tensor:
    return torch.special.ndtr(x)


def normal_density(x: Tensor) -> Tensor:
    return torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize(
    "options",
    [
        {"mode": "additive"},
        {"mode": "additive", "variance_reduction": False},
        {"mode": "additive", "antithetic": True},
        {"mode": "multiplicative"},
        {"mode": "multiplicative", "antithetic": True},
    ],
)
def test_jacobian_by_finite_differences_of_the_mean(options: dict[str, Any], sense: str) -> None:
    """The mean of the Jacobian estimates is the slope of the mean solution, both with their standard errors.

    The slope is a central difference over common noise, of a step that makes its bias far smaller than its error.
    """
    points = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 2.0, 0.0], [0.0, 2.0, 1.0]])
    theta = torch.tensor([1.3, -0.9, 1.1], dtype=torch.float64)
    layer = Perturbed(Enumerated(points, sense), sigma=0.9, samples=4, **options)
    torch.manual_seed(0)
    _, jacobian = repeated(layer, theta, 40_000)
    step = 0.05
    for j in range(3):
        sides = []
        for side in (step, -step):
            torch.manual_seed(5)
            moved = theta.clone()
            moved[j] += side
            sides.append(layer(moved.expand(40_000, 3)))
        slope = (sides[0] - sides[1]) / (2 * step)
        error = torch.sqrt(slope.var(0) / 40_000 + jacobian[:, :, j].var(0) / 40_000).clamp_min(1e-9)
        difference = (slope.mean(0) - jacobian[:, :, j].mean(0)).abs()
        assert (difference < 5 * error + 0.002).all()  # 0.002: above step²/6 times the third derivative


@pytest.mark.parametrize(("samples", "variance_reduction"), [(1, None), (4, None), (4, False)])
def test_one_over_sigma_and_one_over_m_count_once(samples: int, variance_reduction: bool | None) -> None:
    """On a line, y = [θ + σZ > 0]: the derivative of its mean is φ(θ/σ)/σ."""
    torch.manual_seed(0)
    for sigma in (0.5, 2.0):
        theta = torch.tensor([0.6, 0.0], dtype=torch.float64)
        points = Enumerated(np.array([[0.0, 0.0], [1.0, 0.0]]), "max")
        layer = Perturbed(points, sigma, samples, variance_reduction=variance_reduction)
        y, jacobian = repeated(layer, theta, 50_000)
        ratio = torch.tensor(0.6 / sigma, dtype=torch.float64)
        assert standard_errors(y[:, 0], normal_cdf(ratio)) < 5
        assert standard_errors(jacobian[:, 0, 0], normal_density(ratio) / sigma) < 5
        assert standard_errors(jacobian[:, 0, 1], torch.tensor(0.0)) < 5


def test_multiplicative_value_in_closed_form() -> None:
    """Two log-normal costs: P(c1 w1 < c2 w2) is normal in log(c2/c1); the loss's gradient is ȳ − E[w ⊙ y]."""
    torch.manual_seed(0)
    sigma, theta = 0.6, torch.tensor([1.0, 1.5], dtype=torch.float64)
    layer = Perturbed(TopK(2, 1, "min"), sigma, mode="multiplicative")
    y, _ = repeated(layer, theta, 100_000)
    scaled = torch.log(theta[1] / theta[0]) / (sigma * math.sqrt(2))
    assert standard_errors(y[:, 0], normal_cdf(scaled)) < 5
    rows = theta.expand(100_000, 2).clone().requires_grad_()
    target = torch.tensor([1.0, 0.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(FenchelYoungLoss(layer, "sum")(rows, target.expand_as(rows)), rows)
    # under the log-normal weight the noise shifts by σ: E[w1 y1] = Φ(scaled − σ/√2)
    expected = target[0] - normal_cdf(scaled - sigma / math.sqrt(2))
    assert standard_errors(gradient[:, 0], expected) < 5


@pytest.mark.parametrize("options", [{}, {"scrambles": 2}, {"scrambles": 4}, {"antithetic": True}])
def test_the_mean_of_the_others_takes_every_constant_off(options: dict[str, Any]) -> None:
    """A gain that all solutions share changes no gradient, under the same noise."""
    theta, found = torch.tensor([1.0, 1.2, 0.7, 1.1], dtype=torch.float64, requires_grad=True), []
    for offset in (0.0, 10.0):
        torch.manual_seed(0)
        layer = Perturbed(Enumerated(offset + HYPERSIMPLEX), 0.5, 8, **options)
        found.append(torch.autograd.grad(layer(theta), theta, torch.tensor([1.0, -2.0, 0.5, 3.0]).double())[0])
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("options", [{"variance_reduction": True}, {"antithetic": True}])
def test_variance_falls(options: dict[str, Any]) -> None:
    theta = torch.tensor([1.0, 1.2, 0.7, 1.1], dtype=torch.float64)
    spread = []
    for chosen in ({"variance_reduction": False}, options):
        torch.manual_seed(0)
        layer = Perturbed(Enumerated(10.0 + HYPERSIMPLEX), sigma=0.5, samples=4, **chosen)
        spread.append(repeated(layer, theta, 4000)[1].var(0).sum())
    assert spread[1] < 0.1 * spread[0]


def test_small_sigma_is_the_solver_and_large_sigma_the_mean() -> None:
    torch.manual_seed(0)
    theta = torch.tensor([0.1, 0.5, 0.3, 0.9], dtype=torch.float64)
    points = Enumerated(HYPERSIMPLEX)
    torch.testing.assert_close(Perturbed(points, 1e-6, 20)(theta).tolist(), [1.0, 0.0, 1.0, 0.0])
    y = Perturbed(points, 1e6, 1)(theta.expand(20_000, 4))
    assert (standard_errors(y, torch.full((4,), 0.5, dtype=torch.float64)) < 5).all()


def test_an_own_generator_is_used_and_leaves_the_global_one_alone() -> None:
    theta = torch.zeros(3, 4)
    layer = Perturbed(Enumerated(HYPERSIMPLEX), 1.0, 2, generator=torch.Generator().manual_seed(4))
    before = torch.random.get_rng_state()
    first = layer(theta)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert layer.generator is not None
    layer.generator.manual_seed(4)
    assert torch.equal(layer(theta), first)


def test_a_schedule_may_be_the_temperature() -> None:
    sigma = Geometric(1.0, 1e-6, steps=1)
    layer = Perturbed(Enumerated(HYPERSIMPLEX), sigma, samples=50)
    theta = torch.tensor([0.1, 0.5, 0.3, 0.9])
    torch.manual_seed(0)
    assert layer(theta).tolist() != [1.0, 0.0, 1.0, 0.0]
    sigma.step()
    assert layer(theta).tolist() == [1.0, 0.0, 1.0, 0.0]
    layer.sigma = 1.0
    assert layer(theta).tolist() != [1.0, 0.0, 1.0, 0.0]


def test_all_samples_travel_as_one_batch_with_their_instances() -> None:
    ends = GridInstances(start=np.array([[0, 0], [4, 0]]), goal=np.array([[4, 4], [0, 4]]))
    for instances in (ends, list(ends)):
        layer = Perturbed(ShortestPath.grid(5), sigma=0.3, samples=7, mode="multiplicative")
        y = layer(torch.ones(2, 5, 5), instances)
        assert layer.stats.calls == 1
        assert layer.stats.solves == 14
        assert y[0, 0, 0] == y[0, 4, 4] == y[1, 4, 0] == y[1, 0, 4] == 1.0


def test_additive_noise_below_zero_is_told_not_hidden() -> None:
    with pytest.raises(RuntimeError, match=r"negative='clamp'"):
        Perturbed(ShortestPath.grid(5), sigma=5.0)(torch.ones(5, 5))
    layer = Perturbed(ShortestPath.grid(5, negative="clamp"), sigma=5.0)
    layer(torch.ones(5, 5))
    assert layer.last is not None
    assert layer.last.status.item() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": 0.0}, "sigma=0.0"),
        ({"sigma": -1}, "sigma=-1"),
        ({"sigma": math.nan}, "sigma=nan"),
        ({"sigma": "hot"}, "sigma='hot'"),
        ({"samples": 0}, "samples=0"),
        ({"samples": 2.5}, r"samples=2\.5 must be a whole number"),
        ({"samples": True}, "samples=True"),
        ({"noise": "cauchy"}, "noise='cauchy'"),
        ({"mode": "divided"}, "mode='divided'"),
        ({"noise": "gumbel", "mode": "multiplicative"}, "log-normal"),
        ({"antithetic": True, "samples": 3}, "even number"),
        ({"antithetic": True, "samples": 2, "noise": "gumbel"}, "symmetric"),
        ({"variance_reduction": True}, "samples > 1"),
        ({"variance_reduction": True, "antithetic": True, "samples": 2}, "antithetic"),
    ],
)
def test_bad_options(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Perturbed(Enumerated(HYPERSIMPLEX), **arguments)


def test_bad_temperature_set_later_and_bad_solver() -> None:
    layer = Perturbed(Enumerated(HYPERSIMPLEX))
    with pytest.raises(ValueError, match="sigma=0"):
        layer.sigma = 0
    with pytest.raises(TypeError, match=r"combdiff\.wrap"):
        Perturbed(lambda theta: theta)  # type: ignore[arg-type]


@pytest.mark.parametrize("near", [0.0, 1e-9, 3e-4])
def test_multiplicative_near_zero_gets_no_gradient_and_is_counted(near: float) -> None:
    """Only the Jacobian divides: the forward and the Fenchel–Young loss take such entries as they are."""
    layer = Perturbed(Enumerated(HYPERSIMPLEX), samples=4, mode="multiplicative")
    values = [[1.0, 2.0, 0.7, 0.9], [1.0, 0.8, near, 1.2]]
    theta = torch.tensor(values, requires_grad=True)
    weight = torch.tensor([1.0, -2.0, 3.0, 0.5])
    torch.manual_seed(0)
    (gradient,) = torch.autograd.grad((layer(theta) * weight).sum(), theta)
    assert gradient[1, 2] == 0
    assert layer.stats.no_gradient == 1
    other = torch.tensor([values[0], [1.0, 0.8, 0.1, 1.2]], requires_grad=True)
    torch.manual_seed(0)
    (expected,) = torch.autograd.grad((layer(other) * weight).sum(), other)
    torch.testing.assert_close(gradient[0], expected[0])
    assert layer.stats.no_gradient == 1
    loss = FenchelYoungLoss(layer)(theta, torch.from_numpy(HYPERSIMPLEX[:2]))
    (gradient,) = torch.autograd.grad(loss, theta)
    assert torch.isfinite(gradient).all()
    assert gradient[1, 2] != 0
    assert layer.stats.no_gradient == 1
