"""After `warm_up()` nothing is left to compile."""

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch

import combdiff
from combdiff.compute import warm_up
from combdiff.layers import SatNet
from combdiff.solvers import (
    Assignment,
    Cached,
    Factory,
    GridInstances,
    Knapsack,
    MaxCut,
    ShortestPath,
    SpanningTree,
    TopK,
)
from combdiff_solvers.compute.kernels import Kernel


def compiled() -> dict[str, int]:
    """For how many combinations of argument types each kernel is compiled."""
    kernels = {
        it.function.__qualname__: it
        for name, module in list(sys.modules.items())
        if name.endswith("_kernels")
        for it in vars(module).values()
        if isinstance(it, Kernel)
    }
    return {name: len(it.dispatcher.signatures) for name, it in kernels.items()}


def test_nothing_is_compiled_after_warm_up() -> None:
    warm_up()
    ready = compiled()
    assert sum(map(bool, ready.values())) > 10
    rng = np.random.default_rng(0)
    ends = GridInstances(start=np.zeros((4, 2), dtype=np.int32), goal=np.full((4, 2), 2, dtype=np.int8))
    ShortestPath.grid(3, obstacles=np.eye(3)[::-1] * 0).solve(rng.random((4, 9)), ends)
    ShortestPath.graph([(0, 1), (1, 2), (2, 0)], 0, negative="clamp").solve(
        rng.normal(size=(4, 3)), {"target": [1] * 4}
    )
    ShortestPath.graph([(0, 1), (1, 2)], 0, 2, negative="exact").solve(-rng.random((4, 2)))
    for allowed in (None, {"allowed": np.ones((4, 3, 2))}):
        Assignment(3, 2, "max").solve(np.asfortranarray(rng.random((4, 6))), allowed)
    SpanningTree([(0, 1), (0, 2), (1, 2)]).solve(rng.random((4, 3)), {"allowed": torch.ones(4, 3)})
    Knapsack(np.ones((2, 3)), [1.0, 2.0]).solve(rng.random((4, 3)), {"capacity": np.ones((4, 2), dtype=int)})
    MaxCut([(0, 1), (1, 2), (2, 3)]).solve(rng.random((4, 3)))
    known = Cached(TopK(3, 2, "min"), solve_ratio=0.1)
    for _ in range(3):
        known.solve(rng.random((4, 3)))
    assert known.pooled
    linear()
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        for n in (2, 9, 100, 700):
            x = torch.randn(3, n).to(dtype).requires_grad_()
            for kind in ("l2", "kl"):
                strength = torch.full((3, 1), 0.5)
                mask = x.detach() > 0
                y = combdiff.soft_rank(x, kind, strength, mask=mask).nan_to_num().square()
                y = y + combdiff.soft_sort(x, kind, 0.1, descending=True)
                (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
                torch.autograd.backward(gradient.sum())
            combdiff.soft_topk(x, 1)
            combdiff.soft_quantile(x, 0.5)
    for dtype in (torch.float32, torch.float64):
        layer, z = SatNet(9, 3, aux=2, k=5, prox=0.0).to(dtype), torch.ones(3, 9, dtype=dtype, requires_grad=True)
        torch.autograd.backward(layer(z, torch.eye(3).repeat(1, 3).bool()).sum())
    assert compiled() == ready


def linear() -> None:
    """Linear programs by MathOpt, where it is installed, whose bounds a kernel proves."""
    if find_spec("ortools") is not None:
        from ortools.math_opt.python import mathopt

        model = mathopt.Model()
        x = [model.add_variable(lb=0.0, ub=1.0) for _ in range(3)]
        model.add_linear_constraint(x[0] + x[1] >= 1.0)
        assert np.isfinite(combdiff.wrap(model, x, backend="glop").solve(np.eye(3)).bound).all()


def test_only_what_a_solver_needs() -> None:
    asked: list[Any] = []

    class Recorder:
        sense = combdiff.Sense.MIN
        shape: tuple[int, ...] = (2, 3)

        def solve(self, theta: np.ndarray, instances: Any = None) -> combdiff.Solutions:
            asked.append(theta)
            return combdiff.Solutions.from_y(theta, theta, self.sense)

    warm_up(Recorder())
    assert [theta.tolist() for theta in asked] == [[[1.0] * 6]]


def test_a_solver_that_needs_instances_is_refused() -> None:
    with pytest.raises(ValueError, match="give instances"):
        warm_up(Factory(lambda k: combdiff.solvers.TopK(3, k), shape=(3,), sense="max"))
