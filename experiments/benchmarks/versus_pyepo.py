"""Our solvers against PyEPO's models with its open-source back ends, on one thread.

    pip install -e '.[benchmarks]'
    python -m experiments.benchmarks.versus_pyepo

Shortest paths over the edges of a 5×5 and a 12×12 grid, all of which lead right or down, 1,000 cost vectors: PyEPO's
linear program in GLOP against `ShortestPath.graph`, and against `wrap` of the very `pywraplp.Solver` that PyEPO built.
Knapsacks of 32 items and 2 dimensions by PyEPO's own generator: SCIP in OR-Tools against both back ends of `Knapsack`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray
from pyepo.data.knapsack import genData
from pyepo.model.ort import knapsackModel, shortestPathModel

from combdiff.solvers import Knapsack, ShortestPath, Solver, wrap
from experiments.benchmarks.timing import race


def compare(what: str, peer: Any, costs: ndarray, solvers: dict[str, Solver]) -> None:
    """Print how many times as fast each solver is."""

    def pyepo() -> list[float]:
        values = []
        for row in costs:
            peer.setObj(row)
            values.append(peer.solve()[1])
        return values

    expected = pyepo()
    for solver in solvers.values():
        np.testing.assert_allclose(solver.solve(costs).objective, expected, rtol=1e-6)
    runs = {name: lambda solver=solver: solver.solve(costs) for name, solver in solvers.items()}
    seconds = race({"PyEPO": pyepo, **runs}, rounds=5, warm_up=1)
    for name in solvers:
        print(
            f"{what}: {name} {seconds[name] / len(costs) * 1e6:.1f} µs a row, PyEPO "
            f"{seconds['PyEPO'] / len(costs) * 1e6:.0f} µs: {seconds['PyEPO'] / seconds[name]:.1f} ×"
        )


def compare_paths(size: int) -> None:
    """On one grid."""
    peer = shortestPathModel((size, size), solver="glop")
    cost = np.random.default_rng(size).uniform(0.5, 10.0, (1000, peer.num_cost))
    kernel = ShortestPath.graph(peer.arcs, source=0, target=size * size - 1, negative="exact", threads=1)
    glop = wrap(peer._model, list(peer.x.values()), sense="min")
    compare(f"paths on {size}×{size}", peer, cost, {"ShortestPath": kernel, "wrap(GLOP)": glop})


def compare_knapsacks() -> None:
    """Both back ends."""
    weights, _, values = genData(200, 5, 32, dim=2, deg=4, noise_width=0.5, seed=42)
    capacity = np.full(2, 20.0)
    ours: dict[str, Solver] = {
        "Knapsack(kernel)": Knapsack(weights, capacity, backend="kernel", threads=1),
        "Knapsack(mip)": Knapsack(weights, capacity, backend="mip"),
    }
    compare("knapsacks", knapsackModel(weights, capacity), values.astype(np.float64), ours)


if __name__ == "__main__":
    compare_paths(5)
    compare_paths(12)
    compare_knapsacks()
