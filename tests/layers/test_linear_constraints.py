"""CombOptNet's gradients against a slow reading of its definition, and constraints that are learned."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff.errors import SolverError
from combdiff.layers import LinearConstraints
from combdiff.solvers import MixedIntegerPrograms, TopK
from combdiff_solvers.protocol import BatchSolver, Sense, Solutions, Status

pytest.importorskip("ortools")
both = pytest.mark.parametrize("sense", ["min", "max"])


class Box(BatchSolver):
    """Tries all integer points of a box under the A and b of each row."""

    takes_instances = True

    def __init__(self, n: int, low: int, high: int, sense: str) -> None:
        self.shape, self.sense = (n,), Sense(sense)
        self.bounds = np.full(n, float(low)), np.full(n, float(high))
        self.points = np.array(list(product(range(low, high + 1), repeat=n)), dtype=float)

    def solve_checked(self, theta: Any, instances: Any) -> Solutions:
        y, status = np.full(theta.shape, np.nan), np.full(len(theta), Status.INFEASIBLE, dtype=np.uint8)
        for row in range(len(theta)):
            own = self.points[(self.points @ instances[row]["A"].T <= instances[row]["b"] + 1e-9).all(axis=1)]
            if len(own):
                y[row], status[row] = own[(self.sense.sign * own @ theta[row]).argmin()], Status.OPTIMAL
        return Solutions.from_y(y, theta, self.sense, status)


def enumerating(n: int, low: int, high: int, sense: str = "min", **options: Any) -> LinearConstraints:
    return LinearConstraints(Box(n, low, high, sense), **options)


def problems(count: int, m: int, n: int) -> list[Tensor]:
    """θ, A and b, of which the origin is feasible, and an incoming gradient, some entries of it equal or zero."""
    generator = torch.Generator().manual_seed(count)
    theta, g = torch.randn(2, count, n, generator=generator, dtype=torch.float64)
    A = torch.randn(count, m, n, generator=generator, dtype=torch.float64)
    b = torch.rand(count, m, generator=generator, dtype=torch.float64) * 3
    g[::3] = g[::3].round()
    return [part.requires_grad_() for part in (theta, A, b)] + [g]


def mismatch(y: Tensor, g: Tensor, c: Tensor, A: Tensor, b: Tensor, box: tuple[int, int], tau: float) -> Tensor:
    """Σₖ λₖ Pₖ of one row, step by step as the paper says it; y is None's point where nothing is feasible."""
    n, m, total = len(y), len(b), torch.zeros((), dtype=torch.float64)
    left = {j: -float(g[j]) for j in range(n) if box[0] <= float(y[j] - g[j].sign()) <= box[1]}
    order = sorted(left, key=lambda j: -abs(left[j]))
    for k in range(len(order)):
        following = abs(left[order[k + 1]]) if k + 1 < len(order) else 0.0
        weight, moved = abs(left[order[k]]) - following, y.clone()
        for j in order[: k + 1]:
            moved[j] += math.copysign(1.0, left[j]) if left[j] else 0.0
        if not weight:
            continue
        distance = [(A[i] @ moved - b[i]) / A[i].norm() for i in range(m)]
        if all(d.item() <= 0 for d in distance):
            gaps = [((b[i] - A[i] @ y) / A[i].norm()).clamp(min=0) for i in range(m)]
            soft = -tau * torch.log(sum((torch.exp(-gap / tau) for gap in gaps), torch.zeros(())) / m)
            total = total + weight * (soft + (c @ moved - c @ y).clamp(min=0))
        else:
            total = total + weight * sum((d.clamp(min=0) for d in distance), torch.zeros(()))
    return total


@both
@pytest.mark.parametrize(("m", "tau"), [(1, 0.5), (3, 0.3)])
def test_gradients_are_those_of_the_definition(sense: str, m: int, tau: float) -> None:
    theta, A, b, g = problems(20, m, 3)
    with torch.no_grad():
        b[:5] -= 6.0  # nothing is feasible in most of these
    layer = enumerating(3, -2, 2, sense, tau=tau, fallback=0)
    y = layer(theta, A, b)
    found = torch.autograd.grad(y, [theta, A, b], g)
    costs = theta if sense == "min" else -theta
    total = sum(
        (mismatch(y[row].detach(), g[row], costs[row], A[row], b[row], (-2, 2), tau) for row in range(20)),
        torch.zeros(()),
    )
    for one, expected in zip(found, torch.autograd.grad(total, [theta, A, b]), strict=True):
        torch.testing.assert_close(one, expected)
        assert (expected[10:] != 0).any()
    assert layer.last is not None
    assert (layer.last.status == Status.INFEASIBLE).any()
    assert (y[layer.last.status == Status.INFEASIBLE] == 0).all()
    shared = torch.autograd.grad(layer(theta, A[9], b[9]), [A, b], g)
    rows = torch.autograd.grad(layer(theta, A[9].expand(20, -1, -1), b[9].expand(20, -1)), [A, b], g)
    torch.testing.assert_close(shared, rows)


