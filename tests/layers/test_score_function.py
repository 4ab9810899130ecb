from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import ScoreFunction, Solver
from combdiff.solvers import TopK
from combdiff.temperature import Adaptive
from combdiff.testing import HYPERSIMPLEX, Enumerated, SmoothedLayerContract
from tests.layers.estimates import same_noise_in_every_row, standard_errors

THETA = torch.tensor([0.3, -0.5, 0.9, 0.2], dtype=torch.float64)
LOSSES = torch.tensor([3.0, -1.0, 0.5, 2.0], dtype=torch.float64)  # of each one-hot vector


class TestScoreFunction(SmoothedLayerContract):
    options: ClassVar[dict[str, Any]] = {}

    def make(self, solver: Solver, on_failure: Any = "raise") -> ScoreFunction:
        return ScoreFunction(solver, sigma=0.8, samples=6, on_failure=on_failure, **self.options)

    def freeze(self, layer: Any) -> Any:
        return same_noise_in_every_row(layer)


def loss_of(y: Tensor) -> Tensor:
    """Not linear in y: the square of the loss of the vertex, and 7 for anything but a vertex."""
    vertex = ((y == 0) | (y == 1)).all(-1) & (y.sum(-1) == 1)
    return torch.where(vertex, (y * LOSSES).sum(-1) ** 2, 7.0)


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize(
    ("baseline", "samples", "noise"),
    [
        ("none", 1, "gumbel"),
        ("none", 4, "gumbel"),
        ("leave-one-out", 4, "gumbel"),
        ("solution", 4, "gumbel"),
        ("solution", 1, "gumbel"),
    ],
)
def test_value_and_gradient_are_those_of_the_expected_loss(baseline: Any, samples: int, noise: Any, sense: str) -> None:
    """Gumbel noise over one-hot vectors: E[L] = Σ softmax(∓θ/σ) L, within 5 standard errors."""
    torch.manual_seed(0)
    sigma, sign = 0.7, 1.0 if sense == "max" else -1.0
    layer = ScoreFunction(TopK(4, 1, sense), sigma, samples, noise, baseline=baseline)
    point = THETA.clone().requires_grad_()
    exact = (torch.softmax(sign * point / sigma, 0) * LOSSES**2).sum()
    (slope,) = torch.autograd.grad(exact, point)
    rows = THETA.expand(40_000, 4).clone().requires_grad_()
    value = layer.expected_loss(loss_of, rows)
    (gradient,) = torch.autograd.grad(value.sum(), rows)
    assert standard_errors(value.detach(), exact.detach()) < 5
    assert (standard_errors(gradient, slope) < 5).all()
    assert layer.stats.solves == 40_000 * (samples + (baseline == "solution"))


@pytest.mark.parametrize("baseline", ["leave-one-out", "solution"])
def test_a_baseline_lowers_the_variance(baseline: Any) -> None:
    torch.manual_seed(0)
    spread = []
    for chosen in ("none", baseline):
        layer = ScoreFunction(Enumerated(HYPERSIMPLEX), 0.5, 8, baseline=chosen)
        rows = THETA.expand(4000, 4).clone().requires_grad_()
        value = layer.expected_loss(lambda y: 10.0 + y[..., 0] * y[..., 2], rows)
        spread.append(torch.autograd.grad(value.sum(), rows)[0].var(0).sum())
    assert spread[1] < 0.1 * spread[0]


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_any_batch_and_dtype(batch: tuple[int, ...]) -> None:
    layer = ScoreFunction(TopK(4), samples=5, baseline="solution")
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        theta = torch.rand(*batch, 4, dtype=dtype, requires_grad=True)
        seen: list[Tensor] = []
        value = layer.expected_loss(lambda y, seen=seen: (seen.append(y), y[..., 0])[1], theta)
        assert [y.shape for y in seen] == [(6, *batch, 4)]
        assert (value.shape, value.dtype) == (batch, dtype)
        (gradient,) = torch.autograd.grad(value.sum(), theta)
        assert gradient.isfinite().all()


def test_rows_that_fail_are_masked() -> None:
    layer = ScoreFunction(Enumerated(HYPERSIMPLEX), samples=4, baseline="solution", on_failure="mask")
    theta = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    every = range(6)
    value = layer.expected_loss(lambda y: y[..., 0] / y.sum(-1), theta, [every, [], every])
    assert value.isnan().tolist() == [False, True, False]
    (gradient,) = torch.autograd.grad(value.nansum(), theta)
    assert gradient[1].tolist() == [0.0] * 4
    assert gradient.isfinite().all()
    assert layer.last is not None
    assert layer.last.solved.tolist() == [True, False, True]


def test_measured_temperatures() -> None:
    torch.manual_seed(0)
    schedule = Adaptive(1e-6)
    layer = ScoreFunction(TopK(4), schedule)
    layer.expected_loss(lambda y: y[..., 0], torch.rand(5, 4, requires_grad=True))
    assert schedule.measured == 0.0
    layer = ScoreFunction(TopK(4), "auto")
    layer.expected_loss(lambda y: y[..., 0], torch.rand(5, 4, requires_grad=True))
    assert 0.0 < float(layer.sigma) < 1e3


def test_bad_losses_are_refused() -> None:
    layer, theta = ScoreFunction(TopK(4), samples=5), torch.rand(3, 4)
    with pytest.raises(ValueError, match=r"loss gave \(\), but must give one number for each of \(5, 3\)"):
        layer.expected_loss(lambda y: y.sum(), theta)
    with pytest.raises(ValueError, match="NaN or infinite"):
        layer.expected_loss(lambda y: y[..., 0] / 0.0, theta)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 1}, "samples > 1"),
        ({"baseline": "mean"}, "baseline='mean'"),
        ({"sigma": -1.0}, "sigma=-1"),
        ({"sigma": np.nan}, "sigma=nan"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScoreFunction(TopK(3), **options)
