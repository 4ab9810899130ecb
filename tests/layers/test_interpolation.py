from typing import Any

import numpy as np
import pytest
import torch

from combdiff import Interpolation, Solver, Status, wrap
from combdiff.solvers import ShortestPath, TopK
from combdiff.temperature import Linear
from combdiff.testing import HYPERSIMPLEX, Enumerated, LayerContract


class TestInterpolation(LayerContract):
    def make(self, solver: Solver, on_failure: Any = "raise") -> Interpolation:
        return Interpolation(solver, lam=2.0, on_failure=on_failure)


@pytest.mark.parametrize("sense", ["min", "max"])
def test_closed_form(sense: str) -> None:
    """(y(c + λ dL/dy) − y(c)) / λ in cost space; for a maximum the costs are −θ, and so is the gradient."""
    rng = np.random.default_rng(0)
    sign = 1.0 if sense == "min" else -1.0
    solver = Enumerated(HYPERSIMPLEX, sense)
    for lam in (0.5, 3.0):
        theta, gain = rng.normal(size=(2, 200, 4))
        tensor = torch.from_numpy(theta).requires_grad_()
        (gradient,) = torch.autograd.grad((Interpolation(solver, lam)(tensor) * torch.from_numpy(gain)).sum(), tensor)
        minimum = Enumerated(HYPERSIMPLEX)
        cost = sign * theta
        expected = sign * (minimum.solve(cost + lam * gain).y - minimum.solve(cost).y) / lam
        np.testing.assert_allclose(gradient.numpy(), expected)
        assert np.abs(expected).max() > 0


def test_forward_is_the_solver() -> None:
    theta = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    solver = TopK(6, 2)
    np.testing.assert_array_equal(Interpolation(solver)(theta).numpy(), solver.solve(theta.numpy()).y)


@pytest.mark.parametrize("sense", ["min", "max"])
def test_descent_finds_the_target(sense: str) -> None:
    theta = torch.tensor([1.0, 2.0, 3.0, 4.0]).requires_grad_()
    target = torch.tensor([1.0, 0.0, 1.0, 0.0])
    layer = Interpolation(Enumerated(HYPERSIMPLEX, sense), lam=5.0)
    for _ in range(50):
        loss = ((layer(theta) - target) ** 2).sum()
        (gradient,) = torch.autograd.grad(loss, theta)
        theta = (theta - gradient).detach().requires_grad_()
    assert layer(theta).tolist() == target.tolist()


def test_the_second_solve_may_need_clamping() -> None:
    theta = torch.ones(4, 4, requires_grad=True)
    gain = torch.zeros(4, 4)
    gain[1, 1], gain[0, 1] = 1.0, -1.0  # away from the diagonal's second tile, to its neighbour
    with pytest.raises(RuntimeError, match="negative='clamp'"):
        (Interpolation(ShortestPath.grid(4), lam=20.0)(theta) * gain).sum().backward()
    (Interpolation(ShortestPath.grid(4, negative="clamp"), lam=20.0)(theta) * gain).sum().backward()
    assert theta.grad is not None
    assert theta.grad.abs().sum() > 0


def test_a_row_whose_second_solve_fails_gets_no_gradient() -> None:
    def up_to_five(theta: np.ndarray) -> np.ndarray:
        if theta.max() > 5:
            raise ArithmeticError("too large")
        return np.eye(3)[theta.argmin()]

    theta = torch.tensor([[1.0, 2.0, 3.0], [2.0, 1.0, 4.0]], requires_grad=True)
    layer = Interpolation(wrap(up_to_five, shape=(3,)), lam=2.0, on_failure="mask")
    (gradient,) = torch.autograd.grad((layer(theta) * torch.tensor([1.0, 1.0, 0.7])).sum(), theta)
    assert gradient[1].tolist() == [0, 0, 0]
    assert layer.stats.failures == 1
    assert layer.last is not None
    assert layer.last.status.tolist() == [Status.OPTIMAL, Status.OPTIMAL]


def test_a_schedule_may_be_the_temperature() -> None:
    lam = Linear(1.0, 4.0, steps=1)
    layer = Interpolation(TopK(3), lam)
    theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    sizes = []
    for _ in range(2):
        (gradient,) = torch.autograd.grad((layer(theta) * torch.tensor([-9.0, 0.0, 9.0])).sum(), theta)
        sizes.append(gradient.abs().max().item())
        lam.step()
    assert sizes == [1.0, 0.25]


@pytest.mark.parametrize("lam", [0.0, -1.0, float("inf")])
def test_bad_lam(lam: float) -> None:
    with pytest.raises(ValueError, match="lam="):
        Interpolation(TopK(3), lam)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 3e38])
def test_a_row_whose_incoming_gradient_is_not_finite_gets_nan_and_no_other(bad: float) -> None:
    layer = Interpolation(TopK(4), lam=10.0)
    theta = torch.rand(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    incoming = torch.tensor([1.0, -2.0, 3.0, 0.5]).repeat(3, 1)
    (expected,) = torch.autograd.grad(layer(theta), theta, incoming)
    incoming[1, 2] = bad
    (gradient,) = torch.autograd.grad(layer(theta), theta, incoming)
    assert gradient[1].isnan().all()
    assert torch.equal(gradient[[0, 2]], expected[[0, 2]])
