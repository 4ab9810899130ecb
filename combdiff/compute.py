"""Compiled kernels: ready before they are needed."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import torch

import combdiff_solvers as ours
from combdiff.layers.satnet import SatNet
from combdiff.polyhedra import Neighbours, project
from combdiff.soft import soft_rank, soft_sort, soft_topk
from combdiff_solvers.models.dual_bounds_kernels import dual_bounds
from combdiff_solvers.protocol import Solver


def warm_up(*solvers: Solver) -> None:
    """Compile kernels now, so that no later call waits for it: in an image that is built, before a measurement.

    The solvers of classic problems and the soft operators run kernels that numba compiles when they are first used on a
    machine, which takes seconds for each; the logger `combdiff` says so. Machine code is kept beside the package (in
    the user's cache where that cannot be written, or in the folder `NUMBA_CACHE_DIR`), so it is compiled once for each
    version and processor.

    Args:
        solvers: each solves one row of ones, which compiles what it needs. Without any, everything is compiled:
            all classic solvers, the soft operators and `SatNet` with their gradients, in under two minutes on one core.

    Raises:
        ValueError: for a solver that needs instances.

    >>> from combdiff.solvers import ShortestPath
    >>> warm_up(ShortestPath.grid(2))
    """
    for solver in solvers or classic_solvers():
        solver.solve(np.ones((1, prod(solver.shape))))
    if not solvers:
        warm_up_others()


def warm_up_others() -> None:
    """What `warm_up()` compiles but the kernels of solvers: so two processes share the work."""
    _soft_operators()
    _satnet()
    Neighbours.among(torch.eye(3), torch.zeros(3), complete=False)
    project(torch.ones(1, 2), torch.ones(1, 1, 2))
    _dual_bounds()


def classic_solvers() -> list[Solver]:
    """Solvers that run every kernel of classic problems, each where its instances are smallest."""
    triangle = [(0, 1), (1, 2), (2, 0)]
    cached = ours.Cached(ours.TopK(2), solve_ratio=1e-9)
    cached.solve(np.eye(2)[:1])  # from now on its pool of solutions answers, by a kernel
    return [
        cached,
        ours.ShortestPath.grid(2),
        ours.ShortestPath.graph(triangle, 0, 2),
        ours.ShortestPath.graph([(0, 1), (1, 2)], 0, 2),
        ours.Assignment(2),
        ours.SpanningTree(triangle),
        ours.Matching([(0, 1)]),
        ours.Knapsack([[1.0, 1.0]], 1.0, backend="kernel"),
        ours.TravelingSalesman(4),
        ours.Qubo(2, backend="enumeration"),
        ours.Sudoku(4),
    ]


def _soft_operators() -> None:
    lengths = (4, 20, 1000)  # sorted by counting, by the kernel, by torch
    for operator, kind, dtype, n, masked in product(
        (soft_rank, soft_sort), ("l2", "kl"), (torch.float32, torch.float64), lengths, (False, True)
    ):
        x = torch.linspace(0.0, 1.0, 2 * n, dtype=dtype).reshape(2, n).requires_grad_()
        mask = torch.ones(2, n, dtype=torch.bool) if masked else None
        torch.autograd.backward(operator(x, kind, 0.1, mask=mask).sum())
        soft_topk(x, 1, kind, 0.1, mask=mask)


def _satnet() -> None:
    for dtype in (torch.float32, torch.float64):
        layer = SatNet(2, 1).to(dtype)
        torch.autograd.backward(layer(torch.zeros(1, 2, dtype=dtype), torch.tensor([[True, False]])).sum())


def _dual_bounds() -> None:
    """Of linear programs by MathOpt, which need not be installed."""
    one, matrix, index = np.ones(1), np.ones((1, 1)), np.arange(2, dtype=np.int32)
    dual_bounds(0, 1, matrix, matrix, one, one, one, one, index, index[:1], one, one)
