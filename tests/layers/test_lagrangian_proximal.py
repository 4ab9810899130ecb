from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from combdiff import Interpolation, LagrangianProximal, Solver
from combdiff.solvers import Ranking, TopK
from combdiff.testing import HYPERSIMPLEX, Enumerated, LayerContract


class TestAverage(LayerContract):
    options: ClassVar[dict[str, Any]] = {}

    def make(self, solver: Solver, on_failure: Any = "raise") -> LagrangianProximal:
        return LagrangianProximal(solver, tau=2.0, on_failure=on_failure, **self.options)


class TestUpper(TestAverage):
    options: ClassVar[dict[str, Any]] = {"side": "upper"}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace


class TestLowerWithRho(TestAverage):
    options: ClassVar[dict[str, Any]] = {"side": "lower", "rho": 0.5}
    test_compiled_model_is_the_model: Any = None  # options do not reach the trace


def proximal(cost: np.ndarray, around: np.ndarray, rho: float) -> np.ndarray:
    """argmin ⟨cost, y⟩ + ρ/2 ‖y − around‖² over all points, row by row."""
    distance = ((HYPERSIMPLEX[None] - around[:, None]) ** 2).sum(-1)
    return HYPERSIMPLEX[(cost @ HYPERSIMPLEX.T + rho / 2 * distance).argmin(1)]


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("side", ["average", "lower", "upper"])
@pytest.mark.parametrize("rho", [0.0, 1.5])
def test_closed_form_by_enumeration(rho: float, side: Any, sense: str) -> None:
    rng, tau = np.random.default_rng(0), 0.8
    theta, gain = rng.normal(size=(2, 300, 4))
    tensor = torch.from_numpy(theta).requires_grad_()
    layer = LagrangianProximal(Enumerated(HYPERSIMPLEX, sense), tau, side, rho)
    (gradient,) = torch.autograd.grad((layer(tensor) * torch.from_numpy(gain)).sum(), tensor)
    sign = 1.0 if sense == "min" else -1.0
    cost = sign * theta
    y = proximal(cost, np.zeros_like(cost), 0.0)
    lower, upper = proximal(cost + tau * gain, y, rho), proximal(cost - tau * gain, y, rho)
    change = {"average": (lower - upper) / 2, "lower": lower - y, "upper": y - upper}[side] / tau
    np.testing.assert_allclose(gradient.numpy(), sign * change)
    assert np.abs(change).max() > 0


def test_rho_keeps_the_proximal_points_near() -> None:
    theta, gain = torch.randn(2, 200, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = []
    for rho in (0.0, 1.0, 100.0):
        point = theta.clone().requires_grad_()
        layer = LagrangianProximal(Enumerated(HYPERSIMPLEX), 1.0, rho=rho)
        (gradient,) = torch.autograd.grad(layer(point), point, gain)
        moved.append(int((gradient != 0).any(-1).sum()))
    assert moved[0] > moved[1] > moved[2] == 0


def test_lower_is_interpolation() -> None:
    theta, gain = torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0))
    found = []
    for layer in (LagrangianProximal(TopK(4, 2), 3.0, "lower"), Interpolation(TopK(4, 2), 3.0)):
        point = theta.clone().requires_grad_()
        found.append(torch.autograd.grad(layer(point), point, gain)[0])
    torch.testing.assert_close(*found)


def test_solves_backward_are_as_declared() -> None:
    for side in ("average", "lower", "upper"):
        layer = LagrangianProximal(TopK(4), side=side)
        layer(torch.rand(3, 4, requires_grad=True)).sum().backward()
        assert layer.stats.solves == 3 * (1 + int(layer.needs.backward))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_row_whose_incoming_gradient_is_not_finite_gets_nan_and_no_other(bad: float) -> None:
    layer = LagrangianProximal(TopK(4), tau=10.0)
    theta = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    incoming = torch.tensor([1.0, -2.0, 3.0, 0.5]).repeat(3, 1)
    (expected,) = torch.autograd.grad(layer(theta), theta, incoming)
    incoming[1, 2] = bad
    (gradient,) = torch.autograd.grad(layer(theta), theta, incoming)
    assert gradient[1].isnan().all()
    assert torch.equal(gradient[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tau": 0.0}, "tau=0"), ({"side": "both"}, "side='both'"), ({"rho": -1.0}, "rho=-1"), ({"rho": np.nan}, "rho=")],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LagrangianProximal(TopK(3), **options)


def test_bad_solutions_for_rho_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rho=1\.0 needs solutions of zeros and ones"):
        LagrangianProximal(Ranking(4), rho=1.0)(torch.rand(2, 4))