@both
def test_the_layer_is_the_program_and_a_batch_is_its_rows(sense: str) -> None:
    theta, A, b, g = problems(6, 2, 2)
    layer = LinearConstraints(MixedIntegerPrograms(2, ([-2, -2], 2), sense=sense))
    y = layer(theta, A, b)
    torch.testing.assert_close(y, enumerating(2, -2, 2, sense)(theta, A, b))
    assert layer.stats.solves == 6
    grads = torch.autograd.grad(y, [theta, A, b], g)
    shaped = [part.reshape(2, 3, *part.shape[1:]) for part in (theta, A, b)]
    again = torch.autograd.grad(layer(*shaped).reshape(6, 2), [theta, A, b], g)
    torch.testing.assert_close(again, grads)
    one = layer(theta[4], A[4], b[4])
    torch.testing.assert_close(one, y[4])
    torch.testing.assert_close(torch.autograd.grad(one, [A], g[4])[0][4], grads[1][4])
    assert layer(theta[:0], A[0], b[0]).shape == (0, 2)
    assert layer(theta.float(), A, b).dtype == torch.float32
    (slope,) = torch.autograd.grad((layer(theta, A, b) ** 2).sum(), A, create_graph=True)
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(slope.sum(), A)


def test_rows_without_a_point_raise_or_have_no_gradient() -> None:
    theta, A, _, _ = problems(3, 1, 2)
    none = torch.tensor([[-9.0], [1.0], [1.0]]).double().requires_grad_()
    with pytest.raises(SolverError, match="row 0: INFEASIBLE"):
        enumerating(2, -1, 1)(theta, A.sign(), none)
    layer = enumerating(2, -1, 1, on_failure="mask")
    y = layer(theta, A.sign(), none)
    assert y.isnan().all(1).tolist() == [True, False, False]
    (found,) = torch.autograd.grad(y[1:].sum() + y[0].nansum(), none)
    assert found[0].item() == 0.0


def test_weights_of_a_knapsack_are_learned_from_solutions() -> None:
    """None of the test solutions is right at the start, and most are after 40 steps."""
    generator = torch.Generator().manual_seed(0)
    layer = enumerating(3, 0, 3, "max", tau=0.5, fallback=0)
    theta = torch.rand(60, 3, generator=generator, dtype=torch.float64)
    y = layer(theta, torch.tensor([[0.36, 0.48, 0.8]]).double(), torch.tensor([1.9]).double())
    A, b = torch.ones(1, 3).double().requires_grad_(), torch.tensor([1.0]).double().requires_grad_()
    optimizer, right = torch.optim.Adam([A, b], lr=0.1), []
    for step in range(41):
        unit = torch.nn.functional.normalize(A, dim=1)
        right.append(float((layer(theta[30:], unit, b) == y[30:]).all(1).double().mean()))
        rows = torch.arange(step * 10, step * 10 + 10) % 30
        optimizer.zero_grad()
        ((layer(theta[rows], unit, b) - y[rows]) ** 2).sum(1).mean().backward()
        optimizer.step()
    assert right[0] == 0
    assert right[-1] >= 0.8


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fallback=0\.5 must be whole numbers within the bounds"):
        LinearConstraints(MixedIntegerPrograms(2), fallback=0.5)
    with pytest.raises(TypeError, match="a TopK has no bounds: use"):
        LinearConstraints(TopK(2))
    with pytest.raises(ValueError, match="backend='gurobi' is none of"):
        MixedIntegerPrograms(2, backend="gurobi")
    layer, theta, A, b = LinearConstraints(MixedIntegerPrograms(2)), torch.ones(3, 2), torch.ones(1, 2), torch.ones(1)
    with pytest.raises(ValueError, match=r"A has shape \(2, 1, 2\), but theta \(3, 2\) needs \(\*batch, m, n\)"):
        layer(theta, A.expand(2, 1, 2), b)
    with pytest.raises(ValueError, match=r"A has shape \(1, 2\) and b \(2,\)"):
        layer(theta, A, torch.ones(2))
    with pytest.raises(ValueError, match=r"b\[0\] is not finite"):
        layer(theta, A, b * torch.inf)
    with pytest.raises(TypeError, match="A must be a tensor of floats"):
        layer(theta, A.long(), b)
